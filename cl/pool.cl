// SPDX-License-Identifier: Apache-2.0
// pool, pool_channels: MaxPool and AveragePool over N×H×W×C; global_average, global_average_channels: GlobalAveragePool to N×C, through
// LANES sums, of every LANES-th site each, added in pairs, l and l + LANES / 2 first.
// NDRange : 1-D; pool: each work-item takes a share of the N·OH·OW output sites; pool_channels, for GPUs, strides over N·OH·OW·C;
//           global_average and, for GPUs, global_average_channels stride over N·C
// size    : H, W, OH, OW, KH, KW, stride y x, dilation y x, pad y x, C, flags, end y x (of the padding behind the image)
// Tunables: VEC {4, 8, 16}
// Needs   : OpenCL C 1.2.  Numerics: exact; taps in raster order, from -Inf or +0, then one division; ops/pool.h for the lanes
#define VT STP_CAT(float, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define DIV_BY STP_CAT(stp_div_by, VEC)
STP_DEFINE_DIV(VEC)

// Bits of flags
#define AVERAGE 1
#define COUNT_PADDING 2

#define LOG_LANES 6
#define LANES (1 << LOG_LANES)

// Taps at begin, begin + dilation, … that lie before `limit`.
static int taps_before(int begin, int limit, int kernel_size, int dilation)
{
    return limit > begin ? min(kernel_size, (limit - begin + dilation - 1) / dilation) : 0;
}

// Of the window that begins at (y, x): the first tap inside the image and the one behind the last, along y, then along x.
static int4 taps_inside(int y, int x, int16 size)
{
    return (int4)(taps_before(y, 0, size.s4, size.s8), taps_before(y, size.s0, size.s4, size.s8), taps_before(x, 0, size.s5, size.s9),
                  taps_before(x, size.s1, size.s5, size.s9));
}

// What an average divides by.
static float divisor(int y, int x, int4 taps, int16 size)
{
    const int padded = taps_before(y, size.se, size.s4, size.s8) * taps_before(x, size.sf, size.s5, size.s9);
    return (size.sd & COUNT_PADDING) ? padded : (taps.s1 - taps.s0) * (taps.s3 - taps.s2);
}

#define WIDE 4 // vectors at a time

static VT step(VT result, VT tap, int average)
{
    return average ? result + tap : select(result, tap, (tap > result) | (tap != tap));
}

__kernel void pool(__global const float *restrict in, __global float *restrict out, int sites, int16 size)
{
    const int h = size.s0, w = size.s1, oh = size.s2, ow = size.s3, channels = size.sc;
    const int average = size.sd & AVERAGE;
    const int2 share = stp_share(sites);
    for (int site = share.x; site < share.y; site++) {
        const int y = site / ow % oh * size.s6 - size.sa, x = site % ow * size.s7 - size.sb;
        const int4 taps = taps_inside(y, x, size);
        const int y0 = taps.s0, y1 = taps.s1, x0 = taps.s2, x1 = taps.s3;
        const float count = divisor(y, x, taps, size);
        const float2 reciprocal = stp_recip(count);
        __global const float *image = in + (size_t)(site / ow / oh) * h * w * channels;
        __global float *to = out + (size_t)site * channels;
        // One channel: neighbouring sites side by side, where their windows are whole and on one line.
        if (channels == 1 && site % ow + VEC <= ow && site + VEC <= share.y && y0 == 0 && y1 == size.s4 && x0 == 0 &&
            x + (VEC - 1) * size.s7 + (size.s5 - 1) * size.s9 < w) {
            VT result = (VT)(average ? 0.0f : -INFINITY);
            for (int ky = 0; ky < size.s4; ky++)
                for (int kx = 0; kx < size.s5; kx++) {
                    __global const float *tap = image + (y + ky * size.s8) * w + x + kx * size.s9;
                    float lanes[VEC];
#pragma unroll
                    for (int i = 0; i < VEC; i++)
                        lanes[i] = tap[i * size.s7];
                    result = step(result, VLOAD(0, lanes), average);
                }
            const float whole = size.s4 * size.s5;
            VSTORE(average ? DIV_BY(result, whole, stp_recip(whole)) : result, 0, to);
            site += VEC - 1;
            continue;
        }
        int done = 0;
        for (; done + WIDE * VEC <= channels; done += WIDE * VEC) {
            VT result[WIDE];
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                result[i] = (VT)(average ? 0.0f : -INFINITY);
            for (int ky = y0; ky < y1; ky++) {
                __global const float *tap =
                    image + ((size_t)(y + ky * size.s8) * w + x + x0 * size.s9) * channels + done;
                for (int kx = x0; kx < x1; kx++, tap += size.s9 * channels)
#pragma unroll
                    for (int i = 0; i < WIDE; i++)
                        result[i] = step(result[i], VLOAD(i, tap), average);
            }
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                VSTORE(average ? DIV_BY(result[i], count, reciprocal) : result[i], i, to + done);
        }
        for (int c = done; c < channels; c++) {
            float result = average ? 0.0f : -INFINITY;
            for (int ky = y0; ky < y1; ky++)
                for (int kx = x0; kx < x1; kx++) {
                    const float tap = image[((y + ky * size.s8) * w + x + kx * size.s9) * channels + c];
                    result = average ? result + tap : stp_max(result, tap);
                }
            to[c] = average ? stp_div_by(result, count, reciprocal) : result;
        }
    }
}

