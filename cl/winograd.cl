// SPDX-License-Identifier: Apache-2.0
// winograd: a 3×3 convolution, stride 1, at every site, by F(4×4, 3×3) of Lavin and Gray (arXiv 1509.09308): tiles of 4×4 outputs from
// 6×6 inputs, 36 points a tile. winograd_input gives v = Bᵀ·d·B, winograd_weights u = G·w·Gᵀ, winograd_output the products m = Σ_ic v·u per
// point, and Aᵀ·m·A.
// NDRange : (groups), local (1), which take `tiles` (input), panels (weights) or register tiles (output; panel slowest) in turns. Input and
//           output take tiles `first` … first + tiles − 1 of the image's.
// in, out : [sites][channels] f32; a point outside the image reads `zeros` ([IC]); v: [tiles][36][IC] f32
// w       : [OC / TILE_N][9][IC][TILE_N] f32, packed by pack_conv_weights()
// u       : [panels][36][IC][TILE_N] f32. Where panels are more than groups, [groups]…: each group makes those of the panel that it is at, and
//           there is no winograd_weights: all of u are four times w, to hold and to read
// bias    : [OC] f32; identity: as out, and perhaps its very memory
// turn    : as stp_turns() needs it
// size    : input: H, W, tiles down, tiles across, pad y x, IC; output: OH, OW, tiles down, tiles across, IC, OC, flags, whether u is
//           there
// Tunables: TILE_M, VEC, VECS as conv_rows; TILE_N = VEC · VECS. IC % VEC == 0, OC % TILE_N == 0
// Needs   : OpenCL C 1.2.  Numerics: reordered: relative error about 1e-5; a NaN or Inf spreads over its tile
#define VT STP_CAT(float, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define TILE_N (VEC * VECS)
#define AHEAD 32 // as in conv_rows.cl
#define POINTS 36

// Bits of flags, as conv_rows'
#define HAS_BIAS 2
#define HAS_IDENTITY 4
#define RELU 16

// Bᵀ·d along one axis; results `step` apart
static void transform_input(VT d0, VT d1, VT d2, VT d3, VT d4, VT d5, VT *to, int step)
{
    VT a = fma((VT)(-4.0f), d2, d4), b = fma((VT)(-4.0f), d1, d3), c = d4 - d2, e = 2.0f * (d3 - d1);
    to[0] = fma((VT)(4.0f), d0, fma((VT)(-5.0f), d2, d4));
    to[step] = a + b;
    to[2 * step] = a - b;
    to[3 * step] = c + e;
    to[4 * step] = c - e;
    to[5 * step] = fma((VT)(4.0f), d1, fma((VT)(-5.0f), d3, d5));
}

// G·w, likewise; scaled first, so that no sum overflows
static void transform_weights(VT w0, VT w1, VT w2, VT *to, int step)
{
    const VT a = (1.0f / 24.0f) * w0, b = (1.0f / 24.0f) * w1, c = (1.0f / 24.0f) * w2, even = a + c, far = fma((VT)(4.0f), c, a);
    to[0] = 0.25f * w0;
    to[step] = -4.0f * (even + b);
    to[2 * step] = -4.0f * (even - b);
    to[3 * step] = fma((VT)(2.0f), b, far);
    to[4 * step] = fma((VT)(-2.0f), b, far);
    to[5 * step] = w2;
}

// Aᵀ·m, likewise
static void transform_output(VT m0, VT m1, VT m2, VT m3, VT m4, VT m5, VT *to, int step)
{
    VT s = m1 + m2, d = m1 - m2, t = m3 + m4, e = m3 - m4;
    to[0] = m0 + s + t;
    to[step] = fma((VT)(2.0f), e, d);
    to[2 * step] = fma((VT)(4.0f), t, s);
    to[3 * step] = fma((VT)(8.0f), e, d) + m5;
}

