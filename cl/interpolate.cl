// SPDX-License-Identifier: Apache-2.0
// interpolate: out[r] = tail(x[site] where the mask is 1, else Σ w·x[sampled neighbour] / (Σ w + epsilon)), SPEC.md.
// NDRange : 1-D, each work-item takes a share of the output's rows
// x       : [rows or sites][C] f32; mask: [1 or N][H·W] f32; taps: [TAPS] int2 (dy, dx); weights: [TAPS] f32, raster order
// bias    : [C] f32; identity: [rows or sites][C] f32; out: [rows][C] f32, may be the identity's own memory
// size    : H, W, C, mask sites, flags
// Tunables: TAPS number of kept taps (fixed per kernel of the model); VEC {4, 8, 16}
// Needs   : OpenCL C 1.2.  Numerics: exact; two fma chains over the sampled taps, one division, then the tail, each rounded
#define VT STP_CAT(float, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define DIV_BY STP_CAT(stp_div_by, VEC)
STP_DEFINE_DIV(VEC)

#define HAS_BIAS 1
#define HAS_IDENTITY 2
#define IDENTITY_ROWS 4 // the identity has the output's rows; otherwise all sites
#define RELU 8

// Vectors of a row at a time: more than one, so that a tap's address and weight serve several.
#define WIDE 4

// value += bias, += identity, Relu, as the flags say; `at` is the first channel.
static VT tail(VT value, int flags, __global const float *bias, __global const float *add, int at)
{
    if (flags & HAS_BIAS)
        value += VLOAD(0, bias + at);
    if (flags & HAS_IDENTITY)
        value += VLOAD(0, add + at);
    return (flags & RELU) ? select(value, (VT)(0.0f), value < (VT)(0.0f)) : value;
}

// The sampled neighbours of an unsampled site: where they start in x, and their weights.
struct neighbours {
    int n;
    int from[TAPS];
    float weight[TAPS];
};

__kernel void interpolate(__global const float *restrict x, __global const int *restrict x_inverse,
                          __global const int *restrict x_count, int x_sites, __global const float *restrict mask,
                          __global const int2 *restrict taps, __global const float *restrict weights, float epsilon,
                          __global const float *restrict bias, __global const float *identity, __global float *out,
                          __global const int *restrict out_rows, __global const int *restrict out_count, int out_sites,
                          int8 size)
{
    const int h = size.s0, w = size.s1, channels = size.s2, mask_sites = size.s3, flags = size.s4;
    const int rows = out_count[0], out_listed = rows < out_sites, x_listed = x_count[0] < x_sites;
    const int wide_end = channels / (WIDE * VEC) * (WIDE * VEC), vector_end = channels / VEC * VEC;
    const int2 share = stp_share(rows);
    for (int r = share.x; r < share.y; r++) {
        const int site = out_listed ? out_rows[r] : r;
        const int xx = site % w, y = site / w % h;
        __global const float *m = mask + (mask_sites == out_sites ? site : site % mask_sites);
        __global float *to = out + (size_t)r * channels;
        __global const float *add = identity + (size_t)((flags & IDENTITY_ROWS) ? r : site) * channels;
        if (m[0] != 0) {
            __global const float *from = x + (size_t)(x_listed ? x_inverse[site] : site) * channels;
            for (int c = 0; c < vector_end; c += VEC)
                VSTORE(tail(VLOAD(0, from + c), flags, bias, add, c), 0, to + c);
            for (int c = vector_end; c < channels; c++) {
                float value = from[c];
                if (flags & HAS_BIAS)
                    value += bias[c];
                if (flags & HAS_IDENTITY)
                    value += add[c];
                to[c] = (flags & RELU) ? stp_relu(value) : value;
            }
            continue;
        }
        struct neighbours near;
        near.n = 0;
        float sum = 0.0f;
        for (int t = 0; t < TAPS; t++) {
            const int dy = taps[t].x, dx = taps[t].y;
            if (y + dy < 0 || y + dy >= h || xx + dx < 0 || xx + dx >= w || m[dy * w + dx] == 0)
                continue;
            const int at = site + dy * w + dx;
            near.from[near.n] = x_listed ? x_inverse[at] : at;
            near.weight[near.n++] = weights[t];
            sum += weights[t];
        }
        const float denominator = sum + epsilon;
        const float2 reciprocal = stp_recip(denominator);
        for (int c = 0; c < wide_end; c += WIDE * VEC) {
            VT value[WIDE];
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                value[i] = (VT)(0.0f);
            for (int t = 0; t < near.n; t++) {
                __global const float *from = x + (size_t)near.from[t] * channels + c;
                const VT weight = (VT)(near.weight[t]);
#pragma unroll
                for (int i = 0; i < WIDE; i++)
                    value[i] = fma(VLOAD(i, from), weight, value[i]);
            }
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                VSTORE(tail(DIV_BY(value[i], denominator, reciprocal), flags, bias, add, c + i * VEC), i, to + c);
        }
        for (int c = wide_end; c < vector_end; c += VEC) {
            VT value = (VT)(0.0f);
            for (int t = 0; t < near.n; t++)
                value = fma(VLOAD(0, x + (size_t)near.from[t] * channels + c), (VT)(near.weight[t]), value);
            VSTORE(tail(DIV_BY(value, denominator, reciprocal), flags, bias, add, c), 0, to + c);
        }
        for (int c = vector_end; c < channels; c++) {
            float value = 0.0f;
            for (int t = 0; t < near.n; t++)
                value = fma(x[(size_t)near.from[t] * channels + c], near.weight[t], value);
            value = stp_div_by(value, denominator, reciprocal);
            if (flags & HAS_BIAS)
                value += bias[c];
            if (flags & HAS_IDENTITY)
                value += add[c];
            to[c] = (flags & RELU) ? stp_relu(value) : value;
        }
    }
}
