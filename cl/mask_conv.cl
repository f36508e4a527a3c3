// SPDX-License-Identifier: Apache-2.0
// mask_conv: out[r][oc] = (Σ over taps, in raster order, of part[site(r) + tap][oc][tap]) + bias[oc], the second half of a mask
// convolution (SPEC.md, Order); the first is a pointwise conv_rows with one column per (oc, tap). A tap outside the image adds +0.
// NDRange : 1-D, each work-item takes a share of the output's rows
// part    : [rows or sites][columns] f32, this convolution's from `first` on; bias: [OC] f32; out: [rows][OC] f32
// size    : H, W, OH, OW, KH, KW, stride y x, dilation y x, pad y x, OC, has bias, columns, first
// Needs   : OpenCL C 1.2.  Numerics: exact
__kernel void mask_conv(__global const float *restrict part, __global const int *restrict in_inverse,
                        __global const int *restrict in_count, int in_sites, __global const float *restrict bias,
                        __global float *restrict out, __global const int *restrict out_rows,
                        __global const int *restrict out_count, int out_sites, int16 size)
{
    const int h = size.s0, w = size.s1, oh = size.s2, ow = size.s3, kh = size.s4, kw = size.s5, oc = size.sc;
    const int taps = kh * kw, rows = out_count[0];
    const int out_listed = rows < out_sites, in_listed = in_count[0] < in_sites;
    const int2 share = stp_share(rows);
    int line = 0, n = 0, top = 0, next = 0; // the line of the last site, and the first site behind it
    for (int r = share.x; r < share.y; r++) {
        const int site = out_listed ? out_rows[r] : r;
        if (site >= next) {
            line = site / ow;
            n = line / oh;
            top = (line - n * oh) * size.s6 - size.sa;
            next = (line + 1) * ow;
        }
        const int left = (site - line * ow) * size.s7 - size.sb;
        // Windows that lie inside an image of which all sites are there need no checks.
        const int inside = !in_listed && top >= 0 && left >= 0 && top + (kh - 1) * size.s8 < h && left + (kw - 1) * size.s9 < w;
        for (int c = 0; c < oc; c++) {
            __global const float *column = part + size.sf + c * taps;
            float sum = 0.0f;
            for (int ky = 0; ky < kh; ky++) {
                const int y = top + ky * size.s8;
                if (inside) {
                    __global const float *at = column + ((size_t)(n * h + y) * w + left) * size.se + ky * kw;
                    for (int kx = 0; kx < kw; kx++, at += size.s9 * size.se + 1)
                        sum = ky + kx == 0 ? *at : sum + *at;
                    continue;
                }
                for (int kx = 0; kx < kw; kx++) {
                    const int x = left + kx * size.s9;
                    float value = 0.0f;
                    if (y >= 0 && y < h && x >= 0 && x < w) {
                        int from = (n * h + y) * w + x;
                        if (in_listed)
                            from = in_inverse[from];
                        value = column[(size_t)from * size.se + ky * kw + kx];
                    }
                    sum = ky + kx == 0 ? value : sum + value;
                }
            }
            if (size.sd)
                sum += bias[c];
            out[(size_t)r * oc + c] = sum;
        }
    }
}