__kernel STP_VECTORS void winograd_input(__global const float *restrict in, __global const float *restrict zeros,
                                         __global float *restrict v, int first, int tiles, int8 size, __global int *turn)
{
    const int h = size.s0, w = size.s1, tiles_y = size.s2, tiles_x = size.s3, pad_y = size.s4, pad_x = size.s5,
              ic = size.s6, vectors = ic / VEC;
    struct stp_turns turns = stp_turns(turn, tiles);
    for (int i; (i = stp_next(&turns)) >= 0;) {
        const int tile = first + i, line = tile / tiles_x, image = line / tiles_y;
        const int y0 = (line - image * tiles_y) * 4 - pad_y, x0 = (tile - line * tiles_x) * 4 - pad_x;
        __global const float *from[POINTS];
        for (int p = 0; p < POINTS; p++) {
            const int y = y0 + p / 6, x = x0 + p % 6;
            from[p] = y >= 0 && y < h && x >= 0 && x < w ? in + (size_t)((image * h + y) * w + x) * ic : zeros;
        }
        for (int c = 0; c < vectors; c++) {
            VT half_way[POINTS];
#pragma unroll
            for (int x = 0; x < 6; x++)
                transform_input(VLOAD(c, from[x]), VLOAD(c, from[6 + x]), VLOAD(c, from[12 + x]), VLOAD(c, from[18 + x]),
                                VLOAD(c, from[24 + x]), VLOAD(c, from[30 + x]), half_way + x, 6);
            __global float *to = v + (size_t)i * POINTS * ic;
#pragma unroll
            for (int y = 0; y < 6; y++) {
                VT t[6];
                transform_input(half_way[y * 6], half_way[y * 6 + 1], half_way[y * 6 + 2], half_way[y * 6 + 3],
                                half_way[y * 6 + 4], half_way[y * 6 + 5], t, 1);
#pragma unroll
                for (int x = 0; x < 6; x++)
                    VSTORE(t[x], c, to + (y * 6 + x) * ic);
            }
        }
    }
}

// u of a panel of w.
static void transform_panel(__global const float *w, __global float *u, int ic)
{
    const int step = ic * VECS; // vectors of a tap, and of a point
    for (int i = 0; i < step; i++) {
        VT half_way[18];
#pragma unroll
        for (int x = 0; x < 3; x++)
            transform_weights(VLOAD(i + x * step, w), VLOAD(i + (3 + x) * step, w), VLOAD(i + (6 + x) * step, w), half_way + x, 3);
#pragma unroll
        for (int y = 0; y < 6; y++) {
            VT t[6];
            transform_weights(half_way[y * 3], half_way[y * 3 + 1], half_way[y * 3 + 2], t, 1);
#pragma unroll
            for (int x = 0; x < 6; x++)
                VSTORE(t[x], i + (y * 6 + x) * step, u);
        }
    }
}

__kernel STP_VECTORS void winograd_weights(__global const float *restrict w, __global float *restrict u, int ic, int panels, __global int *turn)
{
    struct stp_turns turns = stp_turns(turn, panels);
    for (int panel; (panel = stp_next(&turns)) >= 0;)
        transform_panel(w + (size_t)panel * 9 * ic * TILE_N, u + (size_t)panel * POINTS * ic * TILE_N, ic);
}

// Aᵀ·m·A and the tail for a tile and VEC channels: down × across outputs, their rows `row` and their columns `column` numbers apart.
static void finish_tile(const VT *m, int down, int across, size_t row, size_t column, int flags,
                        __global const float *bias, __global const float *identity, __global float *out)
{
    VT half_way[24], y[16];
#pragma unroll
    for (int i = 0; i < 6; i++)
        transform_output(m[i], m[6 + i], m[12 + i], m[18 + i], m[24 + i], m[30 + i], half_way + i, 6);
#pragma unroll
    for (int i = 0; i < 4; i++)
        transform_output(half_way[i * 6], half_way[i * 6 + 1], half_way[i * 6 + 2], half_way[i * 6 + 3], half_way[i * 6 + 4],
                         half_way[i * 6 + 5], y + i * 4, 1);
    const VT b = flags & HAS_BIAS ? VLOAD(0, bias) : (VT)(0.0f);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (i >= down || j >= across)
                continue;
            const size_t at = i * row + j * column;
            VT z = y[i * 4 + j] + b;
            if (flags & HAS_IDENTITY)
                z += VLOAD(0, identity + at);
            if (flags & RELU)
                z = select(z, (VT)(0.0f), z < (VT)(0.0f));
            VSTORE(z, 0, out + at);
        }
}

