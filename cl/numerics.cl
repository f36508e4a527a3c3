// SPDX-License-Identifier: Apache-2.0
// numerics: the primitives of exact operators, put in front of every kernel program. Not a kernel.
// The C twin is src/ref/numerics.h: both give the same bits, for every operand, wherever fma and rounding are IEEE's.
// Vectors : STP_DEFINE_DIV(N), and after it STP_DEFINE_EXP(N), give a kernel file the forms for floatN (N 2, 4, 8, 16):
//           the fast path on all lanes at once, the slow one lane by lane and only in the lanes that need it.
// Needs   : OpenCL C 1.2.  Numerics: exact; + − × fma, comparisons, integers; FP_CONTRACT OFF
#pragma OPENCL FP_CONTRACT OFF

#define STP_CAT_(a, b) a##b
#define STP_CAT(a, b) STP_CAT_(a, b)
#define STP_PRAGMA_(text) _Pragma(#text)
#define STP_PRAGMA(text) STP_PRAGMA_(text)

// Division -----------------------------------------------------------------------------------------------------------
// Rounded to nearest even for all operands, as IEEE's. Fast path: the reciprocal rounded to nearest, a quotient off
// by less than one unit in its last place, and Markstein's correction q + (a − b·q)·(1/b), which then rounds as the
// quotient does. It holds where no step leaves the normal range: 2^-40 ≤ |b| ≤ 2^40, and 2^-64 ≤ |a| ≤ 2^64 or a = 0.
// Everything else is divided as integers.
#define STP_DIV_LEAST 0x1f800000 // bits of 2^-64
#define STP_DIV_MOST 0x5f800000  // bits of 2^64

static float stp_div_slow(float a, float b)
{
    uint sign = (as_uint(a) ^ as_uint(b)) & 0x80000000u;
    uint ma = as_uint(a) & 0x7fffffffu, mb = as_uint(b) & 0x7fffffffu;
    if (ma > 0x7f800000u || mb > 0x7f800000u || (ma == mb && (ma == 0 || ma == 0x7f800000u)))
        return as_float(0x7fc00000u);
    if (ma == 0x7f800000u || mb == 0)
        return as_float(sign | 0x7f800000u);
    if (mb == 0x7f800000u || ma == 0)
        return as_float(sign);
    // Significands of 24 bits; a subnormal's is shifted up, its exponent goes below 1.
    int up_a = ma < 0x800000u ? (int)clz(ma) - 8 : 0, up_b = mb < 0x800000u ? (int)clz(mb) - 8 : 0;
    int exponent = (up_a ? 1 - up_a : (int)(ma >> 23)) - (up_b ? 1 - up_b : (int)(mb >> 23)) + 127;
    ma = up_a ? ma << up_a : (ma & 0x7fffffu) | 0x800000u;
    mb = up_b ? mb << up_b : (mb & 0x7fffffu) | 0x800000u;
    if (ma < mb) {
        ma <<= 1;
        exponent--;
    }
    if (exponent > 254)
        return as_float(sign | 0x7f800000u);
    // 26 bits of quotient: two for rounding, more where the result is subnormal.
    uint q = 0;
#pragma unroll 1
    for (int i = 0; i < 26; i++) {
        q <<= 1;
        if (ma >= mb) {
            ma -= mb;
            q |= 1;
        }
        ma <<= 1;
    }
    int drop = exponent >= 1 ? 2 : 3 - exponent < 31 ? 3 - exponent : 31;
    uint kept = q >> drop, dropped = q & ((1u << drop) - 1), half_way = 1u << (drop - 1);
    kept += dropped > half_way || (dropped == half_way && (ma != 0 || (kept & 1)));
    return as_float(sign | (kept + (exponent >= 1 ? (uint)(exponent - 1) << 23 : 0)));
}

