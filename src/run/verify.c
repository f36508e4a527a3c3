// SPDX-License-Identifier: Apache-2.0
#include "run/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx/write.h"
#include "ref/run.h"
#include "run/session.h"

// Sites of the problem's image: no multiple of any tile.
enum { HEIGHT = 13, WIDTH = 11 };
// Of the class's kind, but small: the same program computes it.
struct problem {
    struct stp_conv_shape shape; // winograd_tiles 1 or 0
    int64_t kernel[2];
    struct stp_message model;
    float *x, *mask;
};

// No more than `most` and some, and the same remainder by every width of vectors.
static int64_t cut(int64_t number, int64_t most)
{
    return number <= most ? number : most - most % 16 + 16 + number % 16;
}

static struct problem make_problem(const struct stp_conv_shape *class, const struct stp_conv_choice *choice)
{
    enum { MOST_CHANNELS = 40, MOST_TAPS = 9 };
    const int64_t width = choice->local.across ? choice->local.across * choice->local.columns : choice->tile.vec * choice->tile.vecs;
    struct problem p = {.shape = {.groups = stp_min64(class->groups, 2),
                                  .channels = cut(class->channels, MOST_CHANNELS),
                                  .columns = class->winograd_tiles ? stp_min64(class->columns, 2 * width) : cut(class->columns, width),
                                  .winograd_tiles = class->winograd_tiles}};
    const int64_t side = (int64_t)lround(sqrt((double)class->taps));
    const bool square = side * side == class->taps && side <= 7;
    p.kernel[0] = square ? side : 1;
    p.kernel[1] = square ? side : stp_min64(class->taps, MOST_TAPS);
    p.shape.taps = p.kernel[0] * p.kernel[1];
    return p;
}

static int64_t in_channels(const struct problem *p)
{
    return p->shape.groups * p->shape.channels;
}

static int64_t out_channels(const struct problem *p)
{
    return p->shape.groups * p->shape.columns;
}

static float *make_noise(int64_t count, uint32_t seed)
{
    float *floats = malloc((size_t)count * sizeof *floats);
    if (floats)
        stp_fill_noise(floats, count, 1, seed);
    return floats;
}

// The same convolution at every site, and where `mask` is above 0.
static void write_model(struct problem *p)
{
    const int64_t in = in_channels(p), out = out_channels(p), x[] = {1, in, HEIGHT, WIDTH}, mask[] = {1, 1, HEIGHT, WIDTH},
                  y[] = {1, out, HEIGHT, WIDTH}, w[] = {out, p->shape.channels, p->kernel[0], p->kernel[1]}, one[] = {1},
                  pads[] = {p->kernel[0] / 2, p->kernel[1] / 2, (p->kernel[0] - 1) / 2, (p->kernel[1] - 1) / 2};
    struct stp_message graph = {0};
    stp_put_conv(&graph, "x w b", "all", pads, 1, p->shape.groups);
    stp_put_conv(&graph, "x w b", "some", pads, 1, p->shape.groups);
    stp_put_node(&graph, "Greater", "mask zero", "where");
    stp_put_node(&graph, "Where", "where some zero", "masked");
    stp_put_noise(&graph, "w", 4, w, 1, 1);
    stp_put_noise(&graph, "b", 1, &out, 1, 2);
    stp_put_noise(&graph, "zero", 1, one, 0, 0);
    stp_put_port(&graph, STP_GRAPH_INPUT, "x", STP_ONNX_FLOAT, 4, x);
    stp_put_port(&graph, STP_GRAPH_INPUT, "mask", STP_ONNX_FLOAT, 4, mask);
    stp_put_port(&graph, STP_GRAPH_OUTPUT, "all", STP_ONNX_FLOAT, 4, y);
    stp_put_port(&graph, STP_GRAPH_OUTPUT, "masked", STP_ONNX_FLOAT, 4, y);
    p->model = stp_finish_model(&graph, "problem");
}

