// SPDX-License-Identifier: Apache-2.0
// The primitives of exact operators in C: the twin of cl/numerics.cl, function by function, with the same bits.
// To be compiled with -ffp-contract=off. They are always inlined: where the caller is compiled for a target with fma,
// fmaf() is one instruction.
#ifndef STP_REF_NUMERICS_H
#define STP_REF_NUMERICS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define STP_INLINE static inline __attribute__((always_inline))

STP_INLINE uint32_t stp_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

STP_INLINE float stp_float_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Division, rounded to nearest even for all operands: see cl/numerics.cl for how.

static inline float stp_div_slow(float a, float b)
{
    uint32_t sign = (stp_float_bits(a) ^ stp_float_bits(b)) & 0x80000000u;
    uint32_t ma = stp_float_bits(a) & 0x7fffffffu, mb = stp_float_bits(b) & 0x7fffffffu;
    if (ma > 0x7f800000u || mb > 0x7f800000u || (ma == mb && (ma == 0 || ma == 0x7f800000u)))
        return stp_float_from_bits(0x7fc00000u);
    if (ma == 0x7f800000u || mb == 0)
        return stp_float_from_bits(sign | 0x7f800000u);
    if (mb == 0x7f800000u || ma == 0)
        return stp_float_from_bits(sign);
    int up_a = ma < 0x800000u ? __builtin_clz(ma) - 8 : 0, up_b = mb < 0x800000u ? __builtin_clz(mb) - 8 : 0;
    int exponent = (up_a ? 1 - up_a : (int)(ma >> 23)) - (up_b ? 1 - up_b : (int)(mb >> 23)) + 127;
    ma = up_a ? ma << up_a : (ma & 0x7fffffu) | 0x800000u;
    mb = up_b ? mb << up_b : (mb & 0x7fffffu) | 0x800000u;
    if (ma < mb) {
        ma <<= 1;
        exponent--;
    }
    if (exponent > 254)
        return stp_float_from_bits(sign | 0x7f800000u);
    // 26 bits of quotient: two for rounding, more where the result is subnormal.
    uint32_t q = 0;
    for (int i = 0; i < 26; i++) {
        q <<= 1;
        if (ma >= mb) {
            ma -= mb;
            q |= 1;
        }
        ma <<= 1;
    }
    int drop = exponent >= 1 ? 2 : 3 - exponent < 31 ? 3 - exponent : 31;
    uint32_t kept = q >> drop, dropped = q & ((1u << drop) - 1), half_way = 1u << (drop - 1);
    kept += dropped > half_way || (dropped == half_way && (ma != 0 || (kept & 1)));
    return stp_float_from_bits(sign | (kept + (exponent >= 1 ? (uint32_t)(exponent - 1) << 23 : 0)));
}

// 1/b rounded to nearest, and what is missing to 1/b; hi = 0: no fast path.
struct stp_recip {
    float hi, lo;
};

STP_INLINE struct stp_recip stp_recip(float b)
{
    uint32_t bits = stp_float_bits(b) & 0x7fffffffu;
    float m = stp_float_from_bits(bits);
    if (!(m >= 0x1p-40f && m <= 0x1p40f))
        return (struct stp_recip){0, 0};
    float r = stp_float_from_bits(0x7ef31200u - bits);
    r = fmaf(fmaf(-m, r, 1.0f), r, r);
    r = fmaf(fmaf(-m, r, 1.0f), r, r);
    r = fmaf(fmaf(-m, r, 1.0f), r, r);
    r = fmaf(fmaf(-m, r, 1.0f), r, r);
    uint32_t fixed = stp_float_bits(r) + ((bits & 0x7fffffu) == 0x7fffffu);
    r = stp_float_from_bits(fixed | (stp_float_bits(b) & 0x80000000u));
    return (struct stp_recip){r, fmaf(-b, r, 1.0f) * r};
}

// a / b, with r = stp_recip(b)
STP_INLINE float stp_div_by(float a, float b, struct stp_recip r)
{
    float m = fabsf(a);
    if (r.hi == 0 || !((m >= 0x1p-64f && m <= 0x1p64f) || m == 0))
        return stp_div_slow(a, b);
    float q = fmaf(a, r.hi, a * r.lo);
    q = fmaf(fmaf(-b, q, a), r.hi, q);
    uint32_t sign = (stp_float_bits(a) ^ stp_float_bits(b)) & 0x80000000u;
    return stp_float_from_bits((stp_float_bits(q) & 0x7fffffffu) | sign);
}

STP_INLINE float stp_div(float a, float b)
{
    return stp_div_by(a, b, stp_recip(b));
}

// Relative error below 1e-7; results below 2^-126 are +0.
STP_INLINE float stp_exp(float x)
{
    float shifted = fmaf(x, 0x1.715476p+0f, 0x1.8p23f);
    float n = shifted - 0x1.8p23f;
    float r = fmaf(n, -0x1.62e4p-1f, x);
    r = fmaf(n, -0x1.7f7d1cp-20f, r);
    float p = fmaf(0x1.6a4ce4p-10f, r, 0x1.123988p-7f);
    p = fmaf(p, r, 0x1.5558b0p-5f);
    p = fmaf(p, r, 0x1.555492p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    float y = stp_float_from_bits(stp_float_bits(p) + (stp_float_bits(shifted) << 23));
    y = x > 0x1.62e42ep+6f ? INFINITY : y;
    y = x < -0x1.5d589ep+6f ? 0.0f : y;
    return x != x ? x : y;
}

STP_INLINE float stp_sigmoid(float x)
{
    float e = stp_exp(-fabsf(x));
    return stp_div(x < 0 ? e : 1.0f, 1.0f + e);
}

// First word of Philox2x32-10 with counter (c0, c1).
STP_INLINE uint32_t stp_philox2x32(uint32_t c0, uint32_t c1, uint32_t key)
{
    for (int round = 0; round < 10; round++) {
        uint64_t product = UINT64_C(0xd256d193) * c0;
        c0 = (uint32_t)(product >> 32) ^ key ^ c1;
        c1 = (uint32_t)product;
        key += 0x9e3779b9u;
    }
    return c0;
}

STP_INLINE float stp_relu(float x)
{
    return x < 0 ? 0.0f : x;
}

STP_INLINE float stp_max(float best, float x)
{
    return x > best || x != x ? x : best;
}

#endif