// What stp_div_by() needs of a denominator: 1/b rounded to nearest, and what is missing to 1/b. (0, 0): no fast path.
static float2 stp_recip(float b)
{
    uint bits = as_uint(b) & 0x7fffffffu;
    float m = as_float(bits);
    if (!(m >= 0x1p-40f && m <= 0x1p40f))
        return (float2)(0, 0);
    float r = as_float(0x7ef31200u - bits); // within 5.1 %
    r = fma(fma(-m, r, 1.0f), r, r);
    r = fma(fma(-m, r, 1.0f), r, r);
    r = fma(fma(-m, r, 1.0f), r, r);
    r = fma(fma(-m, r, 1.0f), r, r);
    // The one significand for which the last step does not round to nearest is all ones.
    r = as_float((as_uint(r) + ((bits & 0x7fffffu) == 0x7fffffu)) | (as_uint(b) & 0x80000000u));
    return (float2)(r, fma(-b, r, 1.0f) * r);
}

// a / b, with r = stp_recip(b): for many numerators over one denominator.
static float stp_div_by(float a, float b, float2 r)
{
    float m = fabs(a);
    if (r.x == 0 || !((m >= 0x1p-64f && m <= 0x1p64f) || m == 0))
        return stp_div_slow(a, b);
    float q = fma(a, r.x, a * r.y);
    q = fma(fma(-b, q, a), r.x, q);
    // The sign is set: rusticl turns fma(-b, q, a) into -fma(b, q, -a), which has the other sign where it is zero.
    return as_float((as_uint(q) & 0x7fffffffu) | ((as_uint(a) ^ as_uint(b)) & 0x80000000u));
}

static float stp_div(float a, float b)
{
    return stp_div_by(a, b, stp_recip(b));
}

// Whether a lane is not 0: any() of every bit, in as many steps as the vector can be halved.
static int stp_any2(int2 v)
{
    return v.lo | v.hi;
}

static int stp_any4(int4 v)
{
    return stp_any2(v.lo | v.hi);
}

static int stp_any8(int8 v)
{
    return stp_any4(v.lo | v.hi);
}

static int stp_any16(int16 v)
{
    return stp_any8(v.lo | v.hi);
}

