// SPDX-License-Identifier: Apache-2.0
// mask_conv: out[r][oc] = (Σ over taps, in raster order, of part[site(r) + tap][oc][tap]) + bias[oc], the second half of a mask
// convolution (SPEC.md, Order); the first is a pointwise one with a column per (oc, tap): project, conv_rows. A tap outside the image adds +0.
// NDRange : 1-D, each work-item takes a share of the output's rows
// part    : [rows or sites] and [columns] f32, `row_step` and `column_step` apart, this convolution's from column `first` on
// bias    : [OC] f32; out: [rows][OC] f32
// size    : H, W, OH, OW, KH, KW, stride y x, dilation y x, pad y x, OC, has bias, first, row_step
// Tunables: VEC {4, 8, 16}
// Needs   : OpenCL C 1.2.  Numerics: exact
#define VT STP_CAT(float, VEC)

__kernel void mask_conv(__global const float *restrict part, __global const int *restrict in_inverse,
                        __global const int *restrict in_count, int in_sites, __global const float *restrict bias,
                        __global float *restrict out, __global const int *restrict out_rows,
                        __global const int *restrict out_count, int out_sites, int column_step, int16 size)
{
    const int h = size.s0, w = size.s1, oh = size.s2, ow = size.s3, kh = size.s4, kw = size.s5, oc = size.sc, row_step = size.sf;
    const int taps = kh * kw, rows = out_count[0];
    const int out_listed = rows < out_sites, in_listed = in_count[0] < in_sites;
    const int2 share = stp_share(rows);
    __global const float *first = part + (size_t)size.se * column_step;
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
        // Neighbouring sites side by side, where their windows neither leave their line nor the share.
        if (oc == 1 && row_step == 1 && size.s7 == 1 && !in_listed && !out_listed && left >= 0 &&
            left + VEC - 1 + (kw - 1) * size.s9 < w && r + VEC <= min(share.y, next)) {
            VT sum = (VT)(0.0f);
            for (int tap = 0; tap < taps; tap++) {
                const int y = top + tap / kw * size.s8;
                VT value = (VT)(0.0f);
                if (y >= 0 && y < h)
                    value = STP_CAT(vload, VEC)(0, first + (size_t)tap * column_step + (n * h + y) * w + left + tap % kw * size.s9);
                sum = tap == 0 ? value : sum + value;
            }
            if (size.sd)
                sum += bias[0];
            STP_CAT(vstore, VEC)(sum, 0, out + r);
            r += VEC - 1;
            continue;
        }
        for (int c = 0; c < oc; c++) {
            __global const float *column = first + (size_t)c * taps * column_step;
            float sum = 0.0f;
            for (int ky = 0; ky < kh; ky++) {
                const int y = top + ky * size.s8;
                for (int kx = 0; kx < kw; kx++, column += column_step) {
                    const int x = left + kx * size.s9;
                    float value = 0.0f;
                    if (inside || (y >= 0 && y < h && x >= 0 && x < w)) {
                        int from = (n * h + y) * w + x;
                        if (in_listed)
                            from = in_inverse[from];
                        value = column[(size_t)from * row_step];
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
