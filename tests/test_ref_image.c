// SPDX-License-Identifier: Apache-2.0
// The references of convolution, pooling, Gemm, BatchNormalization, Sample and Interpolate: cases worked out by hand,
// in which another order of operations gives another result, and Conv against its definition in SPEC.md (Exactness),
// by bits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/op.h"

// One node -----------------------------------------------------------------------------------------------------------

static stp_context *context;
static struct stp_graph *graph;
static struct stp_node *node;
static stp_tensor operands[5], result;

#define SHAPE(...) sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t), (const int64_t[]){__VA_ARGS__}

static void start(const char *domain, const char *type, int n_inputs)
{
    assert_int_equal(stp_context_create(&context, NULL), STP_OK);
    graph = stp_graph_create(context);
    assert_non_null(graph);
    graph->opset = 18;
    graph->inputs = stp_arena_array(&graph->arena, 2, sizeof *graph->inputs);
    node = stp_graph_add_node(graph, n_inputs, 1);
    node->name = "node";
    node->type = type;
    node->domain = domain;
    node->version = *domain ? 1 : 18;
    node->attrs = stp_arena_array(&graph->arena, 8, sizeof *node->attrs);
    node->outputs[0] = stp_graph_add_value(graph, "result");
}

static void operand(int index, stp_dtype dtype, const void *data, size_t rank, const int64_t *dims)
{
    static const char *const names[] = {"i0", "i1", "i2", "i3", "i4"};
    struct stp_value *value = stp_graph_add_value(graph, names[index]);
    value->dtype = dtype;
    value->rank = (int)rank;
    memcpy(value->dims, dims, rank * sizeof *dims);
    value->data = data;
    node->inputs[index] = value;
    operands[index] = stp_tensor_make(dtype, (int)rank, dims);
    operands[index].data = (void *)(uintptr_t)data;
}

// Not a constant.
static void data_operand(int index, stp_dtype dtype, const void *data, size_t rank, const int64_t *dims)
{
    operand(index, dtype, data, rank, dims);
    struct stp_value *value = node->inputs[index];
    value->data = NULL;
    value->is_input = true;
    graph->inputs[graph->n_inputs++] = value;
}

static struct stp_attr *attribute(const char *name, enum stp_attr_type type)
{
    struct stp_attr *attr = &node->attrs[node->n_attrs++];
    *attr = (struct stp_attr){.name = name, .type = type};
    return attr;
}

static void ints(const char *name, size_t count, const int64_t *values)
{
    struct stp_attr *attr = attribute(name, STP_ATTR_INTS);
    attr->count = count;
    attr->ints = values;
}

static const float *run(void)
{
    const stp_tensor *in[5];
    for (int i = 0; i < node->n_inputs; i++)
        in[i] = node->inputs[i] ? &operands[i] : NULL;
    if (stp_graph_check(graph) != STP_OK || node->op->shape(context, node, in, &result) != STP_OK)
        fail_msg("%s", stp_last_error(context));
    result.data = malloc((size_t)stp_tensor_elements(&result) * sizeof(float));
    assert_non_null(result.data);
    node->op->ref(node, in, &result);
    return result.data;
}

static void finish(void)
{
    free(result.data);
    stp_graph_destroy(graph);
    stp_context_destroy(&context);
}

static void expect(const float *wanted, size_t rank, const int64_t *dims)
{
    const float *got = run();
    assert_int_equal(result.rank, rank);
    assert_memory_equal(result.dims, dims, rank * sizeof *dims);
    for (int64_t i = 0; i < stp_tensor_elements(&result); i++)
        if (memcmp(&got[i], &wanted[i], sizeof *got) && !(isnan(got[i]) && isnan(wanted[i])))
            fail_msg("%s [%d]: got %a, wanted %a", node->type, (int)i, (double)got[i], (double)wanted[i]);
    finish();
}

// Conv ---------------------------------------------------------------------------------------------------------------

static void test_conv_by_hand(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 10, 100, 1000}, bias[] = {0.5f};
    start("", "Conv", 3);
    data_operand(0, STP_F32, x, SHAPE(1, 1, 3, 3));
    operand(1, STP_F32, w, SHAPE(1, 1, 2, 2));
    operand(2, STP_F32, bias, SHAPE(1));
    ints("pads", SHAPE(1, 0, 0, 1));
    ints("strides", SHAPE(2, 1));
    expect((const float[]){2100.5f, 3200.5f, 300.5f, 8754.5f, 9865.5f, 906.5f},
           SHAPE(1, 1, 2, 3));
}

