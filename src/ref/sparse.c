// SPDX-License-Identifier: Apache-2.0
// The references of Sample and Interpolate (SPEC.md).
#include "ops/interpolate.h"
#include "ops/sample.h"
#include "ref/numerics.h"
#include "ref/ref.h"

void stp_ref_sample(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_sample_params *params = node->params;
    const float *logits = in[0]->data;
    const int64_t *seeds = in[1]->data;
    float *mask = out->data;
    int64_t w = in[0]->dims[3], each = in[0]->dims[2] * w;
    for (int64_t i = 0; i < in[0]->dims[0] * each; i++) {
        int64_t site = i % each, y = site / w, x = site % w;
        bool drawn = logits[i] >= 0;
        if (params->stochastic) {
            uint32_t key = (uint32_t)seeds[in[1]->dims[0] == 1 ? 0 : i / each];
            uint32_t r = stp_philox2x32((uint32_t)site, (uint32_t)params->stream, key);
            drawn = (float)(r >> 8) * 0x1p-24f < stp_sigmoid(logits[i]);
        }
        if (params->grid && y % params->grid == 0 && x % params->grid == 0)
            drawn = true;
        mask[i] = drawn;
    }
}

enum { CHANNELS = 64 }; // at a time

struct interpolation {
    const float *weights, *mask; // of one image
    int64_t h, w, kernel[2];
    float epsilon;
};

// `count` channels at an unsampled site, x and y at the first one's plane: sampled taps in raster order, two fma
// chains, one division.
static void interpolate_site(const struct interpolation *p, const float *x, float *y, int64_t count, int64_t site)
{
    int64_t plane = p->h * p->w;
    float sum[CHANNELS] = {0}, norm = 0;
    for (int64_t tap = 0; tap < p->kernel[0] * p->kernel[1]; tap++) {
        int64_t y1 = site / p->w + tap / p->kernel[1] - p->kernel[0] / 2;
        int64_t x1 = site % p->w + tap % p->kernel[1] - p->kernel[1] / 2, at = y1 * p->w + x1;
        float weight = p->weights[tap];
        if (weight == 0 || y1 < 0 || y1 >= p->h || x1 < 0 || x1 >= p->w || p->mask[at] == 0)
            continue;
        norm = fmaf(1.0f, weight, norm);
        for (int64_t c = 0; c < count; c++)
            sum[c] = fmaf(x[c * plane + at], weight, sum[c]);
    }
    for (int64_t c = 0; c < count; c++)
        y[c * plane + site] = stp_div(sum[c], norm + p->epsilon);
}

void stp_ref_interpolate(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_interpolate_params *params = node->params;
    const stp_tensor *x = in[0], *mask = in[1], *weight = in[2];
    struct interpolation p = {.weights = weight->data,
                              .h = x->dims[2],
                              .w = x->dims[3],
                              .kernel = {weight->dims[0], weight->dims[1]},
                              .epsilon = params->epsilon};
    int64_t plane = p.h * p.w, channels = x->dims[1];
    for (int64_t n = 0; n < x->dims[0]; n++)
        for (int64_t first = 0; first < channels; first += CHANNELS) {
            const float *from = (const float *)x->data + (n * channels + first) * plane;
            float *to = (float *)out->data + (n * channels + first) * plane;
            int64_t count = stp_min64(CHANNELS, channels - first);
            p.mask = (const float *)mask->data + (mask->dims[0] == 1 ? 0 : n) * plane;
            for (int64_t site = 0; site < plane; site++)
                if (p.mask[site] == 0)
                    interpolate_site(&p, from, to, count, site);
                else
                    for (int64_t c = 0; c < count; c++)
                        to[c * plane + site] = from[c * plane + site];
        }
}
