// SPDX-License-Identifier: Apache-2.0
// conv_rows: out[r][oc] = relu?(bias[oc] + Σ in[row(site(r), tap)][ic] · w[tap][ic][oc] + identity?), for the output's rows only.
// NDRange : (groups), local (1), which take the ceil(rows / TILE_M) · panels tiles, in the order (block of up to `most` row
//           tiles, panel, row tile), in turns: a panel's weights stay in cache for the row tiles of a block
// in      : [rows or sites][in_channels] f32; a tap outside the image reads `zeros` ([KW · IC]; fma(0, w, acc): SPEC.md)
// w       : [group][ceil(OC/G / TILE_N)][taps][IC/G][TILE_N] f32, packed by pack_conv_weights(), padded with zeros
// bias    : [OC] f32; identity: as out, and perhaps its very memory, or of all sites
// turn    : as stp_turns() needs it;  most: row tiles of a block, 1 … BLOCK
// size    : H, W, OH, OW, KH, KW, stride y x, dilation y x, pad y x, in channels, out channels, groups, flags
// Tunables: ALIGNED 1 where OC/G % VEC == 0; TILE_M {1 … 16}  VEC {4, 8, 16}  VECS {1, 2, 3, 4}; TILE_N = VEC · VECS
// Needs   : OpenCL C 1.2.  Numerics: exact; one fma chain over (tap, ic) from the bias
#define VT STP_CAT(float, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define TILE_N (VEC * VECS)

#define H size.s0
#define W size.s1
#define OH size.s2
#define OW size.s3
#define KH size.s4
#define KW size.s5
#define STRIDE_Y size.s6
#define STRIDE_X size.s7
#define DILATION_Y size.s8
#define DILATION_X size.s9
#define PAD_Y size.sa
#define PAD_X size.sb
#define IC size.sc
#define OC size.sd
#define GROUPS size.se
#define FLAGS size.sf

#define AHEAD 32 // products by which weights are asked for before they are used: memory is slower than a row tile's fma, and pages are short
#define BLOCK 16
#define CHUNK 64 // products between which rows are asked for
#define RUN 4    // row tiles of a panel that a work-group takes together
#define CACHED 9 // segments whose input rows are kept for all panels of a row tile

// Bits of FLAGS
#define SAME_ROWS 1     // 1×1, stride 1, no padding, and input and output have the same rows
#define HAS_BIAS 2
#define HAS_IDENTITY 4
#define IDENTITY_ROWS 8 // the identity has the output's rows; otherwise all sites
#define RELU 16

// Of the tile's row m, from its first column on.
#define IDENTITY(m) (identity + (size_t)((FLAGS & IDENTITY_ROWS) ? row0 + m : site[m]) * OC + oc0)

// What windows are read from.
struct source {
    __global const float *in, *zeros;
    __global const int *inverse;
    int listed;          // whether `inverse` tells a site's row; otherwise they are the same
    int run;             // taps that lie one behind the other in memory, in a window that does not leave its lines: a segment
    int offsets[CACHED]; // from a window's first site to the first of each such segment
};

// Finds where the segments of the windows of TILE_M sites, in ascending order, start: from the segment `first` on, as many as there is room
// for. from[s · TILE_M + m]: in the input, or `zeros`. Returns the number of taps in a segment.
static int find_segments(const struct source *source, const int *sites, int first, __global const float **from, int16 size)
{
    int top[TILE_M], left[TILE_M], corner[TILE_M], run = source->run, line = 0, image = 0, next = 0;
#pragma unroll 1
    for (int m = 0; m < TILE_M; m++) {
        if (sites[m] >= next) { // divisions are dear
            line = sites[m] / OW;
            image = line / OH;
            next = (line + 1) * OW;
        }
        top[m] = (line - image * OH) * STRIDE_Y - PAD_Y;
        left[m] = (sites[m] - line * OW) * STRIDE_X - PAD_X;
        corner[m] = (image * H + top[m]) * W + left[m];
        if (source->run > 1 && (left[m] < 0 || left[m] + KW > W))
            run = 1;
    }
    const int count = min(CACHED, KH * KW / run - first), straight = run == source->run && first == 0;
#pragma unroll 1
    for (int m = 0; m < TILE_M; m++) {
        const int inside = top[m] >= 0 && top[m] + (KH - 1) * DILATION_Y < H && left[m] >= 0 && left[m] + (KW - 1) * DILATION_X < W;
        int ky = first * run / KW, kx = first * run % KW;
        for (int s = 0; s < count; s++) {
            int row;
            if (inside && straight) {
                row = corner[m] + source->offsets[s];
            } else {
                const int y = top[m] + ky * DILATION_Y, x = left[m] + kx * DILATION_X;
                row = y >= 0 && y < H && x >= 0 && x < W ? corner[m] + ky * DILATION_Y * W + kx * DILATION_X : -1;
                kx += run;
                if (kx >= KW) {
                    kx = 0;
                    ky++;
                }
            }
            if (source->listed && row >= 0)
                row = source->inverse[row];
            from[s * TILE_M + m] = row < 0 ? source->zeros : source->in + (size_t)row * IC;
        }
    }
    return run;
}

