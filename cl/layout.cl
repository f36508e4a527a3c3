// SPDX-License-Identifier: Apache-2.0
// nchw_to_nhwc, nhwc_to_nchw: [N][C][sites] ↔ [N][sites][C], any element type. transpose_tiles, for GPUs: [N][rows][columns] → [N][columns][rows].
// NDRange : 1-D, each work-item takes a share of the N · ceil(sites / BLOCK) blocks of sites
//           transpose_tiles: (groups · SIDE, SIDE / 4), local (SIDE, SIDE / 4); groups stride over the tiles
// Tunables: T element type (int, long, uchar: only moved); WORDS 1 where it has four bytes; VEC {4, 8, 16}
//           SIDE {4, 8, 16, 32} of a tile, 0: without transpose_tiles
// Needs   : OpenCL C 1.2.  Numerics: none
enum { IN_BLOCK = 16, OUT_BLOCK = 32 };

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

#if WORDS // as floats, which are moved only
#define VT STP_CAT(float, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define LINE 16 // words in a line of cache

// VEC channels of LINE sites. Written past the cache, outputs take a third of the time.
static void transpose_line(__global const float *in, __global float *out, int channels, int sites)
{
    VT x[LINE];
#pragma unroll
    for (int i = 0; i < LINE; i++)
        x[i] = VLOAD(0, in + (size_t)i * channels);
#pragma unroll
    for (int k = 0; k < LINE; k += VEC)
        STP_CAT(stp_transpose, VEC)(x + k);
#pragma unroll
    for (int i = 0; i < VEC; i++)
#pragma unroll
        for (int k = 0; k < LINE; k += VEC)
            if (sites % LINE == 0)
                STP_STREAM(x[k + i], out + (size_t)i * sites + k);
            else
                VSTORE(x[k + i], 0, out + (size_t)i * sites + k);
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
        for (; c + VEC <= channels; c += VEC) {
            int s = first;
            for (; s + LINE <= last; s += LINE)
                transpose_line((__global const float *)in + (size_t)s * channels + c, (__global float *)out + (size_t)c * sites + s,
                               channels, sites);
            for (; s < last; s++)
                for (int i = 0; i < VEC; i++)
                    out[(size_t)(c + i) * sites + s] = in[(size_t)s * channels + c + i];
        }
#endif
        for (; c < channels; c++)
            for (int s = first; s < last; s++)
                out[(size_t)c * sites + s] = in[(size_t)s * channels + c];
    }
}

#if SIDE
__kernel __attribute__((reqd_work_group_size(SIDE, SIDE / 4, 1))) void
transpose_tiles(__global const T *restrict from, __global T *restrict to, int images, int rows, int columns)
{
    __local T tile[SIDE][SIDE + 1];
    const int across = (columns + SIDE - 1) / SIDE, down = (rows + SIDE - 1) / SIDE;
    const int lx = get_local_id(0), ly = get_local_id(1);
    for (int t = get_group_id(0); t < images * down * across; t += get_num_groups(0)) {
        const size_t image = (size_t)(t / across / down) * rows * columns;
        const int row0 = t / across % down * SIDE, column0 = t % across * SIDE;
        barrier(CLK_LOCAL_MEM_FENCE); // the tile before is read
        for (int i = ly; i < SIDE && row0 + i < rows; i += SIDE / 4)
            if (column0 + lx < columns)
                tile[i][lx] = from[image + (size_t)(row0 + i) * columns + column0 + lx];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = ly; i < SIDE && column0 + i < columns; i += SIDE / 4)
            if (row0 + lx < rows)
                to[image + (size_t)(column0 + i) * rows + row0 + lx] = tile[lx][i];
    }
}
#endif