// stp_div_byN(floatN a, float b, float2 r): each lane over one denominator. stp_divN(floatN a, floatN b): lane by lane.
// stp_quotientN: stp_div_byN where r.x is positive and every lane is 0 or of magnitude STP_DIV_LEAST … STP_DIV_MOST.
#define STP_DEFINE_DIV(N)                                                                                              \
    static STP_CAT(float, N) STP_CAT(stp_div_lanes, N)(STP_CAT(float, N) a, STP_CAT(float, N) b)                       \
    {                                                                                                                  \
        float x[N], y[N];                                                                                              \
        STP_CAT(vstore, N)(a, 0, x);                                                                                   \
        STP_CAT(vstore, N)(b, 0, y);                                                                                   \
        _Pragma("unroll 1") for (int i = 0; i < N; i++)                                                                \
            x[i] = stp_div_slow(x[i], y[i]);                                                                           \
        return STP_CAT(vload, N)(0, x);                                                                                \
    }                                                                                                                  \
    static STP_CAT(float, N) STP_CAT(stp_quotient, N)(STP_CAT(float, N) a, float b, float2 r)                          \
    {                                                                                                                  \
        STP_CAT(float, N) hi = (STP_CAT(float, N))(r.x), q = fma(a, hi, a * r.y);                                      \
        q = fma(fma((STP_CAT(float, N))(-b), q, a), hi, q);                                                            \
        return bitselect(q, a, (STP_CAT(float, N))(-0.0f));                                                            \
    }                                                                                                                  \
    static STP_CAT(float, N) STP_CAT(stp_div_by, N)(STP_CAT(float, N) a, float b, float2 r)                            \
    {                                                                                                                  \
        STP_CAT(float, N) m = fabs(a);                                                                                 \
        if (r.x == 0 || STP_CAT(stp_any, N)(~(((m >= 0x1p-64f) & (m <= 0x1p64f)) | (m == 0))))                         \
            return STP_CAT(stp_div_lanes, N)(a, (STP_CAT(float, N))(b));                                               \
        return STP_CAT(as_float, N)((STP_CAT(as_int, N)(STP_CAT(stp_quotient, N)(a, b, r)) & 0x7fffffff) |             \
                                    ((STP_CAT(as_int, N)(a) ^ as_int(b)) & (int)0x80000000));                          \
    }                                                                                                                  \
    static STP_CAT(float, N) STP_CAT(stp_div, N)(STP_CAT(float, N) a, STP_CAT(float, N) b)                             \
    {                                                                                                                  \
        STP_CAT(int, N) bits = STP_CAT(as_int, N)(b) & 0x7fffffff;                                                     \
        STP_CAT(float, N) d = STP_CAT(as_float, N)(bits), m = fabs(a), one = (STP_CAT(float, N))(1.0f);                \
        STP_CAT(float, N) r = STP_CAT(as_float, N)(0x7ef31200 - bits);                                                 \
        r = fma(fma(-d, r, one), r, r);                                                                                \
        r = fma(fma(-d, r, one), r, r);                                                                                \
        r = fma(fma(-d, r, one), r, r);                                                                                \
        r = fma(fma(-d, r, one), r, r);                                                                                \
        /* a true comparison of vectors is -1 */                                                                       \
        r = STP_CAT(as_float, N)((STP_CAT(as_int, N)(r) - ((bits & 0x7fffff) == 0x7fffff)) |                           \
                                 (STP_CAT(as_int, N)(b) & (int)0x80000000));                                           \
        STP_CAT(float, N) q = fma(a, r, a * (fma(-b, r, one) * r));                                                    \
        q = fma(fma(-b, q, a), r, q);                                                                                  \
        STP_CAT(int, N) fast = (d >= 0x1p-40f) & (d <= 0x1p40f) & (((m >= 0x1p-64f) & (m <= 0x1p64f)) | (m == 0));     \
        if (STP_CAT(stp_any, N)(~fast))                                                                                \
            return STP_CAT(stp_div_lanes, N)(a, b);                                                                    \
        return STP_CAT(as_float, N)((STP_CAT(as_int, N)(q) & 0x7fffffff) |                                             \
                                    ((STP_CAT(as_int, N)(a) ^ STP_CAT(as_int, N)(b)) & (int)0x80000000));              \
    }

// Exponential and sigmoid --------------------------------------------------------------------------------------------
// exp(x) = 2^n · exp(r), n the integer nearest to x / ln 2, exp(r) by a polynomial. Relative error below 1e-7.
// Results below 2^-126 are +0 (no subnormals), those above the largest float +Inf; NaN passes.

static float stp_exp(float x)
{
    // Adding 1.5·2^23 rounds to an integer, which then stands in the low bits.
    float shifted = fma(x, 0x1.715476p+0f, 0x1.8p23f);
    float n = shifted - 0x1.8p23f;
    float r = fma(n, -0x1.62e4p-1f, x);
    r = fma(n, -0x1.7f7d1cp-20f, r);
    float p = fma(0x1.6a4ce4p-10f, r, 0x1.123988p-7f);
    p = fma(p, r, 0x1.5558b0p-5f);
    p = fma(p, r, 0x1.555492p-3f);
    p = fma(p, r, 0x1.fffffcp-2f);
    p = fma(p, r, 1.0f);
    p = fma(p, r, 1.0f);
    float y = as_float(as_uint(p) + (as_uint(shifted) << 23));
    y = x > 0x1.62e42ep+6f ? as_float(0x7f800000u) : y;
    y = x < -0x1.5d589ep+6f ? 0.0f : y;
    return x != x ? x : y;
}

