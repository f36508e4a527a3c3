// SPDX-License-Identifier: Apache-2.0
// conv_tile: what conv_rows.cl computes, for devices with local memory of their own: a work-group of LX × LY items computes
// TILE_M = LY · RM rows × TILE_N = LX · RN output channels, through tiles of the input and the weights in local memory, two of each: while
// one is multiplied, the next AHEAD are on their way.
// NDRange : (groups · LX, LY), local (LX, LY); groups stride over the ceil(rows / TILE_M) · panels tiles, panel fastest
// in, w, bias, identity, out, size: as in conv_rows.cl; w is packed for TILE_N columns; `zeros` is not used
// Tunables: LX, LY {1 … 32}  RM, RN {1, 2, 4, 8}  KC {1 … 32}: products of one step; all powers of two
//           AHEAD {1, 2}: steps that are read before they are multiplied
//           UNROLL {1 … KC}: products written out one after another
//           PIECE 4 where IC/G % 4 == 0, else 1: input channels read at once; KC / PIECE ≤ LX · LY
//           ALIGNED 1 where OC/G % 4 == 0
// Needs   : OpenCL C 1.2; local memory 2 · KC · (TILE_M + PAD + TILE_N) · 4 bytes
// Numerics: exact; one fma chain over (tap, ic) from the bias
#define TILE_M (LY * RM)
#define TILE_N (LX * RN)
#define ITEMS (LX * LY)

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

// An item's rows come in runs of U, its columns in runs of V, so that they are read from local memory at once.
#if RM >= 4
#define U 4
#define UT float4
#elif RM == 2
#define U 2
#define UT float2
#else
#define U 1
#define UT float
#endif
#if RN >= 4
#define V 4
#define VT float4
#elif RN == 2
#define V 2
#define VT float2
#else
#define V 1
#define VT float
#endif
#define ROW(i) ((i) / U * U * LY + ly * U + (i) % U)
#define COLUMN(j) ((j) / V * V * LX + lx * V + (j) % V)

#define PAD 4 // keeps items that write neighbouring rows out of each other's banks
#define A_PIECES (KC / PIECE)                               // of a row in a step
#define A_EACH ((TILE_M * A_PIECES + ITEMS - 1) / ITEMS)    // pieces that an item reads
#define B_EACH ((TILE_N * KC / V + ITEMS - 1) / ITEMS)
#if PIECE == 4
#define PT float4
#else
#define PT float
#endif

// What an item reads of the input: the same products of A_EACH rows, step after step.
struct reader {
    int tap, channel;               // of the next piece
    int top[A_EACH], left[A_EACH];  // of the rows' windows
    int image[A_EACH];              // the first line of the row's image, −1: no row
    int from[A_EACH];               // the row of `in` that the tap reads, −1: outside the image
};

// No `restrict` in functions: inlined, it becomes an LLVM intrinsic that Oclgrind 21.10 does not know.
static void find_rows(struct reader *reader, __global const int *in_inverse, int in_listed, int16 size)
{
    const int dy = reader->tap / KW * DILATION_Y, dx = reader->tap % KW * DILATION_X;
#pragma unroll
    for (int e = 0; e < A_EACH; e++) {
        const int y = reader->top[e] + dy, x = reader->left[e] + dx;
        int from = -1;
        if (FLAGS & SAME_ROWS)
            from = reader->image[e];
        else if (reader->image[e] >= 0 && y >= 0 && y < H && x >= 0 && x < W) {
            from = (reader->image[e] + y) * W + x;
            if (in_listed)
                from = in_inverse[from];
        }
        reader->from[e] = from;
    }
}

// The reader at the first product of the rows from row0 on.
static void begin(struct reader *reader, int row0, int rows, __global const int *in_inverse, int in_listed,
                  __global const int *out_rows, int out_listed, int item, int16 size)
{
#pragma unroll
    for (int e = 0; e < A_EACH; e++) {
        const int m = item / A_PIECES + e * (ITEMS / A_PIECES), r = row0 + m;
        const int there = m < TILE_M && r < rows;
        reader->image[e] = -1;
        reader->top[e] = reader->left[e] = 0;
        if (there && (FLAGS & SAME_ROWS)) {
            reader->image[e] = r;
        } else if (there) {
            const int site = out_listed ? out_rows[r] : r, line = site / OW, n = line / OH;
            reader->image[e] = n * H;
            reader->top[e] = (line - n * OH) * STRIDE_Y - PAD_Y;
            reader->left[e] = (site - line * OW) * STRIDE_X - PAD_X;
        }
    }
    const int icg = IC / GROUPS;
    reader->tap = 0;
    reader->channel = item % A_PIECES * PIECE;
    while (reader->channel >= icg) {
        reader->channel -= icg;
        reader->tap++;
    }
    find_rows(reader, in_inverse, in_listed, size);
}

