// SPDX-License-Identifier: Apache-2.0
// interpolate: out[r] = tail(x[site] where the mask is 1, else Σ w·x[sampled neighbour] / (Σ w + epsilon)), SPEC.md.
// With COLUMNS, part[p][r] = Σ out[r][c] · project[c][p] too: the first half of the mask convolutions that read `out`, while it is warm.
// project: that half alone.
// NDRange : (groups), local (1), which take tiles of the output's rows in turns
// x       : [rows or sites][C] f32; mask: [1 or N][H·W] f32; weights: [BOX_H][BOX_W] f32, 0: no tap
// bias    : [C] f32; identity: [rows or sites][C] f32; out: [rows][C] f32, may be the identity's own memory
// project : [PANELS][C][COLUMNS] f32, padded with zeros; part: [columns][out's sites] f32
// planes  : with PLANES, `out` once more as N×C×H×W f32; out has all sites then, and N is 1 or 2 · VEC divides H·W
// turn    : as stp_turns() needs it
// size    : H, W, C, mask sites, flags of interpolate_group, dy and dx of the box's first tap, columns
// Tunables: BOX_H, BOX_W box of the kept taps (fixed per kernel of the model); ALIGNED 1 where C % VEC == 0; VEC {4, 8, 16};
//           WIDE {4, 8}; COLUMNS projected at a time, 0: no projection; PANELS; FLAGS, as below
// Needs   : OpenCL C 1.2.  Numerics: exact; two fma chains over the sampled taps, one division, then the tail, each rounded
#define VT STP_CAT(float, VEC)
#define BITS STP_CAT(int, VEC)
#define UBITS STP_CAT(uint, VEC)
#define AS_BITS STP_CAT(as_int, VEC)
#define AS_UBITS STP_CAT(as_uint, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define DIV_BY STP_CAT(stp_div_by, VEC)
#define QUOTIENT STP_CAT(stp_quotient, VEC)
STP_DEFINE_DIV(VEC)

// Bits of FLAGS
#define HAS_BIAS 1
#define HAS_IDENTITY 2
#define IDENTITY_ROWS 4 // the identity has the output's rows; otherwise all sites
#define RELU 8
#define PLANES 16

#define BOX (BOX_H * BOX_W)

// The sampled neighbours of an unsampled site, in raster order.
struct neighbours {
    int n;
    __global const float *from[BOX];
    float weight[BOX];
    float denominator;
    float2 reciprocal;
};

// value += bias, += identity, Relu, as FLAGS say; `at` is the first channel.
static VT tail(VT value, __global const float *bias, __global const float *add, int at)
{
    if (FLAGS & HAS_BIAS)
        value += STP_LOAD(0, bias + at);
    if (FLAGS & HAS_IDENTITY)
        value += STP_LOAD(0, add + at);
    return (FLAGS & RELU) ? select(value, (VT)(0.0f), value < (VT)(0.0f)) : value;
}

static float tail1(float value, __global const float *bias, __global const float *add, int at)
{
    if (FLAGS & HAS_BIAS)
        value += bias[at];
    if (FLAGS & HAS_IDENTITY)
        value += add[at];
    return (FLAGS & RELU) ? stp_relu(value) : value;
}

// from: NULL stands for zeros
static void copy_site(__global const float *from, __global float *to, int channels, __global const float *bias,
                      __global const float *add)
{
    int c = 0;
    for (; c + VEC <= channels; c += VEC)
        STP_STORE(tail(from ? STP_LOAD(0, from + c) : (VT)(0.0f), bias, add, c), 0, to + c);
    for (; c < channels; c++)
        to[c] = tail1(from ? from[c] : 0.0f, bias, add, c);
}

