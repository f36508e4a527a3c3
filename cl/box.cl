// SPDX-License-Identifier: Apache-2.0
// box: out = F(a, b, c), element by element over a box of up to eight axes; every operand has a start and strides of its own (0:
// broadcast). An element-wise operator, or a move (Concat, Slice, Split): one program per set of types, F chosen at run time.
// NDRange : 2-D, strides over the columns (the last axis) and over blocks of rows (all other axes)
// a, b, c : the operands that F takes; the others are any buffer of the type. A SELECT takes `a` only where c is not 0, so its `a` may
//           lie in rows of another list, found by a_inverse
// dims    : s7 columns; s0 … s6 the other axes, fastest first, 1 beyond the last
// strides : as dims, in elements
// job     : F, flags, rows, rows per block, elements per run of columns (0: columns), starts of a and out
// Tunables: A (of a and b), C, OUT element types, numbers below; VEC {4, 8, 16}
// Needs   : OpenCL C 1.2.  Numerics: exact; + − × fma, division and sigmoid of numerics.cl, comparisons, each rounded
#define F32 1
#define I32 2
#define I64 3
#define BOOL 4
#define TYPE_1 float
#define TYPE_2 int
#define TYPE_3 long
#define TYPE_4 uchar
#define TA STP_CAT(TYPE_, A)
#define TC STP_CAT(TYPE_, C)
#define TO STP_CAT(TYPE_, OUT)
#define VT STP_CAT(TA, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)

// Functions: the numbers of enum stp_box_function.
#define COPY 0
#define SELECT 1
#define CAST 2
#define ADD 3
#define SUB 4
#define MUL 5
#define DIV 6
#define MIN 7
#define MAX 8
#define FMA 9
#define RELU 10
#define SIGMOID 11
#define AND 12
#define OR 13
#define NOT 14
#define EQUAL 15
#define GREATER 16
#define LESS 17
#define GREATER_OR_EQUAL 18
#define LESS_OR_EQUAL 19

// Bits of the flags: how the operands lie
#define A_ROWS 1    // in the output's rows; otherwise all sites, or broadcast
#define B_ROWS 2
#define C_ROWS 4
#define A_INVERSE 8 // in rows of another list

#if OUT == F32 && A == F32
STP_DEFINE_DIV(VEC)
STP_DEFINE_EXP(VEC)

static float apply(int f, float x, float y, float z)
{
    switch (f) {
    case ADD: return x + y;
    case SUB: return x - y;
    case MUL: return x * y;
    case DIV: return stp_div(x, y);
    case MIN: return y < x || y != y ? y : x; // passes NaN on; of equals the first
    case MAX: return stp_max(x, y);
    case FMA: return fma(x, y, z);
    case RELU: return stp_relu(x);
    case SIGMOID: return stp_sigmoid(x);
    case SELECT: return z != 0 ? x : y;
    }
    return x;
}

#if C == F32
// A row of at least VEC elements that follow one another in `to`; of an operand they do too (step 1), or it is one number (step 0). The
// last vector ends where the row ends and may compute elements a second time.
#define LANES(value)                                                                                                   \
    for (int v = first * VEC; v < width; v += items * VEC) {                                                           \
        const int i = min(v, width - VEC);                                                                             \
        const VT p = xs ? VLOAD(0, x + i) : x0, q = ys ? VLOAD(0, y + i) : y0;                                         \
        VSTORE(value, 0, to + i);                                                                                      \
    }                                                                                                                  \
    break;

static void apply_row(int f, __global const float *x, int xs, __global const float *y, int ys, __global const float *z,
                      int zs, __global float *to, int width)
{
    const VT x0 = (VT)(x[0]), y0 = (VT)(y[0]), z0 = (VT)(z[0]);
    const int first = get_global_id(0), items = get_global_size(0);
    switch (f) {
    case ADD: LANES(p + q)
    case SUB: LANES(p - q)
    case MUL: LANES(p * q)
    case DIV: LANES(STP_CAT(stp_div, VEC)(p, q))
    case MIN: LANES(select(p, q, (q < p) | (q != q)))
    case MAX: LANES(select(p, q, (q > p) | (q != q)))
    case FMA: LANES(fma(p, q, zs ? VLOAD(0, z + i) : z0))
    case RELU: LANES(select(p, (VT)(0.0f), p < 0.0f))
    case SIGMOID: LANES(STP_CAT(stp_sigmoid, VEC)(p))
    }
}
#endif

#elif OUT == A && A != BOOL
#if A == I32
#define UNSIGNED uint
#else
#define UNSIGNED ulong
#endif
// Wraps around; by zero it gives 0.
static TA divide(TA x, TA y)
{
    return y == 0 ? (TA)0 : y == -1 ? (TA)(0 - (UNSIGNED)x) : (TA)(x / y);
}

static TO apply(int f, TA x, TA y, TC z)
{
    switch (f) {
    case ADD: return (TO)((UNSIGNED)x + (UNSIGNED)y);
    case SUB: return (TO)((UNSIGNED)x - (UNSIGNED)y);
    case MUL: return (TO)((UNSIGNED)x * (UNSIGNED)y);
    case DIV: return divide(x, y);
    case MIN: return min(x, y);
    case MAX: return max(x, y);
    case RELU: return max(x, (TA)0);
    case SELECT: return z != 0 ? x : y;
    }
    return x;
}

