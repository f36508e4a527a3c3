// SPDX-License-Identifier: Apache-2.0
// conv_tile: what conv_rows.cl computes, for devices with local memory of their own: a work-group of L × L items computes
// TILE_M = L · RM rows × TILE_N = L · RN output channels, through tiles of the input and the weights in local memory.
// NDRange : (groups · L, L), local (L, L); groups stride over the ceil(rows / TILE_M) · panels tiles, panel fastest
// in, w, bias, identity, out, size: as in conv_rows.cl; w is packed for TILE_N columns; `zeros` is not used
// Tunables: L {1, 2, 4, 8, 16}  RM, RN {1, 2, 4, 8}  KC {8, 16}: input channels per step
// Needs   : OpenCL C 1.2; local memory KC · (TILE_M + 1 + TILE_N) · 4 + TILE_M · 4 bytes
// Numerics: exact; one fma chain over (tap, ic) from the bias
#define TILE_M (L * RM)
#define TILE_N (L * RN)

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

// Bits of FLAGS, as in conv_rows.cl
#define SAME_ROWS 1
#define HAS_BIAS 2
#define HAS_IDENTITY 4
#define IDENTITY_ROWS 8
#define RELU 16

// The row of `in` that tap (dy, dx) of output row r reads, or -1 outside the image.
// No `restrict` here: inlined, it becomes an LLVM intrinsic that Oclgrind 21.10 does not know.
static int input_row(int r, int dy, int dx, __global const int *in_inverse, int in_listed, __global const int *out_rows,
                     int out_listed, int16 size)
{
    if (FLAGS & SAME_ROWS)
        return r;
    const int site = out_listed ? out_rows[r] : r;
    const int line = site / OW;
    const int y = line % OH * STRIDE_Y - PAD_Y + dy, x = (site - line * OW) * STRIDE_X - PAD_X + dx;
    if (y < 0 || y >= H || x < 0 || x >= W)
        return -1;
    const int from = (line / OH * H + y) * W + x;
    return in_listed ? in_inverse[from] : from;
}

__kernel __attribute__((reqd_work_group_size(L, L, 1))) void
conv_tile(__global const float *restrict in, __global const int *restrict in_inverse,
          __global const int *restrict in_count, int in_sites, __global const float *restrict w,
          __global const float *restrict bias, __global const float *identity,
          __global const float *restrict zeros, __global float *out, __global const int *restrict out_rows,
          __global const int *restrict out_count, int out_sites, int16 size)
{
    __local float a[KC][TILE_M + 1];
    __local float b[KC][TILE_N];
    __local int from[TILE_M];
    const int rows = out_count[0];
    const int out_listed = rows < out_sites, in_listed = in_count[0] < in_sites;
    const int icg = IC / GROUPS, ocg = OC / GROUPS, taps = KH * KW;
    const int group_panels = (ocg + TILE_N - 1) / TILE_N, panels = GROUPS * group_panels;
    const int tiles = (rows + TILE_M - 1) / TILE_M * panels;
    const int lx = get_local_id(0), ly = get_local_id(1), item = ly * L + lx;

    for (int tile = get_group_id(0); tile < tiles; tile += get_num_groups(0)) {
        const int panel = tile % panels, row0 = tile / panels * TILE_M;
        const int conv_group = panel / group_panels;
        const int oc0 = conv_group * ocg + panel % group_panels * TILE_N, oc_end = (conv_group + 1) * ocg;
        __global const float *wp = w + (size_t)panel * taps * icg * TILE_N;

        float acc[RM][RN];
#pragma unroll
        for (int j = 0; j < RN; j++) {
            const int oc = oc0 + lx + j * L;
            const float start = (FLAGS & HAS_BIAS) && oc < oc_end ? bias[oc] : 0.0f;
#pragma unroll
            for (int i = 0; i < RM; i++)
                acc[i][j] = start;
        }

        for (int tap = 0; tap < taps; tap++) {
            barrier(CLK_LOCAL_MEM_FENCE); // the step before has read `from`, a and b
            for (int m = item; m < TILE_M; m += L * L)
                from[m] = row0 + m < rows ? input_row(row0 + m, tap / KW * DILATION_Y, tap % KW * DILATION_X, in_inverse,
                                                      in_listed, out_rows, out_listed, size)
                                          : -1;
            for (int k0 = 0; k0 < icg; k0 += KC) {
                const int depth = min(KC, icg - k0);
                barrier(CLK_LOCAL_MEM_FENCE); // `from` is written; a and b are read
                for (int i = item; i < TILE_M * KC; i += L * L) {
                    const int m = i / KC, k = i % KC;
                    a[k][m] = k < depth && from[m] >= 0 ? in[(size_t)from[m] * IC + conv_group * icg + k0 + k] : 0.0f;
                }
                for (int i = item; i < depth * TILE_N; i += L * L)
                    b[i / TILE_N][i % TILE_N] = wp[(size_t)k0 * TILE_N + i];
                barrier(CLK_LOCAL_MEM_FENCE);
                for (int k = 0; k < depth; k++) {
                    float x[RM], weight[RN];
#pragma unroll
                    for (int i = 0; i < RM; i++)
                        x[i] = a[k][ly * RM + i];
#pragma unroll
                    for (int j = 0; j < RN; j++)
                        weight[j] = b[k][lx + j * L];
#pragma unroll
                    for (int i = 0; i < RM; i++)
#pragma unroll
                        for (int j = 0; j < RN; j++)
                            acc[i][j] = fma(x[i], weight[j], acc[i][j]);
                }
            }
            wp += (size_t)icg * TILE_N;
        }

#pragma unroll
        for (int i = 0; i < RM; i++) {
            const int row = row0 + ly * RM + i;
            if (row >= rows)
                continue;
            const int other = (FLAGS & IDENTITY_ROWS) || !out_listed ? row : out_rows[row];
#pragma unroll
            for (int j = 0; j < RN; j++) {
                const int oc = oc0 + lx + j * L;
                if (oc >= oc_end)
                    continue;
                float y = acc[i][j];
                if (FLAGS & HAS_IDENTITY)
                    y += identity[(size_t)other * OC + oc];
                out[(size_t)row * OC + oc] = (FLAGS & RELU) ? stp_relu(y) : y;
            }
        }
    }
}