// One channel of 1×2 taps, two inputs: (1, 0), then (1e8, −1e8).
static void one_order(int64_t channels, const float *wanted)
{
    static const float x[] = {1, 1e8f, 0, -1e8f};
    static const float w[5 * 4] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    start("", "Conv", 2);
    data_operand(0, STP_F32, x, SHAPE(1, 2, 1, 2));
    operand(1, STP_F32, w, SHAPE(channels, 2, 1, 2));
    expect(wanted, SHAPE(1, channels, 1, 1));
}

static void test_conv_order(void **state)
{
    (void)state;
    // One chain loses the 1; a mask convolution, of at most four output channels, adds its taps' sums.
    one_order(5, (const float[]){0, 0, 0, 0, 0});
    one_order(4, (const float[]){1, 1, 1, 1});
}

static uint32_t seed = 1;

static int64_t draw(int64_t least, int64_t most)
{
    seed = seed * 1664525u + 1013904223u;
    return least + (int64_t)(seed >> 8) % (most - least + 1);
}

static float *draw_floats(int64_t count)
{
    float *floats = malloc((size_t)count * sizeof *floats);
    assert_non_null(floats);
    for (int64_t i = 0; i < count; i++)
        floats[i] = draw(0, 9) ? (float)draw(-(1 << 22), 1 << 22) * 0x1p-20f : -0.0f;
    return floats;
}

struct shape {
    int64_t n, group, icg, ocg, h, w, kernel[2], stride[2], dilation[2], pads[4], out[2];
};

static float tap_value(const struct shape *s, const float *x, int64_t n, int64_t c, int64_t y0, int64_t x0)
{
    bool inside = y0 >= 0 && y0 < s->h && x0 >= 0 && x0 < s->w;
    return inside ? x[((n * s->group * s->icg + c) * s->h + y0) * s->w + x0] : 0;
}

// The definition, for one output.
static float define(const struct shape *s, const float *x, const float *w, const float *bias, int64_t n, int64_t oc,
                    int64_t at)
{
    bool mask = s->group == 1 && s->ocg <= 4 && s->kernel[0] * s->kernel[1] > 1;
    float acc = bias && !mask ? bias[oc] : 0, sum = 0;
    for (int64_t ky = 0; ky < s->kernel[0]; ky++)
        for (int64_t kx = 0; kx < s->kernel[1]; kx++) {
            int64_t y0 = at / s->out[1] * s->stride[0] - s->pads[0] + ky * s->dilation[0];
            int64_t x0 = at % s->out[1] * s->stride[1] - s->pads[1] + kx * s->dilation[1];
            acc = mask ? 0 : acc;
            for (int64_t ic = 0; ic < s->icg; ic++)
                acc = fmaf(tap_value(s, x, n, oc / s->ocg * s->icg + ic, y0, x0),
                           w[((oc * s->icg + ic) * s->kernel[0] + ky) * s->kernel[1] + kx], acc);
            sum = ky || kx ? sum + acc : acc;
        }
    return !mask ? acc : bias ? sum + bias[oc] : sum;
}

static struct shape draw_shape(void)
{
    static const int64_t groups[] = {1, 1, 1, 2, 5}, channels[] = {1, 2, 4, 5, 7, 63, 64, 65, 130};
    struct shape s = {.n = draw(1, 3), .group = groups[draw(0, 4)], .icg = draw(1, 9), .ocg = channels[draw(0, 8)]};
    for (int a = 0; a < 2; a++) {
        s.kernel[a] = draw(1, 3);
        s.stride[a] = draw(1, 3);
        s.dilation[a] = draw(1, 2);
        s.pads[a] = draw(0, 2);
        s.pads[a + 2] = draw(0, 2);
        int64_t size = (s.kernel[a] - 1) * s.dilation[a] + 1 + draw(0, 4);
        s.out[a] = (size + s.pads[a] + s.pads[a + 2] - (s.kernel[a] - 1) * s.dilation[a] - 1) / s.stride[a] + 1;
        *(a ? &s.w : &s.h) = size;
    }
    return s;
}