static float stp_sigmoid(float x)
{
    float e = stp_exp(-fabs(x));
    return stp_div(x < 0 ? e : 1.0f, 1.0f + e);
}

// stp_expN(floatN x), stp_sigmoidN(floatN x)
#define STP_DEFINE_EXP(N)                                                                                              \
    static STP_CAT(float, N) STP_CAT(stp_exp, N)(STP_CAT(float, N) x)                                                  \
    {                                                                                                                  \
        STP_CAT(float, N) one = (STP_CAT(float, N))(1.0f), magic = (STP_CAT(float, N))(0x1.8p23f);                     \
        STP_CAT(float, N) shifted = fma(x, (STP_CAT(float, N))(0x1.715476p+0f), magic), n = shifted - magic;           \
        STP_CAT(float, N) r = fma(n, (STP_CAT(float, N))(-0x1.62e4p-1f), x);                                           \
        r = fma(n, (STP_CAT(float, N))(-0x1.7f7d1cp-20f), r);                                                          \
        STP_CAT(float, N) p = fma((STP_CAT(float, N))(0x1.6a4ce4p-10f), r, (STP_CAT(float, N))(0x1.123988p-7f));       \
        p = fma(p, r, (STP_CAT(float, N))(0x1.5558b0p-5f));                                                            \
        p = fma(p, r, (STP_CAT(float, N))(0x1.555492p-3f));                                                            \
        p = fma(p, r, (STP_CAT(float, N))(0x1.fffffcp-2f));                                                            \
        p = fma(p, r, one);                                                                                            \
        p = fma(p, r, one);                                                                                            \
        STP_CAT(float, N) y = STP_CAT(as_float, N)(STP_CAT(as_int, N)(p) + (STP_CAT(as_int, N)(shifted) << 23));       \
        y = select(y, (STP_CAT(float, N))(INFINITY), x > 0x1.62e42ep+6f);                                              \
        y = select(y, (STP_CAT(float, N))(0.0f), x < -0x1.5d589ep+6f);                                                 \
        return select(y, x, x != x);                                                                                   \
    }                                                                                                                  \
    static STP_CAT(float, N) STP_CAT(stp_sigmoid, N)(STP_CAT(float, N) x)                                              \
    {                                                                                                                  \
        STP_CAT(float, N) one = (STP_CAT(float, N))(1.0f), e = STP_CAT(stp_exp, N)(-fabs(x));                          \
        return STP_CAT(stp_div, N)(select(one, e, x < 0), one + e);                                                    \
    }