__kernel STP_VECTORS void winograd_output(__global const float *restrict v, __global const float *restrict w,
                                          __global float *restrict u, __global const float *restrict bias,
                                          __global const float *identity, __global float *out, int first, int tiles, int8 size,
                                          __global int *turn)
{
    const int oh = size.s0, ow = size.s1, tiles_y = size.s2, tiles_x = size.s3, ic = size.s4, oc = size.s5,
              flags = size.s6, made = size.s7, panels = oc / TILE_N;
    const int per_panel = (tiles + TILE_M - 1) / TILE_M;
    struct stp_turns turns = stp_turns(turn, per_panel * panels);
    int transformed = -1; // panel
    for (int unit; (unit = stp_next(&turns)) >= 0;) {
        const int panel = unit / per_panel, tile0 = (unit - panel * per_panel) * TILE_M;
        __global float *weights = u + (size_t)(made ? panel : turns.group) * POINTS * ic * TILE_N;
        if (!made && panel != transformed) {
            transform_panel(w + (size_t)panel * 9 * ic * TILE_N, weights, ic);
            transformed = panel;
        }
        VT sums[TILE_M * VECS][POINTS];
        __global const float *from[TILE_M];
        for (int m = 0; m < TILE_M; m++)
            from[m] = v + (size_t)min(tile0 + m, tiles - 1) * POINTS * ic;
        for (int point = 0; point < POINTS; point++) {
            VT acc[TILE_M][VECS];
            __global const float *x[TILE_M];
#pragma unroll
            for (int m = 0; m < TILE_M; m++) {
                x[m] = from[m] + point * ic;
#pragma unroll
                for (int n = 0; n < VECS; n++)
                    acc[m][n] = (VT)(0.0f);
            }
            for (int k = 0; k < ic; k++) {
                VT weight[VECS];
#pragma unroll
                for (int n = 0; n < VECS; n++)
                    weight[n] = VLOAD(n, weights);
#pragma unroll
                for (int n = 0; n < TILE_N; n += 16) // a line
                    STP_PREFETCH(weights + AHEAD * TILE_N + n, 3);
                weights += TILE_N;
#pragma unroll
                for (int m = 0; m < TILE_M; m++) {
                    const VT value = (VT)(x[m][k]);
#pragma unroll
                    for (int n = 0; n < VECS; n++)
                        acc[m][n] = fma(value, weight[n], acc[m][n]);
                }
            }
#pragma unroll
            for (int m = 0; m < TILE_M; m++)
#pragma unroll
                for (int n = 0; n < VECS; n++)
                    sums[m * VECS + n][point] = acc[m][n];
        }
        for (int m = 0; m < TILE_M; m++) {
            if (tile0 + m >= tiles)
                break;
            const int tile = first + tile0 + m, line = tile / tiles_x, image = line / tiles_y;
            const int y0 = (line - image * tiles_y) * 4, x0 = (tile - line * tiles_x) * 4;
            const size_t corner = ((size_t)(image * oh + y0) * ow + x0) * oc + panel * TILE_N;
            for (int n = 0; n < VECS; n++)
                finish_tile(sums[m * VECS + n], min(4, oh - y0), min(4, ow - x0), (size_t)ow * oc, oc, flags,
                            bias + panel * TILE_N + n * VEC, identity + corner + n * VEC, out + corner + n * VEC);
        }
    }
}