static void test_conv_definition(void **state)
{
    (void)state;
    for (int turn = 0; turn < 200; turn++) {
        struct shape s = draw_shape();
        int64_t ic = s.group * s.icg, oc = s.group * s.ocg, outputs = s.n * oc * s.out[0] * s.out[1];
        float *x = draw_floats(s.n * ic * s.h * s.w), *w = draw_floats(oc * s.icg * s.kernel[0] * s.kernel[1]);
        float *bias = draw(0, 1) ? draw_floats(oc) : NULL, *wanted = draw_floats(outputs);
        for (int64_t i = 0; i < outputs; i++) {
            int64_t at = i % (s.out[0] * s.out[1]), plane = i / (s.out[0] * s.out[1]);
            wanted[i] = define(&s, x, w, bias, plane / oc, plane % oc, at);
        }
        start("", "Conv", bias ? 3 : 2);
        data_operand(0, STP_F32, x, SHAPE(s.n, ic, s.h, s.w));
        operand(1, STP_F32, w, SHAPE(oc, s.icg, s.kernel[0], s.kernel[1]));
        if (bias)
            operand(2, STP_F32, bias, SHAPE(oc));
        ints("pads", 4, s.pads);
        ints("strides", 2, s.stride);
        ints("dilations", 2, s.dilation);
        attribute("group", STP_ATTR_INT)->i = s.group;
        expect(wanted, SHAPE(s.n, oc, s.out[0], s.out[1]));
        free(x);
        free(w);
        free(bias);
        free(wanted);
    }
}

// The others ---------------------------------------------------------------------------------------------------------

static void test_pools(void **state)
{
    (void)state;
    static const float x[] = {-0.0f, 0.0f, 1e8f, 1, -1e8f, NAN};
    start("", "MaxPool", 1);
    data_operand(0, STP_F32, x, SHAPE(1, 1, 1, 6));
    ints("kernel_shape", SHAPE(1, 2));
    expect((const float[]){-0.0f, 1e8f, 1e8f, 1, NAN}, SHAPE(1, 1, 1, 5));
    start("", "AveragePool", 1);
    data_operand(0, STP_F32, x, SHAPE(1, 1, 1, 5));
    ints("kernel_shape", SHAPE(1, 3));
    ints("pads", SHAPE(0, 1, 0, 1));
    expect((const float[]){0, 1e8f / 3, 1e8f / 3, 0, -5e7f}, SHAPE(1, 1, 1, 5));
}

static void test_global_average(void **state)
{
    (void)state;
    // Sites 0 and 64 share a lane, so that the 1 is not lost.
    float x[130] = {1e8f, 1};
    x[64] = -1e8f;
    start("", "GlobalAveragePool", 1);
    data_operand(0, STP_F32, x, SHAPE(1, 1, 10, 13));
    expect((const float[]){1 / 130.0f}, SHAPE(1, 1, 1, 1));
    // Lanes 0 and 32 are added first.
    float y[64] = {1e8f, 1};
    y[32] = -1e8f;
    start("", "GlobalAveragePool", 1);
    data_operand(0, STP_F32, y, SHAPE(1, 1, 8, 8));
    expect((const float[]){1 / 64.0f}, SHAPE(1, 1, 1, 1));
}

static void test_gemm(void **state)
{
    (void)state;
    static const float a[] = {1e8f, 1, -1e8f}, b[] = {1, 1, 1, 3, 3, 3}, c[] = {1, 0.25f};
    start("", "Gemm", 3);
    data_operand(0, STP_F32, a, SHAPE(1, 3));
    operand(1, STP_F32, b, SHAPE(2, 3));
    operand(2, STP_F32, c, SHAPE(2));
    attribute("transB", STP_ATTR_INT)->i = 1;
    attribute("alpha", STP_ATTR_FLOAT)->f = 0.1f;
    attribute("beta", STP_ATTR_FLOAT)->f = 3;
    float w[2] = {0.1f, (float)(3.0 * (double)0.1f)}, wanted[2];
    for (int n = 0; n < 2; n++)
        wanted[n] = fmaf(-1e8f, w[n], fmaf(1, w[n], fmaf(1e8f, w[n], n ? 0.75f : 3)));
    expect(wanted, SHAPE(1, 2));
}

