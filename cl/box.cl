// SPDX-License-Identifier: Apache-2.0
// box: out[i] = F(a[i], b[i], c[i]) over a box of RANK axes, each operand with a start and strides of its own (0: broadcast).
// rows: the same over N×H×W×C, for the listed rows of the output only.
// NDRange : 1-D, strides over lines (or rows) × blocks of BLOCK elements along the last axis
// a, b, c : the operands that F takes; the others are any buffer
// dims    : of the box, slowest first; strides and starts in elements
// layouts : (start, elements per row, step along C, along N, H, W) of an operand of `rows`
// Tunables: TA TB TC TO element types (float, int, long, uchar); UT unsigned twin of integers that are computed with; F a function
//           below; RANK {2, 4, 8}; BLOCK elements per work-item; AS BS CS OS steps along the last axis where they are 0 or 1;
//           A_ROWS B_ROWS C_ROWS how an operand of `rows` lies: 0 all sites (or broadcast), 1 the output's rows, 2 (a only) rows of
//           another list, of which only listed sites decide
// Needs   : OpenCL C 1.2.  Numerics: exact; + − ×, division and sigmoid of numerics.cl, comparisons, each rounded

// Functions ------------------------------------------------------------------------------------------------------------
// Macros that leave out the operands they do not take, so that those are not read.
#ifdef UT // integers wrap around; x / 0 is 0
static TA divide(TA x, TA y)
{
    return y == 0 ? (TA)0 : y == -1 ? (TA)(0 - (UT)x) : (TA)(x / y);
}
#define ADD(x, y, z) (TO)((UT)(x) + (UT)(y))
#define SUB(x, y, z) (TO)((UT)(x) - (UT)(y))
#define MUL(x, y, z) (TO)((UT)(x) * (UT)(y))
#define DIV(x, y, z) divide(x, y)
#define MIN(x, y, z) min(x, y)
#define MAX(x, y, z) max(x, y)
#define RELU(x, y, z) max(x, (TA)0)
#else
static float least(float x, float y) // passes NaN on; of equals the first
{
    return y < x || y != y ? y : x;
}
#define ADD(x, y, z) ((x) + (y))
#define SUB(x, y, z) ((x) - (y))
#define MUL(x, y, z) ((x) * (y))
#define DIV(x, y, z) stp_div(x, y)
#define MIN(x, y, z) least(x, y)
#define MAX(x, y, z) stp_max(x, y)
#define RELU(x, y, z) stp_relu(x)
#endif
#define SIGMOID(x, y, z) stp_sigmoid(x)
#define FMA(x, y, z) fma(x, y, z)
#define AND(x, y, z) ((x) != 0 && (y) != 0)
#define OR(x, y, z) ((x) != 0 || (y) != 0)
#define NOT(x, y, z) ((x) == 0)
#define EQUAL(x, y, z) ((x) == (y))
#define GREATER(x, y, z) ((x) > (y))
#define LESS(x, y, z) ((x) < (y))
#define GREATER_OR_EQUAL(x, y, z) ((x) >= (y))
#define LESS_OR_EQUAL(x, y, z) ((x) <= (y))

// Casts. Floats go toward zero; what does not fit becomes the nearest that does, NaN becomes 0.
static int to_int(float x)
{
    return x != x ? 0 : x >= 0x1p31f ? INT_MAX : x < -0x1p31f ? INT_MIN : (int)x;
}
static long to_long(float x)
{
    return x != x ? 0 : x >= 0x1p63f ? LONG_MAX : x < -0x1p63f ? LONG_MIN : (long)x;
}
#define CONVERT(x, y, z) (TO)(x)
#define TO_BOOL(x, y, z) ((x) != 0)
#define TO_INT(x, y, z) to_int(x)
#define TO_LONG(x, y, z) to_long(x)

// Choices. The operand that decides comes last, so that `a` may be a packed one.
#define COPY(x, y, z) (x)
#define SELECT(x, y, z) ((z) != 0 ? (x) : (y))
#define SELECT_OR_ZERO(x, y, z) ((y) != 0 ? (x) : (TA)0)

