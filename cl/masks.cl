// SPDX-License-Identifier: Apache-2.0
// sample: mask[n][y][x] = 1 on the grid or where the draw falls below sigmoid(logit); else 0 (SPEC.md, stipple.Sample).
// mask_conv: out[r][oc] = (Σ over taps, in raster order, of part[site(r) + tap][oc][tap]) + bias[oc] + identity?, relu?, the second half of
// a mask convolution (SPEC.md, Order); the first is a pointwise one with a column per (oc, tap): project, conv_rows. A tap outside the image
// adds +0. With SAMPLE, `out` is the mask drawn from that instead: of one channel, at all sites.
// NDRange : sample: 1-D, strides over the N·H lines; mask_conv: (items, 1 or 2 convolutions), whose items take a share of the output's rows
//           each, or stride over them. The second convolution differs from the first in what ends with `2`, and in nothing else
// logits  : [N·H·W] f32; seeds: [1] or [N] i64; mask: [N·H·W] f32
// part    : [rows or sites] and [columns] f32, `row_step` and `column_step` apart, this convolution's from column `first` on
// bias    : [OC] f32; identity: as out, or of all sites; out: [rows][OC] f32
// size    : H, W, OH, OW, KH, KW, stride y x, dilation y x, pad y x, OC, flags, first, row_step
// Tunables: VEC {4, 8, 16}; STRIDE 1: neighbouring work-items take neighbouring rows, and then KH, KW, 0 where they are not known
// Needs   : OpenCL C 1.2.  Numerics: exact
#define VT STP_CAT(float, VEC)
#define UT STP_CAT(uint, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
STP_DEFINE_DIV(VEC)
STP_DEFINE_EXP(VEC)

// Bits of flags; the first as conv_rows'
#define HAS_BIAS 2
#define HAS_IDENTITY 4
#define IDENTITY_ROWS 8
#define RELU 16
#define SAMPLE 32

__constant uint lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Drawing ------------------------------------------------------------------------------------------------------------

// stp_philox2x32(), lane by lane.
static UT philox(UT c0, uint c1, uint key)
{
    UT other = (UT)(c1);
    for (int round = 0; round < 10; round++) {
        const UT hi = mul_hi((UT)(0xd256d193u), c0), lo = 0xd256d193u * c0;
        c0 = hi ^ key ^ other;
        other = lo;
        key += 0x9e3779b9u;
    }
    return c0;
}

// VEC neighbouring sites, `at` the first one's number in the image. Drawn where draw < limit, or where logit ≥ 0.
static VT draw(VT logit, uint at, uint key, int stochastic, uint stream)
{
    VT drawn = (VT)(0.0f), limit = logit;
    if (stochastic) {
        const UT r = philox(at + VLOAD(0, lane_numbers), stream, key) >> 8;
        drawn = STP_CAT(convert_float, VEC)(r) * 0x1p-24f;
        limit = STP_CAT(stp_sigmoid, VEC)(logit);
    }
    return select((VT)(0.0f), (VT)(1.0f), stochastic ? drawn < limit : limit >= drawn);
}

static float draw1(float logit, uint at, uint key, int stochastic, uint stream)
{
    bool drawn = logit >= 0.0f;
    if (stochastic)
        drawn = (float)(stp_philox2x32(at, stream, key) >> 8) * 0x1p-24f < stp_sigmoid(logit);
    return drawn ? 1.0f : 0.0f;
}

// Columns x … end − 1 of a line's mask that belong to the grid prior, if the line does.
static void set_grid(__global float *line, int y, int x, int end, int grid)
{
    if (grid > 0 && y % grid == 0)
        for (x = (x + grid - 1) / grid * grid; x < end; x += grid)
            line[x] = 1.0f;
}

__kernel void sample(__global const float *restrict logits, __global const long *restrict seeds, int n_seeds,
                     __global float *restrict mask, int lines, int h, int w, int stochastic, uint stream, int grid)
{
    for (int line = get_global_id(0); line < lines; line += get_global_size(0)) {
        const int y = line % h;
        const uint key = (uint)seeds[n_seeds == 1 ? 0 : line / h];
        __global const float *from = logits + (size_t)line * w;
        __global float *to = mask + (size_t)line * w;
        int x = 0;
        for (; x + VEC <= w; x += VEC)
            VSTORE(draw(VLOAD(0, from + x), (uint)(y * w + x), key, stochastic, stream), 0, to + x);
        for (; x < w; x++)
            to[x] = draw1(from[x], (uint)(y * w + x), key, stochastic, stream);
        set_grid(to, y, 0, w, grid);
    }
}

// Summing ------------------------------------------------------------------------------------------------------------

#if STRIDE && KH * KW
// All sites are there; every tap is read before one is added. `image`: its first line.
static float sum_taps(__global const float *column, int column_step, int image, int top, int left, int16 size)
{
    float values[KH * KW];
#pragma unroll
    for (int tap = 0; tap < KH * KW; tap++) {
        const int y = top + tap / KW * size.s8, x = left + tap % KW * size.s9;
        const int inside = y >= 0 && y < size.s0 && x >= 0 && x < size.s1;
        const float value = column[(size_t)tap * column_step + (size_t)(inside ? (image + y) * size.s1 + x : 0) * size.sf];
        values[tap] = inside ? value : 0.0f;
    }
    float sum = values[0];
#pragma unroll
    for (int tap = 1; tap < KH * KW; tap++)
        sum += values[tap];
    return sum;
}
#endif