static void test_batchnorm(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4}, scale[] = {1, 3}, shift[] = {0.5f, 0.1f};
    static const float mean[] = {0, 0.7f}, var[] = {1, 0.3f};
    start("", "BatchNormalization", 5);
    data_operand(0, STP_F32, x, SHAPE(1, 2, 1, 2));
    operand(1, STP_F32, scale, SHAPE(2));
    operand(2, STP_F32, shift, SHAPE(2));
    operand(3, STP_F32, mean, SHAPE(2));
    operand(4, STP_F32, var, SHAPE(2));
    attribute("epsilon", STP_ATTR_FLOAT)->f = 0;
    double factor = 3 / sqrt((double)0.3f);
    float a = (float)factor, b = (float)((double)0.1f - (double)0.7f * factor);
    expect((const float[]){1.5f, 2.5f, fmaf(3, a, b), fmaf(4, a, b)}, SHAPE(1, 2, 1, 2));
}

static void sample(int64_t stochastic, int64_t grid, const float *logits, size_t rank, const int64_t *dims,
                   int64_t image_seed)
{
    static int64_t seeds[1];
    seeds[0] = image_seed;
    start("stipple", "Sample", 2);
    data_operand(0, STP_F32, logits, rank, dims);
    data_operand(1, STP_I64, seeds, SHAPE(1));
    attribute("stochastic", STP_ATTR_INT)->i = stochastic;
    attribute("stream", STP_ATTR_INT)->i = 0;
    attribute("grid", STP_ATTR_INT)->i = grid;
}

static void test_sample(void **state)
{
    (void)state;
    static const float logits[] = {0, -0.0f, -1e-30f, NAN, INFINITY, -INFINITY};
    sample(0, 0, logits, SHAPE(1, 1, 2, 3), 0);
    expect((const float[]){1, 1, 0, 0, 1, 0}, SHAPE(1, 1, 2, 3));
    sample(0, 2, logits, SHAPE(1, 1, 1, 6), 0);
    expect((const float[]){1, 1, 1, 0, 1, 0}, SHAPE(1, 1, 1, 6));
    // Philox's known answer: u = 0xff1dae · 2^-24 = 0.99654 at site 0 for seed 0 (whose high half does not count), in
    // both images.
    static const float pairs[] = {5.6f, 5.7f};
    sample(1, 0, pairs, SHAPE(2, 1, 1, 1), (int64_t)7 << 32);
    expect((const float[]){0, 1}, SHAPE(2, 1, 1, 1));
    sample(1, 0, logits + 3, SHAPE(3, 1, 1, 1), 123);
    expect((const float[]){0, 1, 0}, SHAPE(3, 1, 1, 1));
}

static void test_interpolate(void **state)
{
    (void)state;
    // Two images under one mask; what lies at unsampled sites does not matter.
    static const float x[] = {4, NAN, INFINITY, 6, -8, 1, 2, -0.0f}, mask[] = {1, 0, 0, 1};
    static const float w[] = {0.5f, 1, 0.25f};
    start("stipple", "Interpolate", 3);
    data_operand(0, STP_F32, x, SHAPE(2, 1, 1, 4));
    data_operand(1, STP_F32, mask, SHAPE(1, 1, 1, 4));
    operand(2, STP_F32, w, SHAPE(1, 3));
    attribute("epsilon", STP_ATTR_FLOAT)->f = 0.125f;
    expect((const float[]){4, 2 / 0.625f, 1.5f / 0.375f, 6, -8, -4 / 0.625f, 0, -0.0f}, SHAPE(2, 1, 1, 4));
    // No sample in reach, and a window that is clipped.
    static const float image[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, corner[] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const float box[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    start("stipple", "Interpolate", 3);
    data_operand(0, STP_F32, image, SHAPE(1, 1, 3, 3));
    data_operand(1, STP_F32, corner, SHAPE(1, 1, 3, 3));
    operand(2, STP_F32, box, SHAPE(3, 3));
    attribute("epsilon", STP_ATTR_FLOAT)->f = 1e-5f;
    float y = 9 / (1 + 1e-5f);
    expect((const float[]){0, 0, 0, 0, y, y, 0, y, 9}, SHAPE(1, 1, 3, 3));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_by_hand),   cmocka_unit_test(test_conv_order),
        cmocka_unit_test(test_conv_definition), cmocka_unit_test(test_pools),
        cmocka_unit_test(test_global_average), cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_batchnorm),      cmocka_unit_test(test_sample),
        cmocka_unit_test(test_interpolate),
    };
    if (argc > 1)
        seed = (uint32_t)strtoul(argv[1], NULL, 0);
    printf("seed %u\n", (unsigned)seed);
    return cmocka_run_group_tests_name("ref_image", tests, NULL, NULL);
}