static void interpolate_site(const struct neighbours *near, __global float *to, int channels,
                             __global const float *bias, __global const float *add)
{
    const int divides = near->reciprocal.x > 0; // QUOTIENT does, values that are neither large nor small
    int c = 0, careful = 0;                     // of channels before `careful`, not all values
    while (c + VEC <= channels) {
        // Several vectors at a time, so that a tap's address and weight, and the check, serve them all.
        if (divides && c >= careful && c + WIDE * VEC <= channels) {
            VT value[WIDE];
            BITS most = (BITS)(0);
            UBITS least = (UBITS)(0xffffffffu);
#pragma unroll
            for (int i = 0; i < WIDE; i++)
                value[i] = (VT)(0.0f);
            for (int t = 0; t < near->n; t++) {
                __global const float *from = near->from[t] + c;
                const VT weight = (VT)(near->weight[t]);
#pragma unroll
                for (int i = 0; i < WIDE; i++)
                    value[i] = fma(STP_LOAD(i, from), weight, value[i]);
            }
#pragma unroll
            for (int i = 0; i < WIDE; i++) {
                const BITS bits = AS_BITS(value[i]) & 0x7fffffff;
                const UBITS below = AS_UBITS(bits) - 1; // 0 becomes the largest
                most = bits > most ? bits : most;
                least = below < least ? below : least;
            }
            if (!STP_CAT(stp_any, VEC)((most > STP_DIV_MOST) | (least < STP_DIV_LEAST - 1u))) {
#pragma unroll
                for (int i = 0; i < WIDE; i++) {
                    value[i] = QUOTIENT(value[i], near->denominator, near->reciprocal);
                    STP_STORE(tail(value[i], bias, add, c + i * VEC), i, to + c);
                }
                c += WIDE * VEC;
                continue;
            }
            careful = c + WIDE * VEC;
        }
        VT value = (VT)(0.0f);
        for (int t = 0; t < near->n; t++)
            value = fma(STP_LOAD(0, near->from[t] + c), (VT)(near->weight[t]), value);
        STP_STORE(tail(DIV_BY(value, near->denominator, near->reciprocal), bias, add, c), 0, to + c);
        c += VEC;
    }
    for (; c < channels; c++) {
        float value = 0.0f;
        for (int t = 0; t < near->n; t++)
            value = fma(near->from[t][c], near->weight[t], value);
        to[c] = tail1(stp_div_by(value, near->denominator, near->reciprocal), bias, add, c);
    }
}

#if BOX <= 64
// Which sites of the box are sampled, a bit per tap in raster order, carried from site to site.
struct window {
    int line;   // image · H + y
    int next;   // the first column that is not in it yet
    ulong bits;
};

// Moves to the box whose first tap lies at column `first` of line `top` of the image `mask`, for a site of `line`.
static void move_window(struct window *window, __global const float *mask, int line, int top, int first, int h, int w)
{
    ulong others = 0; // each row but its newest
#pragma unroll
    for (int i = 0; i < BOX_H; i++)
        others |= ((1UL << (BOX_W - 1)) - 1) << (i * BOX_W);
    if (line != window->line || window->next < first || window->next > first + BOX_W) {
        window->line = line;
        window->next = first;
        window->bits = 0;
    }
    for (; window->next < first + BOX_W; window->next++) {
        ulong newest = 0;
        const int x = window->next, inside = x >= 0 && x < w;
#pragma unroll
        for (int i = 0; i < BOX_H; i++) {
            const int y = top + i;
            if (inside && y >= 0 && y < h)
                newest |= (ulong)(mask[y * w + x] != 0) << (i * BOX_W + BOX_W - 1);
        }
        window->bits = ((window->bits >> 1) & others) | newest;
    }
}
#endif

#define ROWS 2 // vectors of rows that are turned together, and projected: a weight that is read serves as many fma
#define TILE (ROWS * VEC)

#if COLUMNS || (FLAGS & PLANES)
#define DEPTH 64 // channels turned at a time

// VEC channels of `rows` ≤ VEC rows, then to[c] has a lane per row.
static void turn(__global const float *from, int rows, int channels, VT *to)
{
    VT x[VEC];
#pragma unroll
    for (int i = 0; i < VEC; i++)
        x[i] = STP_LOAD(0, from + (size_t)min(i, rows - 1) * channels);
    STP_CAT(stp_transpose, VEC)(x);
#pragma unroll
    for (int i = 0; i < VEC; i++)
        to[i] = x[i];
}

// A lane per row.
static void store_lanes(VT value, int rows, __global float *to)
{
    float lanes[VEC];
    VSTORE(value, 0, lanes);
    for (int m = 0; m < rows; m++)
        to[m] = lanes[m];
}

// Channels c0 … c0 + depth − 1 of `rows` ≤ TILE rows.
static void turn_rows(__global const float *from, int rows, int channels, int c0, int depth, VT turned[ROWS][DEPTH])
{
#pragma unroll 1
    for (int v = 0; v < ROWS; v++) {
        const int first = min(v * VEC, rows - 1), there = min(VEC, rows - first); // beyond the last row it stands for the others
        __global const float *at = from + (size_t)first * channels + c0;
        int c = 0;
        for (; c + VEC <= depth; c += VEC)
            turn(at + c, there, channels, turned[v] + c);
        for (; c < depth; c++) {
            float lanes[VEC];
            for (int m = 0; m < VEC; m++)
                lanes[m] = at[(size_t)min(m, there - 1) * channels + c];
            turned[v][c] = VLOAD(0, lanes);
        }
    }
}
#endif