// Reads the item's pieces of a step, and moves on. `in` is at the convolution group's first channel.
static void read_input(struct reader *reader, PT *pieces, __global const float *in, __global const int *in_inverse, int in_listed,
                       int16 size)
{
    const int icg = IC / GROUPS, taps = KH * KW;
#pragma unroll
    for (int e = 0; e < A_EACH; e++) {
        pieces[e] = (PT)(0.0f);
        if (reader->from[e] >= 0 && reader->tap < taps)
            pieces[e] = *(__global const PT *)(in + (size_t)reader->from[e] * IC + reader->channel);
    }
    reader->channel += KC;
    if (reader->channel >= icg) {
        do {
            reader->channel -= icg;
            reader->tap++;
        } while (reader->channel >= icg);
        if (reader->tap < taps)
            find_rows(reader, in_inverse, in_listed, size);
    }
}

static void store_input(const PT *pieces, __local float *a, int item)
{
#pragma unroll
    for (int e = 0; e < A_EACH; e++) {
        const int m = item / A_PIECES + e * (ITEMS / A_PIECES);
        __local float *to = a + item % A_PIECES * PIECE * (TILE_M + PAD) + m;
        if (TILE_M * A_PIECES % ITEMS == 0 || m < TILE_M) {
#if PIECE == 4
            to[0] = pieces[e].s0;
            to[TILE_M + PAD] = pieces[e].s1;
            to[2 * (TILE_M + PAD)] = pieces[e].s2;
            to[3 * (TILE_M + PAD)] = pieces[e].s3;
#else
            to[0] = pieces[e];
#endif
        }
    }
}

// `count` floats at most, of the next KC · TILE_N.
static void read_weights(VT *pieces, __global const float *w, int count, int item)
{
#pragma unroll
    for (int e = 0; e < B_EACH; e++) {
        const int at = (item + e * ITEMS) * V;
        pieces[e] = (VT)(0.0f);
        if (at < count && at < KC * TILE_N)
            pieces[e] = *(__global const VT *)(w + at);
    }
}

static void store_weights(const VT *pieces, __local float *b, int item)
{
#pragma unroll
    for (int e = 0; e < B_EACH; e++) {
        const int at = (item + e * ITEMS) * V;
        if (TILE_N * KC / V % ITEMS == 0 || at < KC * TILE_N)
            *(__local VT *)(b + at) = pieces[e];
    }
}

static void multiply(float acc[RM][RN], __local const float *a, __local const float *b, int lx, int ly)
{
    UT x[RM / U];
    VT weight[RN / V];
    float xs[RM], weights[RN];
#pragma unroll
    for (int i = 0; i < RM; i += U)
        x[i / U] = *(__local const UT *)(a + ROW(i));
#pragma unroll
    for (int j = 0; j < RN; j += V)
        weight[j / V] = *(__local const VT *)(b + COLUMN(j));
#pragma unroll
    for (int i = 0; i < RM; i++)
        xs[i] = ((const float *)x)[i];
#pragma unroll
    for (int j = 0; j < RN; j++)
        weights[j] = ((const float *)weight)[j];
#pragma unroll
    for (int i = 0; i < RM; i++)
#pragma unroll
        for (int j = 0; j < RN; j++)
            acc[i][j] = fma(xs[i], weights[j], acc[i][j]);
}

// Multiplies the step that begins at product k and lies in the tiles NOW; the next one goes to the tiles THEN, and one is read.
#define STEP(k, NOW, THEN)                                                                                             \
    if ((k) + AHEAD * KC < products) {                                                                                 \
        read_input(&reader, input[NOW % AHEAD], from, in_inverse, in_listed, size);                                    \
        read_weights(weights[NOW % AHEAD], wp + (size_t)((k) + AHEAD * KC) * TILE_N,                                   \
                     (products - (k) - AHEAD * KC) * TILE_N, item);                                                    \
    }                                                                                                                  \
    if (products - (k) >= KC) {                                                                                        \
        STP_PRAGMA(unroll UNROLL) for (int i = 0; i < KC; i++)                                                         \
            multiply(acc, a[NOW] + i * (TILE_M + PAD), b[NOW] + i * TILE_N, lx, ly);                                   \
    } else {                                                                                                           \
        for (int i = 0; i < products - (k); i++)                                                                       \
            multiply(acc, a[NOW] + i * (TILE_M + PAD), b[NOW] + i * TILE_N, lx, ly);                                   \
    }                                                                                                                  \
    if ((k) + KC < products) {                                                                                         \
        store_input(input[THEN % AHEAD], a[THEN], item);                                                               \
        store_weights(weights[THEN % AHEAD], b[THEN], item);                                                           \
    }                                                                                                                  \
    barrier(CLK_LOCAL_MEM_FENCE);