// Transposing --------------------------------------------------------------------------------------------------------
// stp_transposeN(floatN *x): N × N in place. One exchange per bit of the indices: of two vectors that differ in the bit, one gets the
// lanes without it from both, the other those with it.
#define STP_LOW4_1(a, b) (float4)(a.s0, b.s0, a.s2, b.s2)
#define STP_HIGH4_1(a, b) (float4)(a.s1, b.s1, a.s3, b.s3)
#define STP_LOW4_2(a, b) (float4)(a.s0, a.s1, b.s0, b.s1)
#define STP_HIGH4_2(a, b) (float4)(a.s2, a.s3, b.s2, b.s3)
#define STP_LOW8_1(a, b) (float8)(a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6)
#define STP_HIGH8_1(a, b) (float8)(a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7)
#define STP_LOW8_2(a, b) (float8)(a.s0, a.s1, b.s0, b.s1, a.s4, a.s5, b.s4, b.s5)
#define STP_HIGH8_2(a, b) (float8)(a.s2, a.s3, b.s2, b.s3, a.s6, a.s7, b.s6, b.s7)
#define STP_LOW8_4(a, b) (float8)(a.s0, a.s1, a.s2, a.s3, b.s0, b.s1, b.s2, b.s3)
#define STP_HIGH8_4(a, b) (float8)(a.s4, a.s5, a.s6, a.s7, b.s4, b.s5, b.s6, b.s7)
#define STP_LOW16_1(a, b) (float16)(a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6, a.s8, b.s8, a.sa, b.sa, a.sc, b.sc, a.se, b.se)
#define STP_HIGH16_1(a, b) (float16)(a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7, a.s9, b.s9, a.sb, b.sb, a.sd, b.sd, a.sf, b.sf)
#define STP_LOW16_2(a, b) (float16)(a.s0, a.s1, b.s0, b.s1, a.s4, a.s5, b.s4, b.s5, a.s8, a.s9, b.s8, b.s9, a.sc, a.sd, b.sc, b.sd)
#define STP_HIGH16_2(a, b) (float16)(a.s2, a.s3, b.s2, b.s3, a.s6, a.s7, b.s6, b.s7, a.sa, a.sb, b.sa, b.sb, a.se, a.sf, b.se, b.sf)
#define STP_LOW16_4(a, b) (float16)(a.s0, a.s1, a.s2, a.s3, b.s0, b.s1, b.s2, b.s3, a.s8, a.s9, a.sa, a.sb, b.s8, b.s9, b.sa, b.sb)
#define STP_HIGH16_4(a, b) (float16)(a.s4, a.s5, a.s6, a.s7, b.s4, b.s5, b.s6, b.s7, a.sc, a.sd, a.se, a.sf, b.sc, b.sd, b.se, b.sf)
#define STP_LOW16_8(a, b) (float16)(a.s0, a.s1, a.s2, a.s3, a.s4, a.s5, a.s6, a.s7, b.s0, b.s1, b.s2, b.s3, b.s4, b.s5, b.s6, b.s7)
#define STP_HIGH16_8(a, b) (float16)(a.s8, a.s9, a.sa, a.sb, a.sc, a.sd, a.se, a.sf, b.s8, b.s9, b.sa, b.sb, b.sc, b.sd, b.se, b.sf)

#define STP_EXCHANGE(N, bit, from, to)                                                                                 \
    _Pragma("unroll") for (int i = 0; i < N; i++)                                                                      \
    {                                                                                                                  \
        const STP_CAT(float, N) a = from[i & ~bit], b = from[i | bit];                                                 \
        to[i] = (i & bit) ? STP_HIGH##N##_##bit(a, b) : STP_LOW##N##_##bit(a, b);                                      \
    }

static void stp_transpose4(float4 *x)
{
    float4 y[4];
    STP_EXCHANGE(4, 1, x, y)
    STP_EXCHANGE(4, 2, y, x)
}

static void stp_transpose8(float8 *x)
{
    float8 y[8], z[8];
    STP_EXCHANGE(8, 1, x, y)
    STP_EXCHANGE(8, 2, y, z)
    STP_EXCHANGE(8, 4, z, x)
}

static void stp_transpose16(float16 *x)
{
    float16 y[16], z[16];
    STP_EXCHANGE(16, 1, x, y)
    STP_EXCHANGE(16, 2, y, z)
    STP_EXCHANGE(16, 4, z, y)
    STP_EXCHANGE(16, 8, y, x)
}

// Memory -------------------------------------------------------------------------------------------------------------
// For kernels that define VT, a vector, and VLOAD and VSTORE of it.

// Where rows start at whole vectors (ALIGNED) these are moved at once, which some compilers do only if told so.
#if ALIGNED
#define STP_LOAD(i, from) ((__global const VT *)(from))[i]
#define STP_STORE(value, i, to) (((__global VT *)(to))[i] = (value))
#else
#define STP_LOAD VLOAD
#define STP_STORE VSTORE
#endif

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif

// To an aligned place, past the cache where the compiler knows such stores: for what is not read here again. A line's vectors should follow
// one another, since half lines written past the cache cost more than whole ones through it.
#if __has_builtin(__builtin_nontemporal_store)
#define STP_STREAM(value, to) __builtin_nontemporal_store(value, (__global VT *)(to))
#else
#define STP_STREAM(value, to) (*(__global VT *)(to) = (value))
#endif