#elif OUT == BOOL
static uchar apply(int f, TA x, TA y, TC z)
{
    switch (f) {
#if A == BOOL
    case AND: return x != 0 && y != 0;
    case OR: return x != 0 || y != 0;
    case NOT: return x == 0;
    case EQUAL: return (x != 0) == (y != 0);
    case SELECT: return z != 0 ? x : y;
    case COPY: return x;
#else
    case EQUAL: return x == y;
    case GREATER: return x > y;
    case LESS: return x < y;
    case GREATER_OR_EQUAL: return x >= y;
    case LESS_OR_EQUAL: return x <= y;
#endif
    }
    return x != 0; // CAST
}

#else
static TO apply(int f, TA x, TA y, TC z) // CAST
{
#if A == BOOL
    return (TO)(x != 0);
#elif A != F32
    return (TO)x;
#elif OUT == I32 // toward zero; what does not fit becomes the nearest that does, NaN becomes 0
    return x != x ? 0 : x >= 0x1p31f ? INT_MAX : x < -0x1p31f ? INT_MIN : (int)x;
#else
    return x != x ? 0 : x >= 0x1p63f ? LONG_MAX : x < -0x1p63f ? LONG_MIN : (long)x;
#endif
}
#endif

#if OUT == A
static void copy_row(__global const TA *from, int step, __global TO *to, int to_step, int width)
{
    const int first = get_global_id(0), items = get_global_size(0);
    if (step == 1 && to_step == 1 && width >= VEC)
        for (int v = first * VEC; v < width; v += items * VEC) {
            const int i = min(v, width - VEC); // the last vector may copy elements a second time
            VSTORE(VLOAD(0, from + i), 0, to + i);
        }
    else
        for (int i = first; i < width; i += items)
            to[(long)i * to_step] = from[(long)i * step];
}
#endif

// Where row i of the box starts, with these strides.
static long row_start(int i, int8 dims, int8 strides)
{
    long at = 0;
#define AXIS(d)                                                                                                        \
    if (i < dims.d)                                                                                                    \
        return at + (long)i * strides.d;                                                                               \
    at += (long)(i % dims.d) * strides.d;                                                                              \
    i /= dims.d;
    AXIS(s0) AXIS(s1) AXIS(s2) AXIS(s3) AXIS(s4) AXIS(s5)
    return at + (long)i * strides.s6;
}

__kernel void box(__global const TA *restrict a, __global const int *restrict a_inverse,
                  __global const int *restrict a_count, int a_sites, __global const TA *restrict b,
                  __global const TC *restrict c, __global TO *restrict out, __global const int *restrict out_rows,
                  __global const int *restrict out_count, int out_sites, int8 dims, int8 a_strides, int8 b_strides,
                  int8 c_strides, int8 out_strides, int8 job)
{
    const int f = job.s0, flags = job.s1, each = job.s3, run = job.s4;
    const int out_listed = out_count[0] < out_sites, rows = out_listed ? out_count[0] : job.s2;
    const int a_listed = (flags & A_INVERSE) && a_count[0] < a_sites;
    const int xs = a_strides.s7, ys = b_strides.s7, zs = c_strides.s7, step = out_strides.s7;
    const int blocks = rows / each + (rows % each != 0);
    for (int block = get_global_id(1); block < blocks; block += get_global_size(1)) {
        const int end = block * each + min(each, rows - block * each);
        for (int r = block * each; r < end; r++) {
            const int site = out_listed ? out_rows[r] : r;
            // A site that is not listed is not taken: any row will do.
            const int a_row = a_listed ? max(a_inverse[site], 0) : (flags & A_ROWS) ? r : site;
            __global const TA *x = a + job.s5 + row_start(a_row, dims, a_strides);
            __global const TA *y = b + row_start((flags & B_ROWS) ? r : site, dims, b_strides);
            __global const TC *z = c + row_start((flags & C_ROWS) ? r : site, dims, c_strides);
            __global TO *to = out + job.s6 + row_start(r, dims, out_strides);
            const int width = run ? min(dims.s7, run - r % dims.s0 * dims.s7) : dims.s7;
#if OUT == A
            if (f == COPY || (f == SELECT && zs == 0)) {
                const bool take_a = f == COPY || z[0] != 0;
                copy_row(take_a ? x : y, take_a ? xs : ys, to, step, width);
                continue;
            }
#endif
#if OUT == F32 && A == F32 && C == F32
            if (f != SELECT && step == 1 && ((xs | ys | zs) & ~1) == 0 && width >= VEC) {
                apply_row(f, x, xs, y, ys, z, zs, to, width);
                continue;
            }
#endif
            for (int i = get_global_id(0); i < width; i += get_global_size(0))
                to[(long)i * step] = apply(f, x[(long)i * xs], y[(long)i * ys], z[(long)i * zs]);
        }
    }
}