// Both convolutions are computed by the choice, whatever their rows' class.
static bool tune(struct stp_tuned_table *table, const struct problem *p, const struct stp_conv_choice *choice)
{
    struct stp_tuned tuned = {.choice = *choice};
    bool ok = true;
    for (int64_t rows = 1; rows <= 1024 && ok; rows *= 2)
        for (int winograd = 0; winograd <= 1 && ok; winograd++) {
            tuned.class = p->shape;
            tuned.class.rows = rows;
            tuned.class.winograd_tiles = winograd;
            ok = stp_tuned_put(table, &tuned);
        }
    return ok;
}

// Winograd's outputs come within a few hundred roundings of the largest number (cl/winograd.cl).
static bool is_near(float a, float b, double largest)
{
    return fabs((double)a - b) <= 1e-4 * fmax(largest, 1);
}

static bool compare(const stp_tensor *got, const stp_tensor *wanted, bool reordered, char finding[256])
{
    const int64_t count = stp_tensor_elements(wanted);
    const float *a = got->data, *b = wanted->data;
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)b[i]));
    for (int64_t i = 0; i < count; i++) {
        if (reordered ? is_near(a[i], b[i], largest) : !memcmp(a + i, b + i, sizeof *a))
            continue;
        snprintf(finding, 256, "element %lld is %.9g, not %.9g", (long long)i, (double)a[i], (double)b[i]);
        return false;
    }
    return true;
}

static stp_status check_run(stp_session *session, const struct problem *p, bool reordered, bool *right, char finding[256])
{
    stp_tensor inputs[2] = {stp_tensor_make(STP_F32, 4, (int64_t[]){1, in_channels(p), HEIGHT, WIDTH}),
                            stp_tensor_make(STP_F32, 4, (int64_t[]){1, 1, HEIGHT, WIDTH})};
    stp_tensor wanted[2], got;
    inputs[0].data = p->x;
    inputs[1].data = p->mask;
    STP_TRY(stp_session_set_input(session, "x", &inputs[0]));
    STP_TRY(stp_session_set_input(session, "mask", &inputs[1]));
    STP_TRY(stp_session_run(session));
    STP_TRY(stp_ref_run(session->model->graph, inputs, wanted, NULL, NULL));
    stp_status status = STP_OK;
    *right = true;
    for (size_t i = 0; i < 2 && status == STP_OK && *right; i++) {
        status = stp_session_output(session, i, &got);
        *right = status == STP_OK && compare(&got, &wanted[i], reordered, finding);
    }
    for (size_t i = 0; i < 2; i++)
        free(wanted[i].data);
    return status;
}

static stp_status check_problem(struct stp_device *device, const struct problem *p, const struct stp_conv_choice *choice, bool *right,
                                char finding[256])
{
    stp_model *model;
    stp_session *session = NULL;
    struct stp_tuned_table table = {0};
    STP_TRY(stp_model_load_memory(&model, device->context, p->model.bytes, p->model.size));
    stp_status status = tune(&table, p, choice) ? STP_OK : stp_fail_memory(device->context, sizeof table, "a choice");
    if (status == STP_OK)
        status = stp_session_create(&session, model, device, stp_session_params(.exact = !choice->winograd, .poison = true));
    if (status == STP_OK) {
        session->tuned = &table;
        status = check_run(session, p, choice->winograd, right, finding);
    }
    stp_session_destroy(&session);
    stp_model_destroy(&model);
    free(table.items);
    return status;
}

stp_status stp_verify_conv(struct stp_device *device, const struct stp_conv_shape *class, const struct stp_conv_choice *choice, bool *right,
                           char finding[256])
{
    *right = false;
    if (!stp_worksize_conv_fits(&device->limits, class, choice)) {
        snprintf(finding, 256, "the device cannot run it");
        return STP_OK;
    }
    struct problem p = make_problem(class, choice);
    write_model(&p);
    p.x = make_noise(in_channels(&p) * HEIGHT * WIDTH, 3);
    p.mask = make_noise(HEIGHT * WIDTH, 4);
    stp_status status = p.x && p.mask && !p.model.failed ? check_problem(device, &p, choice, right, finding)
                                                         : stp_fail_memory(device->context, p.model.size, "a problem to verify");
    free(p.x);
    free(p.mask);
    free(p.model.bytes);
    return status;
}
