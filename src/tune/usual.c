// SPDX-License-Identifier: Apache-2.0
// The built-in network for those who tune without a model of their own: at each of four resolutions a bottleneck that halves it, one that
// is computed where a mask is set, and a depthwise convolution, as residual networks for photos have them. Its numbers are noise.
#include <math.h>
#include <stdio.h>

#include <stipple/tune.h>

#include "base/base.h"
#include "onnx/write.h"

enum { STAGES = 4, STEM = 64 };

struct writer {
    struct stp_message graph;
    uint32_t seed;
};

// y = Conv(x, noise) + noise, kernel × kernel, in a group of its own each channel where `depthwise`.
static void put_conv(struct writer *writer, const char *x, const char *y, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                     bool depthwise)
{
    char inputs[96], weights[32], bias[32];
    const int64_t group_in = depthwise ? 1 : in, dims[] = {out, group_in, kernel, kernel}, pads[] = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
    snprintf(weights, sizeof weights, "%s.w", y);
    snprintf(bias, sizeof bias, "%s.b", y);
    snprintf(inputs, sizeof inputs, "%s %s %s", x, weights, bias);
    stp_put_noise(&writer->graph, weights, 4, dims, sqrtf(3.0f / (float)(group_in * kernel * kernel)), ++writer->seed);
    stp_put_noise(&writer->graph, bias, 1, &out, 0.1f, ++writer->seed);
    stp_put_conv(&writer->graph, inputs, y, pads, stride, depthwise ? in : 1);
}

// A name with a stage's number.
struct name {
    char text[32];
};

static struct name name_of(const char *text, int stage)
{
    struct name name;
    snprintf(name.text, sizeof name.text, "%.16s%d", text, stage);
    return name;
}

static void put_binary(struct writer *writer, const char *type, const char *a, const char *b, const char *y)
{
    char inputs[96];
    snprintf(inputs, sizeof inputs, "%s %s", a, b);
    stp_put_node(&writer->graph, type, inputs, y);
}

// Three convolutions, their outputs named after `prefix`; the middle one has the stride. Returns the last one's name.
static struct name put_bottleneck(struct writer *writer, const char *prefix, int stage, const char *x, int64_t in, int64_t middle,
                                  int64_t stride)
{
    struct name names[5];
    static const char *const parts[] = {"1.", "1r.", "2.", "2r.", "3."};
    for (size_t i = 0; i < STP_LENGTH(parts); i++) {
        char text[24];
        snprintf(text, sizeof text, "%s%s", prefix, parts[i]);
        names[i] = name_of(text, stage);
    }
    put_conv(writer, x, names[0].text, in, middle, 1, 1, false);
    stp_put_node(&writer->graph, "Relu", names[0].text, names[1].text);
    put_conv(writer, names[1].text, names[2].text, middle, middle, 3, stride, false);
    stp_put_node(&writer->graph, "Relu", names[2].text, names[3].text);
    put_conv(writer, names[3].text, names[4].text, middle, 4 * middle, 1, 1, false);
    return names[4];
}

// Returns the name of the stage's output, of 4 · middle channels.
static struct name put_stage(struct writer *writer, int stage, const char *x, int64_t in, int64_t middle, int64_t stride)
{
    const int64_t out = 4 * middle;
    const struct name halved = put_bottleneck(writer, "half", stage, x, in, middle, stride), shortcut = name_of("shortcut", stage),
                      sum = name_of("sum", stage), dense = name_of("dense", stage), logit = name_of("logit", stage),
                      mask = name_of("mask", stage), masked = name_of("masked", stage), both = name_of("both", stage),
                      apart = name_of("apart", stage), y = name_of("y", stage);
    put_conv(writer, x, shortcut.text, in, out, 1, stride, false);
    put_binary(writer, "Add", halved.text, shortcut.text, sum.text);
    stp_put_node(&writer->graph, "Relu", sum.text, dense.text);

    put_conv(writer, dense.text, logit.text, out, 1, 3, 1, false);
    put_binary(writer, "Greater", logit.text, "threshold", mask.text);
    const struct name sparse = put_bottleneck(writer, "some", stage, dense.text, out, middle, 1);
    char inputs[96];
    snprintf(inputs, sizeof inputs, "%s %s zero", mask.text, sparse.text);
    stp_put_node(&writer->graph, "Where", inputs, masked.text);
    put_binary(writer, "Add", masked.text, dense.text, both.text);

    put_conv(writer, both.text, apart.text, out, out, 3, 1, true);
    stp_put_node(&writer->graph, "Relu", apart.text, y.text);
    return y;
}

stp_status stp_tuning_usual_model(void **bytes, size_t *size, stp_context *context, int height, int width)
{
    if (!bytes || !size || !context || height < 32 || width < 32 || height > 1 << 14 || width > 1 << 14)
        return STP_ERROR_INVALID_ARGUMENT;
    struct writer writer = {.seed = 1};
    const int64_t x[] = {1, 3, height, width}, one[] = {1};
    struct name last = {"stem"};
    int64_t channels = STEM;
    put_conv(&writer, "x", "first", 3, STEM, 7, 2, false);
    stp_put_node(&writer.graph, "Relu", "first", last.text);
    for (int stage = 0; stage < STAGES; stage++) {
        const int64_t middle = (int64_t)STEM << stage;
        last = put_stage(&writer, stage, last.text, channels, middle, 2);
        channels = 4 * middle;
    }
    stp_put_noise(&writer.graph, "zero", 1, one, 0, 0);
    stp_put_noise(&writer.graph, "threshold", 1, one, 0, 0);
    stp_put_port(&writer.graph, STP_GRAPH_INPUT, "x", STP_ONNX_FLOAT, 4, x);
    stp_put_port(&writer.graph, STP_GRAPH_OUTPUT, last.text, STP_ONNX_FLOAT, -1, NULL);
    struct stp_message model = stp_finish_model(&writer.graph, "usual");
    if (model.failed) {
        stp_tuning_free(model.bytes);
        return stp_fail_memory(context, model.size, "the built-in network");
    }
    *bytes = model.bytes;
    *size = model.size;
    return STP_OK;
}
