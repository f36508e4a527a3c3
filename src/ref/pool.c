// SPDX-License-Identifier: Apache-2.0
#include "ops/pool.h"

#include <math.h>

#include "ref/numerics.h"
#include "ref/ref.h"

// The taps of a window along one axis: those inside the image are first … past − 1, at begin + tap · dilation.
struct span {
    int64_t begin, first, past;
    int64_t padded; // those before the end of the padding behind the image
};

// A tap lies before `limit` if its number is less than (limit − begin) / dilation, rounded up.
static int64_t taps_before(const struct stp_window *w, int a, int64_t begin, int64_t limit)
{
    return limit > begin ? stp_min64(w->kernel[a], stp_div_up(limit - begin, w->dilation[a])) : 0;
}

static struct span axis(const struct stp_window *w, int a, int64_t at, int64_t size, int64_t end)
{
    struct span span = {.begin = at * w->stride[a] - w->pad[a]};
    span.first = taps_before(w, a, span.begin, 0);
    span.past = taps_before(w, a, span.begin, size);
    span.padded = taps_before(w, a, span.begin, end);
    return span;
}

static float visit(const struct stp_window *w, const float *x, int64_t width, struct span rows,
                   struct span columns, bool average)
{
    float result = average ? 0 : -INFINITY;
    for (int64_t ky = rows.first; ky < rows.past; ky++)
        for (int64_t kx = columns.first; kx < columns.past; kx++) {
            float tap = x[(rows.begin + ky * w->dilation[0]) * width + columns.begin + kx * w->dilation[1]];
            result = average ? result + tap : stp_max(result, tap);
        }
    return result;
}

static void pool(const struct stp_node *node, const stp_tensor *x, stp_tensor *out, bool average)
{
    const struct stp_pool_params *params = node->params;
    int64_t end[2], h = x->dims[2], w = x->dims[3], oh = out->dims[2], ow = out->dims[3];
    struct stp_window window = stp_pool_window(node, x, end);
    float *y = out->data;
    for (int64_t plane = 0; plane < x->dims[0] * x->dims[1]; plane++)
        for (int64_t s = 0; s < oh * ow; s++) {
            struct span rows = axis(&window, 0, s / ow, h, end[0]), columns = axis(&window, 1, s % ow, w, end[1]);
            float result = visit(&window, (const float *)x->data + plane * h * w, w, rows, columns, average);
            int64_t inside = (rows.past - rows.first) * (columns.past - columns.first);
            int64_t count = params->count_include_pad ? rows.padded * columns.padded : inside;
            y[plane * oh * ow + s] = average ? stp_div(result, (float)count) : result;
        }
}

void stp_ref_max_pool(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    pool(node, in[0], out, false);
}

void stp_ref_average_pool(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    pool(node, in[0], out, true);
}

void stp_ref_global_average_pool(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    (void)node;
    int64_t sites = in[0]->dims[2] * in[0]->dims[3];
    for (int64_t plane = 0; plane < in[0]->dims[0] * in[0]->dims[1]; plane++) {
        const float *x = (const float *)in[0]->data + plane * sites;
        float lanes[STP_POOL_LANES] = {0};
        for (int64_t s = 0; s < sites; s++)
            lanes[s % STP_POOL_LANES] += x[s];
        for (int step = STP_POOL_LANES / 2; step; step /= 2)
            for (int lane = 0; lane < step; lane++)
                lanes[lane] += lanes[lane + step];
        ((float *)out->data)[plane] = stp_div(lanes[0], (float)sites);
    }
}