__kernel __attribute__((reqd_work_group_size(LX, LY, 1))) void
conv_tile(__global const float *restrict in, __global const int *restrict in_inverse,
          __global const int *restrict in_count, int in_sites, __global const float *restrict w,
          __global const float *restrict bias, __global const float *identity,
          __global const float *restrict zeros, __global float *out, __global const int *restrict out_rows,
          __global const int *restrict out_count, int out_sites, int16 size)
{
    __local float a[2][KC * (TILE_M + PAD)] __attribute__((aligned(16)));
    __local float b[2][KC * TILE_N] __attribute__((aligned(16)));
    const int rows = out_count[0];
    const int out_listed = rows < out_sites, in_listed = in_count[0] < in_sites;
    const int icg = IC / GROUPS, ocg = OC / GROUPS, products = KH * KW * icg;
    const int group_panels = (ocg + TILE_N - 1) / TILE_N, panels = GROUPS * group_panels;
    const int tiles = (rows + TILE_M - 1) / TILE_M * panels;
    const int lx = get_local_id(0), ly = get_local_id(1), item = ly * LX + lx;

    for (int tile = get_group_id(0); tile < tiles; tile += get_num_groups(0)) {
        const int panel = tile % panels, row0 = tile / panels * TILE_M;
        const int conv_group = panel / group_panels;
        const int oc0 = conv_group * ocg + panel % group_panels * TILE_N, oc_end = (conv_group + 1) * ocg;
        __global const float *wp = w + (size_t)panel * products * TILE_N, *from = in + conv_group * icg;

        float acc[RM][RN];
#pragma unroll
        for (int j = 0; j < RN; j++) {
            const int oc = oc0 + COLUMN(j);
            const float start = (FLAGS & HAS_BIAS) && oc < oc_end ? bias[oc] : 0.0f;
#pragma unroll
            for (int i = 0; i < RM; i++)
                acc[i][j] = start;
        }

        struct reader reader;
        PT input[AHEAD][A_EACH];
        VT weights[AHEAD][B_EACH];
        begin(&reader, row0, rows, in_inverse, in_listed, out_rows, out_listed, item, size);
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            read_input(&reader, input[i], from, in_inverse, in_listed, size);
            read_weights(weights[i], wp + (size_t)i * KC * TILE_N, (products - i * KC) * TILE_N, item);
        }
        store_input(input[0], a[0], item);
        store_weights(weights[0], b[0], item);
        barrier(CLK_LOCAL_MEM_FENCE);
        // Two steps, so that what is where is known when this is compiled.
        for (int k = 0; k < products; k += 2 * KC) {
            STEP(k, 0, 1)
            if (k + KC < products) {
                STEP(k + KC, 1, 0)
            }
        }

#pragma unroll
        for (int i = 0; i < RM; i++) {
            const int row = row0 + ROW(i);
            if (row >= rows)
                continue;
            const int other = (FLAGS & IDENTITY_ROWS) || !out_listed ? row : out_rows[row];
            __global float *to = out + (size_t)row * OC;
            __global const float *add = identity + (size_t)other * OC;
#pragma unroll
            for (int j = 0; j < RN; j += V) {
                const int oc = oc0 + COLUMN(j);
#if ALIGNED && RN >= 4
                if (oc >= oc_end)
                    continue;
                float4 y = (float4)(acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
                if (FLAGS & HAS_IDENTITY)
                    y += *(__global const float4 *)(add + oc);
                if (FLAGS & RELU)
                    y = select(y, (float4)(0.0f), y < (float4)(0.0f));
                *(__global float4 *)(to + oc) = y;
#else
#pragma unroll
                for (int v = 0; v < V; v++) {
                    float y = acc[i][j + v];
                    if (oc + v >= oc_end)
                        continue;
                    if (FLAGS & HAS_IDENTITY)
                        y += add[oc + v];
                    to[oc + v] = (FLAGS & RELU) ? stp_relu(y) : y;
                }
#endif
            }
        }
    }
}