// Asks for the line at `at`, which may lie beyond the buffer; `locality` 3: for the nearest cache, 2: for the next. PoCL's prefetch() does
// nothing, its compiler's does; Oclgrind has the same compiler and stops at it.
#if __has_builtin(__builtin_prefetch) && defined(POCL_DEVICE_ADDRESS_BITS)
#define STP_PREFETCH(at, locality) __builtin_prefetch(at, 0, locality)
#else
#define STP_PREFETCH(at, locality)
#endif

// Of a kernel whose work-items compute with vectors: compilers that pack work-items into vectors of their own (Intel's for CPUs) leave it alone.
#define STP_VECTORS __attribute__((vec_type_hint(VT)))

// Work ---------------------------------------------------------------------------------------------------------------------

// Share `i` of `shares` contiguous ones of `count` pieces: first … last − 1. They differ by a piece at most: runtimes hand out work-groups by
// number, as if all had as much to do.
static int2 stp_share_of(int count, int shares, int i)
{
    const int each = count / shares, more = count % shares, first = i * each + min(i, more);
    return (int2)(first, first + each + (i < more));
}

// This work-item's share, in one dimension. Neighbours in it read the same lines of cache.
static int2 stp_share(int count)
{
    return stp_share_of(count, get_global_size(0), get_global_id(0));
}

// Work in turns, for launches whose groups have one item: each core has a share of the units, of which it takes one after another, and then
// the last units of others' shares, so that cores end together, however fast each is. The groups share `turn`, all zeros before and after
// the launch: how many have come and gone, and for each core, a line of cache further on, how many units of its share are taken, and how
// many of these by others. There are twice as many groups as cores, some of which find nothing left.
#define STP_TURN_LINE 16 // ints

struct stp_turns {
    __global int *turn;
    int units, cores;
    int group; // in the order in which they came: a number that no other has
    int other; // shares that it has found empty
    int own;   // units taken of its own
};

static struct stp_turns stp_turns(__global int *turn, int units)
{
    struct stp_turns t = {.turn = turn, .units = units, .cores = max((int)get_num_groups(0) / 2, 1)};
    t.group = atomic_inc(turn);
    t.other = t.group / t.cores;
    return t;
}

// The next unit of this group, or −1.
static int stp_next(struct stp_turns *t)
{
    for (; t->other < t->cores; t->other++) {
        const int core = (t->group + t->other) % t->cores;
        const int2 share = stp_share_of(t->units, t->cores, core);
        __global int *taken = t->turn + (1 + core) * STP_TURN_LINE;
        if (atomic_inc(taken) < share.y - share.x)
            return t->other ? share.y - 1 - atomic_inc(taken + 1) : share.x + t->own++;
    }
    if (atomic_inc(t->turn + 1) == (int)get_num_groups(0) - 1) { // the last to go
        for (int line = 0; line <= t->cores; line++) {
            atomic_xchg(t->turn + line * STP_TURN_LINE, 0);
            atomic_xchg(t->turn + line * STP_TURN_LINE + 1, 0);
        }
    }
    return -1;
}

// Random numbers, choices --------------------------------------------------------------------------------------------

// First word of Philox2x32-10 (Salmon et al., 2011) with counter (c0, c1).
static uint stp_philox2x32(uint c0, uint c1, uint key)
{
    for (int round = 0; round < 10; round++) {
        uint hi = mul_hi(0xd256d193u, c0), lo = 0xd256d193u * c0;
        c0 = hi ^ key ^ c1;
        c1 = lo;
        key += 0x9e3779b9u;
    }
    return c0;
}

// NaN passes.
static float stp_relu(float x)
{
    return x < 0 ? 0.0f : x;
}

// MaxPool's step from `best` to the next value: NaN passes on, of equal values the first stays.
static float stp_max(float best, float x)
{
    return x > best || x != x ? x : best;
}
