// SPDX-License-Identifier: Apache-2.0
// nchw_to_nhwc, nhwc_to_nchw: [N][C][sites] ↔ [N][sites][C], any element type.
// NDRange : 1-D, each work-item takes a share of the N · ceil(sites / BLOCK) blocks of sites
// Tunables: T element type (int, long, uchar: only moved); WORDS 1 where it has four bytes
// Needs   : OpenCL C 1.2.  Numerics: none
enum { IN_BLOCK = 16, OUT_BLOCK = 64 };

__kernel void nchw_to_nhwc(__global const T *restrict from, __global T *restrict to, int images, int channels, int sites)
{
    const int blocks = (sites + IN_BLOCK - 1) / IN_BLOCK;
    const int2 share = stp_share(images * blocks);
    for (int b = share.x; b < share.y; b++) {
        const int first = b % blocks * IN_BLOCK, last = min(first + IN_BLOCK, sites);
        __global const T *in = from + (size_t)(b / blocks) * channels * sites;
        __global T *out = to + (size_t)(b / blocks) * channels * sites;
        for (int s = first; s < last; s++)
            for (int c = 0; c < channels; c++)
                out[(size_t)s * channels + c] = in[(size_t)c * sites + s];
    }
}

#if WORDS
// What goes to the host is not read here again: where the compiler knows such stores, lines are written past the cache. A factor of two.
#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM(value, to) __builtin_nontemporal_store(value, (__global int8 *)(to))
#else
#define STREAM(value, to) (*(__global int8 *)(to) = (value))
#endif

// 8×8 words of [sites][channels] to [channels][sites]; sites is a multiple of 8, so that each row of `to` is aligned.
static void transpose8(__global const int *in, __global int *out, int channels, int sites)
{
    int8 row[8], pair[8], quad[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        row[i] = vload8(0, in + (size_t)i * channels);
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        const int8 a = row[i], b = row[i + 1];
        pair[i] = (int8)(a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6);
        pair[i + 1] = (int8)(a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int8 a = pair[i & 5], b = pair[(i & 5) + 2];
        quad[i] = (i & 2) ? (int8)(a.s23, b.s23, a.s67, b.s67) : (int8)(a.s01, b.s01, a.s45, b.s45);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        STREAM((int8)(quad[i].lo, quad[i + 4].lo), out + (size_t)i * sites);
        STREAM((int8)(quad[i].hi, quad[i + 4].hi), out + (size_t)(i + 4) * sites);
    }
}
#endif

__kernel void nhwc_to_nchw(__global const T *restrict from, __global T *restrict to, int images, int channels, int sites)
{
    const int blocks = (sites + OUT_BLOCK - 1) / OUT_BLOCK;
    const int2 share = stp_share(images * blocks);
    for (int b = share.x; b < share.y; b++) {
        const int first = b % blocks * OUT_BLOCK, last = min(first + OUT_BLOCK, sites);
        __global const T *in = from + (size_t)(b / blocks) * channels * sites;
        __global T *out = to + (size_t)(b / blocks) * channels * sites;
        int c = 0;
#if WORDS
        for (; sites % 8 == 0 && c + 8 <= channels; c += 8)
            for (int s = first; s < last; s += 8)
                transpose8(in + (size_t)s * channels + c, out + (size_t)c * sites + s, channels, sites);
#endif
        for (; c < channels; c++)
            for (int s = first; s < last; s++)
                out[(size_t)c * sites + s] = in[(size_t)s * channels + c];
    }
}