__kernel void pool_channels(__global const float *restrict in, __global float *restrict out, int sites, int16 size)
{
    const int h = size.s0, w = size.s1, oh = size.s2, ow = size.s3, channels = size.sc;
    const int average = size.sd & AVERAGE;
    for (size_t i = get_global_id(0); i < (size_t)sites * channels; i += get_global_size(0)) {
        const int site = i / channels, c = i - (size_t)site * channels;
        const int y = site / ow % oh * size.s6 - size.sa, x = site % ow * size.s7 - size.sb;
        const int4 taps = taps_inside(y, x, size);
        const int y0 = taps.s0, y1 = taps.s1, x0 = taps.s2, x1 = taps.s3;
        const float count = divisor(y, x, taps, size);
        __global const float *image = in + (size_t)(site / ow / oh) * h * w * channels;
        float result = average ? 0.0f : -INFINITY;
        for (int ky = y0; ky < y1; ky++)
            for (int kx = x0; kx < x1; kx++) {
                const float tap = image[((size_t)(y + ky * size.s8) * w + x + kx * size.s9) * channels + c];
                result = average ? result + tap : stp_max(result, tap);
            }
        out[i] = average ? stp_div(result, count) : result;
    }
}

__kernel void global_average(__global const float *restrict in, __global float *restrict out, int images, int channels,
                             int sites)
{
    for (int i = get_global_id(0); i < images * channels; i += get_global_size(0)) {
        __global const float *x = in + (size_t)(i / channels) * sites * channels + i % channels;
        float lanes[LANES];
        for (int l = 0; l < LANES; l++)
            lanes[l] = 0.0f;
        for (int s = 0; s < sites; s++)
            lanes[s % LANES] += x[(size_t)s * channels];
        for (int step = LANES / 2; step; step /= 2)
            for (int l = 0; l < step; l++)
                lanes[l] += lanes[l + step];
        out[i] = stp_div(lanes[0], (float)sites);
    }
}

__kernel void global_average_channels(__global const float *restrict in, __global float *restrict out, int images,
                                      int channels, int sites)
{
    for (int i = get_global_id(0); i < images * channels; i += get_global_size(0)) {
        __global const float *x = in + (size_t)(i / channels) * sites * channels + i % channels;
        // Lanes one after another, in the order in which they are added, with the sums of the halves that are whole: an array of all lanes
        // does not fit into registers.
        float halves[LOG_LANES], sum = 0.0f;
        for (int lane = 0, from = 0; lane < LANES; lane++) { // `from` counts with its bits reversed
            int pending = 1, bit = LANES / 2;
            sum = 0.0f;
            for (int s = from; s < sites; s += LANES)
                sum += x[(size_t)s * channels];
            for (; from & bit; bit /= 2)
                from -= bit;
            from += bit;
#pragma unroll
            for (int h = 0; h < LOG_LANES; h++)
                if (pending && (lane >> h & 1)) {
                    sum = halves[h] + sum;
                } else if (pending) {
                    halves[h] = sum;
                    pending = 0;
                }
        }
        out[i] = stp_div(sum, (float)sites);
    }
}
