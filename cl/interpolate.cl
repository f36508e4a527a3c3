// SPDX-License-Identifier: Apache-2.0
// interpolate: out[r] = tail(x[site] where the mask is 1, else Σ w·x[sampled neighbour] / (Σ w + epsilon)), SPEC.md.
// NDRange : 1-D, strides over the output's rows; a work-item computes all channels of a row
// x       : [rows or sites][C] f32; mask: [1 or N][H·W] f32; taps: [TAPS] int2 (dy, dx); weights: [TAPS] f32, raster order
// bias    : [C] f32; identity: [rows or sites][C] f32; out: [rows][C] f32
// size    : H, W, C, mask sites, flags
// Tunables: TAPS number of kept taps (fixed per kernel of the model); VEC {4, 8, 16}
// Needs   : OpenCL C 1.2.  Numerics: exact; two fma chains over the sampled taps, one division, then the tail, each rounded
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define VT PASTE(float, VEC)
#define VLOAD PASTE(vload, VEC)
#define VSTORE PASTE(vstore, VEC)
#define DIV_BY PASTE(stp_div_by, VEC)
STP_DEFINE_DIV(VEC)

#define HAS_BIAS 1
#define HAS_IDENTITY 2
#define IDENTITY_ROWS 4 // the identity has the output's rows; otherwise all sites
#define RELU 8

__kernel void interpolate(__global const float *restrict x, __global const int *restrict x_inverse,
                          __global const int *restrict x_count, int x_sites, __global const float *restrict mask,
                          __global const int2 *restrict taps, __global const float *restrict weights, float epsilon,
                          __global const float *restrict bias, __global const float *restrict identity,
                          __global float *restrict out, __global const int *restrict out_rows,
                          __global const int *restrict out_count, int out_sites, int8 size)
{
    const int h = size.s0, w = size.s1, channels = size.s2, mask_sites = size.s3, flags = size.s4;
    const int rows = out_count[0], out_listed = rows < out_sites, x_listed = x_count[0] < x_sites;
    const int steps = channels / VEC;
    for (int r = get_global_id(0); r < rows; r += get_global_size(0)) {
        const int site = out_listed ? out_rows[r] : r;
        const int xx = site % w, y = site / w % h;
        __global const float *m = mask + (mask_sites == out_sites ? site : site % mask_sites);
        // The sampled neighbours: where they lie in x, and their weights.
        int from[TAPS];
        float weight[TAPS];
        int n = 0;
        float sum = 0.0f;
        const bool sampled = m[0] != 0;
        if (sampled) {
            from[n++] = x_listed ? x_inverse[site] : site;
        } else {
            for (int t = 0; t < TAPS; t++) {
                const int dy = taps[t].x, dx = taps[t].y;
                if (y + dy < 0 || y + dy >= h || xx + dx < 0 || xx + dx >= w || m[dy * w + dx] == 0)
                    continue;
                const int at = site + dy * w + dx;
                from[n] = x_listed ? x_inverse[at] : at;
                weight[n++] = weights[t];
                sum += weights[t];
            }
        }
        const float denominator = sum + epsilon;
        const float2 reciprocal = stp_recip(denominator);
        __global float *to = out + (size_t)r * channels;
        __global const float *add = identity + (size_t)((flags & IDENTITY_ROWS) ? r : site) * channels;
        for (int s = 0; s < steps; s++) {
            VT value;
            if (sampled) {
                value = VLOAD(s, x + (size_t)from[0] * channels);
            } else {
                value = (VT)(0.0f);
                for (int t = 0; t < n; t++)
                    value = fma(VLOAD(s, x + (size_t)from[t] * channels), (VT)(weight[t]), value);
                value = DIV_BY(value, denominator, reciprocal);
            }
            if (flags & HAS_BIAS)
                value += VLOAD(s, bias);
            if (flags & HAS_IDENTITY)
                value += VLOAD(s, add);
            if (flags & RELU)
                value = select(value, (VT)(0.0f), value < (VT)(0.0f));
            VSTORE(value, s, to);
        }
        for (int c = steps * VEC; c < channels; c++) {
            float value = 0.0f;
            if (sampled) {
                value = x[(size_t)from[0] * channels + c];
            } else {
                for (int t = 0; t < n; t++)
                    value = fma(x[(size_t)from[t] * channels + c], weight[t], value);
                value = stp_div_by(value, denominator, reciprocal);
            }
            if (flags & HAS_BIAS)
                value += bias[c];
            if (flags & HAS_IDENTITY)
                value += add[c];
            if (flags & RELU)
                value = stp_relu(value);
            to[c] = value;
        }
    }
}