#if !STRIDE
// VEC sites of a line from column x on, zeros beyond its ends.
static VT load_sites(__global const float *line, int x, int w)
{
    if (x >= 0 && x + VEC <= w)
        return VLOAD(0, line + x);
    float lanes[VEC];
    for (int i = 0; i < VEC; i++)
        lanes[i] = x + i >= 0 && x + i < w ? line[x + i] : 0.0f;
    return VLOAD(0, lanes);
}

// Lines of at least VEC sites side by side, all there, of one channel and a horizontal stride of 1. A line's last sites may be computed twice.
static void mask_lines(__global const float *part, __global const float *bias, __global const float *identity,
                       __global const long *seeds, int n_seeds, __global float *out, int out_sites, int column_step, int stochastic,
                       uint stream, int grid, int16 size)
{
    const int h = size.s0, w = size.s1, oh = size.s2, ow = size.s3, kw = size.s5, taps = size.s4 * kw, flags = size.sd;
    const int2 share = stp_share(out_sites / ow);
    for (int line = share.x; line < share.y; line++) {
        const int n = line / oh, y0 = line - n * oh, top = y0 * size.s6 - size.sa;
        const uint key = (flags & SAMPLE) ? (uint)seeds[n_seeds == 1 ? 0 : n] : 0;
        for (int next = 0; next < ow; next += VEC) {
            const int x0 = min(next, ow - VEC), site = line * ow + x0;
            VT sum = (VT)(0.0f);
            for (int tap = 0; tap < taps; tap++) {
                const int y = top + tap / kw * size.s8;
                VT value = (VT)(0.0f);
                if (y >= 0 && y < h)
                    value = load_sites(part + (size_t)tap * column_step + (n * h + y) * w, x0 - size.sb + tap % kw * size.s9, w);
                sum = tap == 0 ? value : sum + value;
            }
            if (flags & HAS_BIAS)
                sum += bias[0];
            if (flags & HAS_IDENTITY)
                sum += VLOAD(0, identity + site);
            if (flags & RELU)
                sum = select(sum, (VT)(0.0f), sum < (VT)(0.0f));
            if (flags & SAMPLE)
                sum = draw(sum, (uint)(y0 * ow + x0), key, stochastic, stream);
            VSTORE(sum, 0, out + site);
        }
        if (flags & SAMPLE)
            set_grid(out + (size_t)line * ow, y0, 0, ow, grid);
    }
}
#endif

__kernel void mask_conv(__global const float *restrict part, __global const int *restrict in_inverse,
                        __global const int *restrict in_count, int in_sites, __global const float *bias,
                        __global const float *identity, __global const long *restrict seeds, int n_seeds, __global float *out,
                        __global const int *restrict out_rows, __global const int *restrict out_count, int out_sites, int column_step,
                        int stochastic, uint stream, int grid, int16 size, __global const float *bias2, __global const float *identity2,
                        __global float *out2, uint stream2, int first2)
{
    if (get_global_id(1)) {
        bias = bias2;
        identity = identity2;
        out = out2;
        stream = stream2;
        size.se = first2;
    }
    const int h = size.s0, w = size.s1, oh = size.s2, ow = size.s3, kh = size.s4, kw = size.s5, oc = size.sc,
              flags = size.sd, row_step = size.sf;
    const int taps = kh * kw, rows = out_count[0];
    const int out_listed = rows < out_sites, in_listed = in_count[0] < in_sites;
    __global const float *first = part + (size_t)size.se * column_step;
#if !STRIDE
    if (oc == 1 && row_step == 1 && size.s7 == 1 && !in_listed && !out_listed && ow >= VEC) {
        mask_lines(first, bias, identity, seeds, n_seeds, out, out_sites, column_step, stochastic, stream, grid, size);
        return;
    }
#endif
    const int2 share = STRIDE ? (int2)(get_global_id(0), rows) : stp_share(rows);
    const int stride = STRIDE ? get_global_size(0) : 1;
    int line = 0, n = 0, y0 = 0, next = 0; // the line of the last site, and the first site behind it
    for (int r = share.x; r < share.y; r += stride) {
        const int site = out_listed ? out_rows[r] : r;
        if (site >= next) {
            line = site / ow;
            n = line / oh;
            y0 = line - n * oh;
            next = (line + 1) * ow;
        }
        const int x0 = site - line * ow, top = y0 * size.s6 - size.sa, left = x0 * size.s7 - size.sb;
        const uint at = (uint)(y0 * ow + x0), key = (flags & SAMPLE) ? (uint)seeds[n_seeds == 1 ? 0 : n] : 0;
        // Windows that lie inside an image of which all sites are there need no checks.
        const int inside =
            !in_listed && top >= 0 && left >= 0 && top + (kh - 1) * size.s8 < h && left + (kw - 1) * size.s9 < w;
        __global const float *add = identity + (size_t)((flags & IDENTITY_ROWS) ? r : site) * oc;
        for (int c = 0; c < oc; c++) {
            __global const float *column = first + (size_t)c * taps * column_step;
            float sum = 0.0f;
            int ky = 0;
#if STRIDE && KH * KW
            if (!in_listed) {
                sum = sum_taps(column, column_step, n * h, top, left, size);
                ky = kh;
            }
#endif
            for (; ky < kh; ky++) {
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
            if (flags & HAS_BIAS)
                sum += bias[c];
            if (flags & HAS_IDENTITY)
                sum += add[c];
            if (flags & RELU)
                sum = stp_relu(sum);
            if (flags & SAMPLE)
                sum = draw1(sum, at, key, stochastic, stream);
            out[(size_t)r * oc + c] = sum;
            if (flags & SAMPLE)
                set_grid(out + r - x0, y0, x0, x0 + 1, grid);
        }
    }
}