#if FLAGS & PLANES
// `plane` from channel to channel.
static void store_planes(VT turned[ROWS][DEPTH], int rows, int depth, __global float *planes, int plane)
{
    for (int c = 0; c < depth; c++)
        for (int v = 0; v < ROWS && v * VEC < rows; v++) {
            __global float *to = planes + (size_t)c * plane + v * VEC;
            if (rows - v * VEC < VEC)
                store_lanes(turned[v][c], rows - v * VEC, to);
            else if (VEC == 16 && plane % VEC == 0) // whole lines of cache
                STP_STREAM(turned[v][c], to);
            else
                VSTORE(turned[v][c], 0, to);
        }
}

#if !COLUMNS
static void store_rows(__global const float *from, int rows, int channels, __global float *planes, int plane)
{
    for (int c0 = 0; c0 < channels; c0 += DEPTH) {
        VT turned[ROWS][DEPTH];
        const int depth = min(DEPTH, channels - c0);
        turn_rows(from, rows, channels, c0, depth, turned);
        store_planes(turned, rows, depth, planes + (size_t)c0 * plane, plane);
    }
}
#endif
#endif

#if COLUMNS
// Projects `rows` ≤ TILE rows; `stride` from column to column. With PLANES they go there too, `plane` from channel to channel. Meanwhile the
// cache is asked for `next`, VEC · channels floats for each panel.
static void project_rows(__global const float *from, int rows, int channels, __global const float *w, __global float *part,
                         int stride, int columns, __global float *planes, int plane, __global const float *next)
{
    VT sums[PANELS * COLUMNS][ROWS];
    for (int n = 0; n < PANELS * COLUMNS; n++)
        for (int v = 0; v < ROWS; v++)
            sums[n][v] = (VT)(0.0f);
    for (int c0 = 0; c0 < channels; c0 += DEPTH) {
        VT turned[ROWS][DEPTH];
        const int depth = min(DEPTH, channels - c0);
        turn_rows(from, rows, channels, c0, depth, turned);
#if FLAGS & PLANES
        store_planes(turned, rows, depth, planes + (size_t)c0 * plane, plane);
#endif
#pragma unroll 1
        for (int p = 0; p < PANELS; p++) {
            VT acc[COLUMNS][ROWS];
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
#pragma unroll
                for (int v = 0; v < ROWS; v++)
                    acc[n][v] = sums[p * COLUMNS + n][v];
            __global const float *wp = w + ((size_t)p * channels + c0) * COLUMNS;
            for (int c = 0; c < depth; c++, wp += COLUMNS) {
                STP_PREFETCH(next + ((size_t)p * channels + c0 + c) * VEC, 2); // more than the nearest cache can have on its way
                VT value[ROWS];
#pragma unroll
                for (int v = 0; v < ROWS; v++)
                    value[v] = turned[v][c];
#pragma unroll
                for (int n = 0; n < COLUMNS; n++) {
                    const VT weight = (VT)(wp[n]);
#pragma unroll
                    for (int v = 0; v < ROWS; v++)
                        acc[n][v] = fma(value[v], weight, acc[n][v]);
                }
            }
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
#pragma unroll
                for (int v = 0; v < ROWS; v++)
                    sums[p * COLUMNS + n][v] = acc[n][v];
        }
    }
    for (int n = 0; n < columns; n++)
        for (int v = 0; v < ROWS && v * VEC < rows; v++) {
            __global float *to = part + (size_t)n * stride + v * VEC;
            if (rows - v * VEC >= VEC)
                VSTORE(sums[n][v], 0, to);
            else
                store_lanes(sums[n][v], rows - v * VEC, to);
        }
}
#endif

