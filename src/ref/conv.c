// SPDX-License-Identifier: Apache-2.0
// Conv in the order that SPEC.md pins: one fma chain over (tap, input channel) from the bias; a mask convolution: per
// tap a chain from +0, the taps added in raster order, then the bias. Padding taps take part with x = 0.
#include <math.h>

#include "ops/conv.h"
#include "ref/ref.h"

// Sites, output channels and input channels at a time: what a step reads fits a processor's first cache.
enum { SITES = 32, OUTPUTS = 64, INPUTS = 64 };

struct conv {
    const float *x, *w, *bias;
    float *y;
    int64_t groups, icg, ocg, in_h, in_w, out_h, out_w, taps;
    struct stp_window window;
    bool mask;
};

// SITES × OUTPUTS results of one image and group.
struct block {
    int64_t n, g, first_site, sites, first_output, outputs;
    float acc[OUTPUTS * SITES];
    float sum[OUTPUTS * SITES]; // mask convolutions: of the taps before
};

// acc[o][s] = fma(x[i][s], w[i][o], acc[o][s]) for i = 0 … inputs − 1
static inline __attribute__((always_inline)) void chain_body(float *restrict acc, const float *restrict x,
                                                             const float *restrict w, int64_t inputs, int64_t outputs)
{
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t i = 0; i < inputs; i++)
            for (int s = 0; s < SITES; s++)
                acc[o * SITES + s] = fmaf(x[i * SITES + s], w[i * OUTPUTS + o], acc[o * SITES + s]);
}

static void chain_plain(float *acc, const float *x, const float *w, int64_t inputs, int64_t outputs)
{
    chain_body(acc, x, w, inputs, outputs);
}

// fmaf is one instruction where the processor has it; the bits are the same where it does not.
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void chain_fma(float *acc, const float *x, const float *w, int64_t inputs,
                                                          int64_t outputs)
{
    chain_body(acc, x, w, inputs, outputs);
}

static void chain(float *acc, const float *x, const float *w, int64_t inputs, int64_t outputs)
{
    bool fast = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    (fast ? chain_fma : chain_plain)(acc, x, w, inputs, outputs);
}
#else
static void chain(float *acc, const float *x, const float *w, int64_t inputs, int64_t outputs)
{
    chain_plain(acc, x, w, inputs, outputs);
}
#endif

// Where a tap of each site of the block lies in a plane of x, −1: in the padding.
static void find_sites(const struct conv *c, const struct block *b, int64_t tap, int64_t *offsets)
{
    const struct stp_window *w = &c->window;
    for (int64_t s = 0; s < SITES; s++) {
        int64_t at = b->first_site + s;
        int64_t y = at / c->out_w * w->stride[0] - w->pad[0] + tap / w->kernel[1] * w->dilation[0];
        int64_t x = at % c->out_w * w->stride[1] - w->pad[1] + tap % w->kernel[1] * w->dilation[1];
        bool inside = s < b->sites && y >= 0 && y < c->in_h && x >= 0 && x < c->in_w;
        offsets[s] = inside ? y * c->in_w + x : -1;
    }
}

static void one_tap(const struct conv *c, struct block *b, int64_t tap)
{
    int64_t offsets[SITES], plane = c->in_h * c->in_w;
    float x[INPUTS * SITES], w[INPUTS * OUTPUTS];
    find_sites(c, b, tap, offsets);
    for (int64_t first = 0; first < c->icg; first += INPUTS) {
        int64_t inputs = stp_min64(INPUTS, c->icg - first);
        const float *image = c->x + ((b->n * c->groups + b->g) * c->icg + first) * plane;
        const float *weights = c->w + ((b->g * c->ocg + b->first_output) * c->icg + first) * c->taps + tap;
        for (int64_t i = 0; i < inputs; i++) {
            for (int s = 0; s < SITES; s++)
                x[i * SITES + s] = offsets[s] < 0 ? 0 : image[i * plane + offsets[s]];
            for (int64_t o = 0; o < b->outputs; o++)
                w[i * OUTPUTS + o] = weights[(o * c->icg + i) * c->taps];
        }
        chain(b->acc, x, w, inputs, b->outputs);
    }
}

static void one_block(const struct conv *c, struct block *b)
{
    const float *bias = c->bias ? c->bias + b->g * c->ocg + b->first_output : NULL;
    for (int64_t i = 0; i < b->outputs * SITES; i++)
        b->acc[i] = bias && !c->mask ? bias[i / SITES] : 0;
    for (int64_t tap = 0; tap < c->taps; tap++) {
        one_tap(c, b, tap);
        for (int64_t i = 0; c->mask && i < b->outputs * SITES; i++) {
            b->sum[i] = tap == 0 ? b->acc[i] : b->sum[i] + b->acc[i];
            b->acc[i] = 0;
        }
    }
    float *y = c->y + ((b->n * c->groups + b->g) * c->ocg + b->first_output) * c->out_h * c->out_w + b->first_site;
    for (int64_t o = 0; o < b->outputs; o++)
        for (int64_t s = 0; s < b->sites; s++) {
            float sum = b->sum[o * SITES + s], mask = bias ? sum + bias[o] : sum;
            y[o * c->out_h * c->out_w + s] = c->mask ? mask : b->acc[o * SITES + s];
        }
}

void stp_ref_conv(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_conv_params *params = node->params;
    const stp_tensor *x = in[0], *w = in[1];
    struct conv c = {.x = x->data,
                     .w = w->data,
                     .bias = node->n_inputs > 2 && in[2] ? in[2]->data : NULL,
                     .y = out->data,
                     .groups = params->group,
                     .icg = w->dims[1],
                     .ocg = w->dims[0] / params->group,
                     .in_h = x->dims[2],
                     .in_w = x->dims[3],
                     .out_h = out->dims[2],
                     .out_w = out->dims[3],
                     .taps = w->dims[2] * w->dims[3],
                     .window = stp_conv_window(node, x, w),
                     .mask = node->is_mask_conv};
    int64_t sites = c.out_h * c.out_w;
    struct block b = {0};
    for (b.n = 0; b.n < x->dims[0]; b.n++)
        for (b.g = 0; b.g < c.groups; b.g++)
            for (b.first_output = 0; b.first_output < c.ocg; b.first_output += OUTPUTS)
                for (b.first_site = 0; b.first_site < sites; b.first_site += SITES) {
                    b.outputs = stp_min64(OUTPUTS, c.ocg - b.first_output);
                    b.sites = stp_min64(SITES, sites - b.first_site);
                    one_block(&c, &b);
                }
}