__kernel STP_VECTORS void conv_rows(__global const float *restrict in, __global const int *restrict in_inverse,
                                    __global const int *restrict in_count, int in_sites, __global const float *restrict w,
                                    __global const float *restrict bias, __global const float *identity,
                                    __global const float *restrict zeros, __global float *out,
                                    __global const int *restrict out_rows, __global const int *restrict out_count, int out_sites,
                                    int16 size, __global int *turn, int most)
{
    const int rows = out_count[0];
    const int out_listed = rows < out_sites, in_listed = in_count[0] < in_sites;
    const int icg = IC / GROUPS, ocg = OC / GROUPS;
    const int group_panels = (ocg + TILE_N - 1) / TILE_N, panels = GROUPS * group_panels;
    const int taps = KH * KW;
    const int row_tiles = (rows + TILE_M - 1) / TILE_M, blocks = (row_tiles + most - 1) / most;
    const int full = (row_tiles + blocks - 1) / max(blocks, 1); // row tiles of a block but the last, which is hardly smaller
    const int runs = (full + RUN - 1) / RUN;

    struct source source = {.in = in, .zeros = zeros, .inverse = in_inverse, .listed = in_listed};
    source.run = !in_listed && DILATION_X == 1 && GROUPS == 1 ? KW : 1;
    for (int s = 0; s < CACHED; s++)
        source.offsets[s] = s * source.run / KW * DILATION_Y * W + s * source.run % KW * DILATION_X;

    // Of the block's row tiles, once known: their rows' sites, and the segments that they read.
    int sites[BLOCK][TILE_M], per_segment[BLOCK]; // taps
    __global const float *starts[BLOCK][CACHED * TILE_M];
    uint known = 0; // bit per row tile
    int block = -1; // its first row tile

    struct stp_turns turns = stp_turns(turn, blocks * panels * runs);
    for (int unit; (unit = stp_next(&turns)) >= 0;) {
        const int in_panels = unit / runs, b = in_panels / panels, panel = in_panels - b * panels;
        if (b * full != block) {
            block = b * full;
            known = 0;
        }
        const int first = (unit - in_panels * runs) * RUN, last = min(min(first + RUN, full), row_tiles - block);
        for (int r = first; r < last; r++) {
            const int row0 = (block + r) * TILE_M, fresh = !(known >> r & 1);
            int *site = sites[r];
            __global const float **from = starts[r];
            known |= 1u << r;
            const int conv_group = GROUPS == 1 ? 0 : panel / group_panels;
            const int oc0 = conv_group * ocg + (panel - conv_group * group_panels) * TILE_N;
            const int columns = min(TILE_N, (conv_group + 1) * ocg - oc0);
            __global const float *wp = w + (size_t)panel * taps * icg * TILE_N;

            VT acc[TILE_M][VECS];
            if (columns == TILE_N) {
#pragma unroll
                for (int v = 0; v < VECS; v++) {
                    const VT start = (FLAGS & HAS_BIAS) ? VLOAD(v, bias + oc0) : (VT)(0.0f);
#pragma unroll
                    for (int m = 0; m < TILE_M; m++)
                        acc[m][v] = start;
                }
            } else {
                float start[TILE_N];
                for (int n = 0; n < TILE_N; n++)
                    start[n] = (FLAGS & HAS_BIAS) && n < columns ? bias[oc0 + n] : 0.0f;
#pragma unroll
                for (int m = 0; m < TILE_M; m++)
#pragma unroll
                    for (int v = 0; v < VECS; v++)
                        acc[m][v] = VLOAD(v, start);
            }

            // Rows that nobody has read yet come from memory: those of the tile after this one meanwhile.
            const int cold = fresh && taps == 1 && OH == H && OW == W;
            __global const float *next[TILE_M];
            if (fresh) {
                per_segment[r] = 1; // until segments are found, or for good
#pragma unroll 1
                for (int m = 0; m < TILE_M; m++) {
                    const int row = min(row0 + m, rows - 1), later = min(row0 + TILE_M + m, rows - 1);
                    site[m] = out_listed ? out_rows[row] : row;
                    from[m] = in + (size_t)row * IC;
                    int at = later;
                    if (cold && !(FLAGS & SAME_ROWS)) {
                        at = out_listed ? out_rows[later] : later;
                        at = in_listed ? max(in_inverse[at], 0) : at;
                    }
                    next[m] = in + (size_t)at * IC + conv_group * icg;
                }
            }
            if (FLAGS & HAS_IDENTITY)
                for (int m = 0; m < TILE_M; m++) {
                    __global const float *add = IDENTITY(m);
#pragma unroll
                    for (int n = 0; n < TILE_N; n += 16)
                        STP_PREFETCH(add + n, 3);
                }
            for (int segment0 = 0; segment0 < taps / per_segment[r]; segment0 += CACHED) {
                if (!(FLAGS & SAME_ROWS) && (fresh || taps > CACHED * per_segment[r]))
                    per_segment[r] = find_segments(&source, site, segment0, from, size);
                const int depth = per_segment[r] * icg, count = min(CACHED, taps / per_segment[r] - segment0);
                for (int s = 0; s < count; s++) {
                    __global const float *x[TILE_M];
#pragma unroll
                    for (int m = 0; m < TILE_M; m++)
                        x[m] = from[s * TILE_M + m] + conv_group * icg;
                    for (int k = 0; k < depth;) {
                        if (cold)
#pragma unroll 1
                            for (int m = 0; m < TILE_M; m++)
#pragma unroll
                                for (int n = 0; n < CHUNK; n += 16)
                                    STP_PREFETCH(next[m] + k + n, 2);
                        for (const int end = min(k + CHUNK, depth); k < end; k++) {
                            VT weight[VECS];
#pragma unroll
                            for (int v = 0; v < VECS; v++)
                                weight[v] = VLOAD(v, wp);
#pragma unroll
                            for (int n = 0; n < TILE_N; n += 16) // a line
                                STP_PREFETCH(wp + AHEAD * TILE_N + n, 3);
                            wp += TILE_N;
#pragma unroll
                            for (int m = 0; m < TILE_M; m++) {
                                const VT value = (VT)(x[m][k]);
#pragma unroll
                                for (int v = 0; v < VECS; v++)
                                    acc[m][v] = fma(value, weight[v], acc[m][v]);
                            }
                        }
                    }
                }
            }

            if (columns == TILE_N) {
#pragma unroll
                for (int m = 0; m < TILE_M; m++) {
                    if (row0 + m >= rows) // not a way out of the loop, which Intel's compiler would not unroll
                        continue;
                    __global float *to = out + (size_t)(row0 + m) * OC + oc0;
                    __global const float *add = IDENTITY(m);
#pragma unroll
                    for (int v = 0; v < VECS; v++) {
                        VT y = acc[m][v];
                        if (FLAGS & HAS_IDENTITY)
                            y += STP_LOAD(v, add);
                        if (FLAGS & RELU)
                            y = select(y, (VT)(0.0f), y < (VT)(0.0f));
                        STP_STORE(y, v, to);
                    }
                }
            } else {
                float partial[TILE_M][TILE_N];
#pragma unroll
                for (int m = 0; m < TILE_M; m++)
#pragma unroll
                    for (int v = 0; v < VECS; v++)
                        VSTORE(acc[m][v], v, partial[m]);
#pragma unroll 1
                for (int m = 0; m < min(TILE_M, rows - row0); m++) {
                    __global float *to = out + (size_t)(row0 + m) * OC + oc0;
                    __global const float *add = IDENTITY(m);
#pragma unroll 1
                    for (int n = 0; n < columns; n++) {
                        float y = partial[m][n];
                        if (FLAGS & HAS_IDENTITY)
                            y += add[n];
                        to[n] = (FLAGS & RELU) ? stp_relu(y) : y;
                    }
                }
            }
        }
    }
}
