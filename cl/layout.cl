// SPDX-License-Identifier: Apache-2.0
// nchw_to_nhwc, nhwc_to_nchw: [N][C][sites] ↔ [N][sites][C], any element type.
// NDRange : 1-D, each work-item takes a share of the N · ceil(sites / 16) blocks of 16 sites
// Tunables: T element type (int, long, uchar: only moved)
// Needs   : OpenCL C 1.2.  Numerics: none
enum { BLOCK = 16 };

__kernel void nchw_to_nhwc(__global const T *restrict from, __global T *restrict to, int images, int channels, int sites)
{
    const int blocks = (sites + BLOCK - 1) / BLOCK;
    const int2 share = stp_share(images * blocks);
    for (int b = share.x; b < share.y; b++) {
        const int first = b % blocks * BLOCK, last = min(first + BLOCK, sites);
        __global const T *in = from + (size_t)(b / blocks) * channels * sites;
        __global T *out = to + (size_t)(b / blocks) * channels * sites;
        for (int s = first; s < last; s++)
            for (int c = 0; c < channels; c++)
                out[(size_t)s * channels + c] = in[(size_t)c * sites + s];
    }
}

__kernel void nhwc_to_nchw(__global const T *restrict from, __global T *restrict to, int images, int channels, int sites)
{
    const int blocks = (sites + BLOCK - 1) / BLOCK;
    const int2 share = stp_share(images * blocks);
    for (int b = share.x; b < share.y; b++) {
        const int first = b % blocks * BLOCK, last = min(first + BLOCK, sites);
        __global const T *in = from + (size_t)(b / blocks) * channels * sites;
        __global T *out = to + (size_t)(b / blocks) * channels * sites;
        for (int c = 0; c < channels; c++)
            for (int s = first; s < last; s++)
                out[(size_t)c * sites + s] = in[(size_t)s * channels + c];
    }
}