// Box ------------------------------------------------------------------------------------------------------------------
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define INTS PASTE(int, RANK)
#if RANK == 2
#define LAST s1
#elif RANK == 4
#define LAST s3
#else
#define LAST s7
#endif
#define AXIS(d)                                                                                                        \
    {                                                                                                                  \
        const int at = line % dims.d;                                                                                  \
        line /= dims.d;                                                                                                \
        at_a += at * a_strides.d;                                                                                      \
        at_b += at * b_strides.d;                                                                                      \
        at_c += at * c_strides.d;                                                                                      \
        at_out += at * out_strides.d;                                                                                  \
    }

__kernel void box(__global const TA *restrict a, __global const TB *restrict b, __global const TC *restrict c,
                  __global TO *restrict out, INTS dims, INTS a_strides, INTS b_strides, INTS c_strides, INTS out_strides,
                  int4 starts, int items)
{
#ifndef AS
    const int AS = a_strides.LAST;
#endif
#ifndef BS
    const int BS = b_strides.LAST;
#endif
#ifndef CS
    const int CS = c_strides.LAST;
#endif
#ifndef OS
    const int OS = out_strides.LAST;
#endif
    const int blocks = (dims.LAST - 1) / BLOCK + 1;
    for (uint i = get_global_id(0); i < (uint)items; i += get_global_size(0)) {
        int line = (int)i / blocks;
        const int first = (int)i % blocks * BLOCK, last = min(first + BLOCK, dims.LAST);
        int at_a = starts.s0, at_b = starts.s1, at_c = starts.s2, at_out = starts.s3;
#if RANK > 4
        AXIS(s6) AXIS(s5) AXIS(s4) AXIS(s3)
#endif
#if RANK > 2
        AXIS(s2) AXIS(s1)
#endif
        AXIS(s0)
        for (int j = first; j < last; j++)
            out[at_out + j * OS] = F(a[at_a + j * AS], b[at_b + j * BS], c[at_c + j * CS]);
    }
}

// Rows -----------------------------------------------------------------------------------------------------------------
#define SPREAD(layout) ((layout).s0 + n * (layout).s3 + y * (layout).s4 + x * (layout).s5)
#define PACKED(layout, row) ((layout).s0 + (row) * (layout).s1)

// size: H, W, C, blocks per row
__kernel void rows(__global const TA *restrict a, __global const TB *restrict b, __global const TC *restrict c,
                   __global TO *restrict out, __global const int *restrict out_rows, __global const int *restrict out_count,
                   int out_sites, __global const int *restrict a_inverse, __global const int *restrict a_count, int a_sites,
                   int4 size, int8 a_layout, int8 b_layout, int8 c_layout, int8 out_layout)
{
    const int rows = out_count[0], out_listed = rows < out_sites, blocks = size.s3;
    for (uint i = get_global_id(0); i < (uint)rows * blocks; i += get_global_size(0)) {
        const int r = (int)i / blocks, site = out_listed ? out_rows[r] : r;
        const int first = (int)i % blocks * BLOCK, last = min(first + BLOCK, size.s2);
        const int x = site % size.s1, y = site / size.s1 % size.s0, n = site / size.s1 / size.s0;
#if A_ROWS == 2
        // A site that is not listed is not taken: any row will do.
        const int at_a = PACKED(a_layout, a_count[0] < a_sites ? max(a_inverse[site], 0) : site);
#elif A_ROWS == 1
        const int at_a = PACKED(a_layout, r);
#else
        const int at_a = SPREAD(a_layout);
#endif
#if B_ROWS == 1
        const int at_b = PACKED(b_layout, r);
#else
        const int at_b = SPREAD(b_layout);
#endif
#if C_ROWS == 1
        const int at_c = PACKED(c_layout, r);
#else
        const int at_c = SPREAD(c_layout);
#endif
        const int at_out = PACKED(out_layout, r);
        for (int j = first; j < last; j++)
            out[at_out + j * out_layout.s2] =
                F(a[at_a + j * a_layout.s2], b[at_b + j * b_layout.s2], c[at_c + j * c_layout.s2]);
    }
}