__kernel STP_VECTORS void interpolate(__global const float *restrict x, __global const int *restrict x_inverse,
                                      __global const int *restrict x_count, int x_sites, __global const float *restrict mask,
                                      __global const float *restrict weights, float epsilon, __global const float *restrict bias,
                                      __global const float *identity, __global const float *restrict project, __global float *out,
                                      __global float *restrict part, __global float *restrict planes, __global const int *restrict out_rows,
                                      __global const int *restrict out_count, int out_sites, int8 size, __global int *turn)
{
    const int h = size.s0, w = size.s1, channels = size.s2, mask_sites = size.s3;
    const int rows = out_count[0], out_listed = rows < out_sites, x_listed = x_count[0] < x_sites;
#if BOX <= 64
    struct window window = {.line = -1};
    ulong kept = 0;
    for (int k = 0; k < BOX; k++)
        kept |= (ulong)(weights[k] != 0) << k;
#endif
    int offsets[BOX]; // from a site to each tap of its box
    for (int k = 0; k < BOX; k++)
        offsets[k] = (size.s5 + k / BOX_W) * w + size.s6 + k % BOX_W;
    int line = 0, y = 0, start = 0; // of the last site, and its line's first site
    struct stp_turns turns = stp_turns(turn, (rows + TILE - 1) / TILE);
    for (int unit; (unit = stp_next(&turns)) >= 0;) {
        const int first = unit * TILE, here = min(TILE, rows - first);
        for (int r = first; r < first + here; r++) {
            const int site = out_listed ? out_rows[r] : r;
            if (site < start || site >= start + w) { // divisions are dear
                line = site / w;
                start = line * w;
                y = line % h;
            }
            const int xx = site - start;
            __global const float *m = mask + (mask_sites == out_sites ? (size_t)(line - y) * w : 0);
            __global float *to = out + (size_t)r * channels;
            __global const float *add = identity + (size_t)((FLAGS & IDENTITY_ROWS) ? r : site) * channels;
            __global const float *copied = 0; // 0 / epsilon, of no neighbour
            struct neighbours near;
            near.n = 0;
            if (m[y * w + xx] != 0) {
                copied = x + (size_t)(x_listed ? x_inverse[site] : site) * channels;
            } else {
                float sum = 0.0f;
#if BOX <= 64
                move_window(&window, m, line, y + size.s5, xx + size.s6, h, w);
                for (ulong sampled = window.bits & kept; sampled; sampled &= sampled - 1) {
                    const int k = (int)popcount(~sampled & (sampled - 1)); // of its lowest bit
#else
                for (int k = 0; k < BOX; k++) {
                    const int ty = y + size.s5 + k / BOX_W, tx = xx + size.s6 + k % BOX_W;
                    if (weights[k] == 0 || ty < 0 || ty >= h || tx < 0 || tx >= w || m[ty * w + tx] == 0)
                        continue;
#endif
                    const int at = site + offsets[k];
                    near.from[near.n] = x + (size_t)(x_listed ? x_inverse[at] : at) * channels;
                    near.weight[near.n++] = weights[k];
                    sum += weights[k];
                }
                near.denominator = sum + epsilon;
                near.reciprocal = stp_recip(near.denominator);
            }
            if (copied || (near.n == 0 && epsilon > 0))
                copy_site(copied, to, channels, bias, add);
            else
                interpolate_site(&near, to, channels, bias, add);
        }
#if COLUMNS || (FLAGS & PLANES)
        const int image = first / (h * w);
        __global float *corner = planes + (size_t)image * (channels - 1) * h * w + first; // first pixel of the tile in the first plane
#if COLUMNS
        __global const float *from = identity + (size_t)first * channels, *next = first + TILE < rows ? from + TILE * channels : from;
        project_rows(out + (size_t)first * channels, here, channels, project, part + first, out_sites, size.s7, corner, h * w, next);
#else
        store_rows(out + (size_t)first * channels, here, channels, corner, h * w);
#endif
#endif
    }
}

#if COLUMNS && !(FLAGS & PLANES)
// The projection alone, of rows that another kernel computed: x [rows][C], the rest as above.
__kernel STP_VECTORS void project(__global const float *restrict x, __global const float *restrict weights,
                                  __global float *restrict part, __global const int *restrict rows,
                                  __global const int *restrict count, int sites, int channels, int columns, __global int *turn)
{
    struct stp_turns turns = stp_turns(turn, (count[0] + TILE - 1) / TILE);
    for (int unit; (unit = stp_next(&turns)) >= 0;) {
        const int r = unit * TILE;
        __global const float *from = x + (size_t)r * channels;
        project_rows(from, min(TILE, count[0] - r), channels, weights, part + r, sites, columns, 0, 0, from + TILE * channels);
    }
}
#endif
