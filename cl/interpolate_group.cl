// SPDX-License-Identifier: Apache-2.0
// interpolate_group: what interpolate.cl computes, without projection, for devices whose neighbouring work-items should read
// neighbouring memory: a row of items takes a site, a vector of channels each.
// NDRange : 2-D, local (LX, LY); dimension 0 has LX items, dimension 1 strides over the output's rows
// x, mask, weights, bias, identity, out, size: as in interpolate.cl
// Tunables: BOX_H, BOX_W (fixed per kernel of the model); VEC 4 where C % 4 == 0, else 1; WIDE {1, 2, 4}: vectors of an item at a time
// Needs   : OpenCL C 1.2.  Numerics: exact; two fma chains over the sampled taps, one division, then the tail, each rounded
#if VEC == 4
#define VT float4
#define DIV_BY stp_div_by4
STP_DEFINE_DIV(4)
#else
#define VT float
#define DIV_BY stp_div_by
#endif
#define AT(pointer, i) (((__global const VT *)(pointer))[i])

#define HAS_BIAS 1
#define HAS_IDENTITY 2
#define IDENTITY_ROWS 4
#define RELU 8

__kernel void interpolate_group(__global const float *restrict x, __global const int *restrict x_inverse,
                                __global const int *restrict x_count, int x_sites, __global const float *restrict mask,
                                __global const float *restrict weights, float epsilon, __global const float *restrict bias,
                                __global const float *identity, __global float *out, __global const int *restrict out_rows,
                                __global const int *restrict out_count, int out_sites, int8 size)
{
    const int h = size.s0, w = size.s1, channels = size.s2, mask_sites = size.s3, flags = size.s4;
    const int rows = out_count[0], out_listed = rows < out_sites, x_listed = x_count[0] < x_sites;
    const int vectors = channels / VEC, first = get_global_id(0), across = get_global_size(0);
    for (int r = get_global_id(1); r < rows; r += get_global_size(1)) {
        const int site = out_listed ? out_rows[r] : r;
        const int line = site / w, sx = site - line * w, sy = line % h;
        __global const float *m = mask + (mask_sites == out_sites ? (size_t)(line - sy) * w : 0);
        const int sampled = m[sy * w + sx] != 0;
        for (int v0 = first; v0 < vectors; v0 += WIDE * across) {
            VT value[WIDE];
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                value[i] = (VT)(0.0f);
            if (sampled) {
                __global const float *from = x + (size_t)(x_listed ? x_inverse[site] : site) * channels;
#pragma unroll
                for (int i = 0; i < WIDE; i++)
                    if (v0 + i * across < vectors)
                        value[i] = AT(from, v0 + i * across);
            } else {
                float sum = 0.0f;
                for (int k = 0; k < BOX_H * BOX_W; k++) {
                    const int dy = size.s5 + k / BOX_W, dx = size.s6 + k % BOX_W, ty = sy + dy, tx = sx + dx;
                    const float weight = weights[k];
                    if (weight == 0 || ty < 0 || ty >= h || tx < 0 || tx >= w || m[ty * w + tx] == 0)
                        continue;
                    const int at = site + dy * w + dx;
                    __global const float *from = x + (size_t)(x_listed ? x_inverse[at] : at) * channels;
#pragma unroll
                    for (int i = 0; i < WIDE; i++)
                        if (v0 + i * across < vectors)
                            value[i] = fma(AT(from, v0 + i * across), (VT)(weight), value[i]);
                    sum += weight;
                }
                const float denominator = sum + epsilon;
                const float2 reciprocal = stp_recip(denominator);
#pragma unroll
                for (int i = 0; i < WIDE; i++)
                    value[i] = DIV_BY(value[i], denominator, reciprocal);
            }
            __global const float *add = identity + (size_t)((flags & IDENTITY_ROWS) ? r : site) * channels;
#pragma unroll
            for (int i = 0; i < WIDE; i++) {
                const int v = v0 + i * across;
                VT y = value[i];
                if (v >= vectors)
                    break;
                if (flags & HAS_BIAS)
                    y += AT(bias, v);
                if (flags & HAS_IDENTITY)
                    y += AT(add, v);
                if (flags & RELU)
                    y = y < (VT)(0.0f) ? (VT)(0.0f) : y;
                ((__global VT *)(out + (size_t)r * channels))[v] = y;
            }
        }
    }
}
