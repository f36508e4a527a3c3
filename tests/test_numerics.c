// SPDX-License-Identifier: Apache-2.0
// src/ref/numerics.h against the hardware, the maths library and Random123; cl/numerics.cl against it, by bits, on
// every device.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <CL/cl.h>
#include <Random123/philox.h>

#include "base/base.h"
#include "device/kernels.h"
#include "ref/numerics.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

// One NaN for all.
static uint32_t canonical(float x)
{
    return x != x ? 0x7fc00000u : stp_float_bits(x);
}

static const uint32_t edges[] = {
    0x00000000, 0x00000001, 0x00000002, 0x00400000, 0x007fffff, 0x00800000, 0x00800001, 0x00ffffff, 0x01000000,
    0x0b800000, 0x1f7fffff, 0x1f800000, 0x1f800001, 0x2b7fffff, 0x2b800000, 0x2b800001, 0x33800000, 0x34000000,
    0x3effffff, 0x3f000000, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fffffff, 0x40400000, 0x41200000, 0x42ae0000,
    0x42aeac4f, 0x42aeac50, 0x42b17217, 0x42b17218, 0x42cff1b5, 0x4b000000, 0x4b800000, 0x537fffff, 0x53800000,
    0x53800001, 0x5f7fffff, 0x5f800000, 0x5f800001, 0x7effffff, 0x7f000000, 0x7f7fffff, 0x7f800000, 0x7fc00000,
};

static float edge(size_t index)
{
    return stp_float_from_bits(edges[index % STP_LENGTH(edges)] | (index / STP_LENGTH(edges) % 2 ? 0x80000000u : 0));
}

static void divide(float a, float b)
{
    float got = stp_div(a, b), wanted = a / b;
    if (canonical(got) != canonical(wanted))
        fail_msg("%a / %a: got %a, wanted %a", (double)a, (double)b, (double)got, (double)wanted);
    float slow = stp_div_slow(a, b);
    if (canonical(slow) != canonical(wanted))
        fail_msg("%a / %a by integers: got %a, wanted %a", (double)a, (double)b, (double)slow, (double)wanted);
}

static void test_division_edges(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * STP_LENGTH(edges); i++)
        for (size_t j = 0; j < 2 * STP_LENGTH(edges); j++)
            divide(edge(i), edge(j));
    for (size_t i = 0; i < 2 * STP_LENGTH(edges); i++)
        for (int n = 0; n < 2000; n++) {
            divide(edge(i), stp_float_from_bits(random_bits()));
            divide(stp_float_from_bits(random_bits()), edge(i));
        }
}

static void test_division_random(void **state)
{
    (void)state;
    for (int n = 0; n < 2000000; n++)
        divide(stp_float_from_bits(random_bits()), stp_float_from_bits(random_bits()));
}

// Quotients next to the middle between two floats, where a wrong rounding would show, in the fast path's range.
static void test_division_hard(void **state)
{
    (void)state;
    for (int n = 0; n < 4000000; n++) {
        uint32_t significand = n % 16 ? random_bits() & 0x7fffffu : 0x7fffffu - (random_bits() & 3);
        float b = stp_float_from_bits(0x3f800000u | significand);
        double middle = ((double)(0x800000u | (random_bits() & 0x7fffffu)) + 0.5) * 0x1p-23;
        divide((float)(middle * (double)b), b);
    }
}

// Every significand: Markstein's correction stands on this.
static void test_reciprocal_is_nearest(void **state)
{
    (void)state;
    for (uint32_t significand = 0; significand < 1u << 23; significand++) {
        float b = stp_float_from_bits(0x3f800000u | significand);
        if (stp_recip(b).hi != 1.0f / b)
            fail_msg("1 / %a: got %a", (double)b, (double)stp_recip(b).hi);
    }
}

static void test_exp_error(void **state)
{
    (void)state;
    double worst = 0;
    for (int n = 0; n < 4000000; n++) {
        float x = -87.336540f + (float)(176.06 * (random_bits() * 0x1p-32));
        if (n % 4 == 0)
            x = (float)((random_bits() * 0x1p-32 - 0.5) * 2);
        long double wanted = expl((long double)x);
        float got = stp_exp(x);
        if (isinf(got)) {
            assert_true(wanted > 0x1.fffffep127L);
            continue;
        }
        double error = fabs((double)((got - wanted) / wanted));
        if (error > worst)
            worst = error;
    }
    print_message("exp: largest relative error %.3g\n", worst);
    assert_true(worst < 1e-7);
}

static void test_exp_edges(void **state)
{
    (void)state;
    assert_true(stp_exp(0.0f) == 1.0f && stp_exp(-0.0f) == 1.0f);
    assert_true(stp_exp(INFINITY) == INFINITY && stp_exp(1e30f) == INFINITY && stp_exp(88.72284f) == INFINITY);
    assert_true(stp_exp(88.72283f) < INFINITY && stp_exp(88.72283f) > 3.4e38f);
    assert_int_equal(stp_float_bits(stp_exp(-INFINITY)), 0);
    assert_int_equal(stp_float_bits(stp_exp(-1e30f)), 0);
    assert_int_equal(stp_float_bits(stp_exp(-87.33655f)), 0);
    assert_true(stp_exp(-87.33654f) >= 0x1p-126f);
    assert_true(isnan(stp_exp(NAN)));
    assert_true(stp_sigmoid(0.0f) == 0.5f && stp_sigmoid(INFINITY) == 1.0f && stp_sigmoid(-INFINITY) == 0.0f);
    assert_true(isnan(stp_sigmoid(NAN)));
}

static void test_choices(void **state)
{
    (void)state;
    assert_true(isnan(stp_relu(NAN)) && stp_relu(-1.0f) == 0 && stp_relu(2.0f) == 2.0f);
    assert_int_equal(stp_float_bits(stp_relu(-0.0f)), 0x80000000u);
    assert_true(isnan(stp_max(NAN, 1.0f)) && isnan(stp_max(1.0f, NAN)));
    assert_true(stp_max(-INFINITY, -1.0f) == -1.0f && stp_max(3.0f, 2.0f) == 3.0f);
    assert_int_equal(stp_float_bits(stp_max(-0.0f, 0.0f)), 0x80000000u);
}

static void test_philox_known_answers(void **state)
{
    (void)state;
    // Random123's kat_vectors, philox 2x32 with ten rounds: the first word.
    assert_int_equal(stp_philox2x32(0, 0, 0), 0xff1dae59u);
    assert_int_equal(stp_philox2x32(0xffffffffu, 0xffffffffu, 0xffffffffu), 0x2c3f628bu);
    assert_int_equal(stp_philox2x32(0x243f6a88u, 0x85a308d3u, 0x13198a2eu), 0xdd7ce038u);
    for (int n = 0; n < 100000; n++) {
        philox2x32_ctr_t counter = {{random_bits(), random_bits()}};
        philox2x32_key_t key = {{random_bits()}};
        assert_int_equal(stp_philox2x32(counter.v[0], counter.v[1], key.v[0]), philox2x32(counter, key).v[0]);
    }
}

// Devices ------------------------------------------------------------------------------------------------------------

enum { DIV, DIV_BY, EXP, SIGMOID, RELU, MAX, PHILOX, N_OPS };
static const char *const op_names[N_OPS] = {"div", "div_by", "exp", "sigmoid", "relu", "max", "philox"};

static const char scalar_text[] =
    "kernel void apply(global const float *a, global const float *b, global float *out, int n)\n"
    "{\n"
    "    int i = get_global_id(0);\n"
    "    out[i] = stp_div(a[i], b[i]);\n"
    "    out[n + i] = stp_div_by(a[i], b[i / 16 * 16], stp_recip(b[i / 16 * 16]));\n"
    "    out[2 * n + i] = stp_exp(a[i]);\n"
    "    out[3 * n + i] = stp_sigmoid(a[i]);\n"
    "    out[4 * n + i] = stp_relu(a[i]);\n"
    "    out[5 * n + i] = stp_max(a[i], b[i]);\n"
    "    out[6 * n + i] = as_float(stp_philox2x32(as_uint(a[i]), as_uint(b[i]), i) >> 8);\n"
    "}\n";

static const char vector_text[] =
    "STP_DEFINE_DIV(N)\n"
    "STP_DEFINE_EXP(N)\n"
    "kernel void apply(global const float *a, global const float *b, global float *out, int n)\n"
    "{\n"
    "    int i = get_global_id(0);\n"
    "    if (i >= n / N)\n"
    "        return;\n"
    "    STP_CAT(float, N) x = STP_CAT(vload, N)(i, a), y = STP_CAT(vload, N)(i, b);\n"
    "    float d = b[i * N / 16 * 16];\n"
    "    STP_CAT(vstore, N)(STP_CAT(stp_div, N)(x, y), i, out);\n"
    "    STP_CAT(vstore, N)(STP_CAT(stp_div_by, N)(x, d, stp_recip(d)), i, out + n);\n"
    "    STP_CAT(vstore, N)(STP_CAT(stp_exp, N)(x), i, out + 2 * n);\n"
    "    STP_CAT(vstore, N)(STP_CAT(stp_sigmoid, N)(x), i, out + 3 * n);\n"
    "}\n";

static float reference(int op, const float *a, const float *b, int i)
{
    switch (op) {
    case DIV: return stp_div(a[i], b[i]);
    case DIV_BY: return stp_div(a[i], b[i / 16 * 16]);
    case EXP: return stp_exp(a[i]);
    case SIGMOID: return stp_sigmoid(a[i]);
    case RELU: return stp_relu(a[i]);
    case MAX: return stp_max(a[i], b[i]);
    default: break;
    }
    return stp_float_from_bits(stp_philox2x32(stp_float_bits(a[i]), stp_float_bits(b[i]), (uint32_t)i) >> 8);
}

// A device, and what one run of a kernel on it takes.
struct rig {
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    char name[256];
    int count;         // numbers in a and b
    float *a, *b, *out; // out: N_OPS times as many
    cl_mem in_a, in_b, result;
};

// Edges crossed with edges, then bit patterns, then numbers as networks have them.
static void fill(struct rig *rig)
{
    int n_edges = 2 * (int)STP_LENGTH(edges);
    for (int i = 0; i < rig->count; i++) {
        rig->a[i] = stp_float_from_bits(random_bits());
        rig->b[i] = stp_float_from_bits(random_bits());
        if (i % 4 == 0) {
            rig->a[i] = edge((size_t)(i / 4 % n_edges));
            rig->b[i] = edge((size_t)(i / 4 / n_edges));
        } else if (i % 2) {
            rig->a[i] = (float)(int32_t)random_bits() * 0x1p-27f;
            rig->b[i] = (float)(int32_t)random_bits() * 0x1p-30f;
        }
    }
}

static void compare(const struct rig *rig, int width)
{
    const float *a = rig->a, *b = rig->b;
    for (int op = 0; op < (width == 1 ? N_OPS : RELU); op++)
        for (int i = 0; i < rig->count; i++) {
            float wanted = reference(op, a, b, i), got = rig->out[op * rig->count + i];
            float divisor = op == DIV_BY ? b[i / 16 * 16] : b[i];
            if (canonical(got) != canonical(wanted))
                fail_msg("%s, width %d: %s(%a, %a) [%d]: got %a, wanted %a", rig->name, width, op_names[op],
                         (double)a[i], (double)divisor, i, (double)got, (double)wanted);
        }
}

static cl_program build(const struct rig *rig, int width)
{
    const char *texts[2] = {NULL, width == 1 ? scalar_text : vector_text};
    for (const struct stp_kernel_source *source = stp_kernel_sources; source->name; source++)
        if (!strcmp(source->name, "numerics"))
            texts[0] = source->text;
    assert_non_null(texts[0]);
    char options[32];
    snprintf(options, sizeof options, "-DN=%d", width);
    cl_program program = clCreateProgramWithSource(rig->context, 2, texts, NULL, NULL);
    assert_non_null(program);
    if (clBuildProgram(program, 1, &rig->device, options, NULL, NULL)) {
        char log[4096] = "";
        clGetProgramBuildInfo(program, rig->device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        fail_msg("%s: %s", rig->name, log);
    }
    return program;
}

static void run_width(struct rig *rig, int width)
{
    cl_program program = build(rig, width);
    cl_kernel kernel = clCreateKernel(program, "apply", NULL);
    assert_non_null(kernel);
    cl_int count = rig->count;
    clSetKernelArg(kernel, 0, sizeof rig->in_a, &rig->in_a);
    clSetKernelArg(kernel, 1, sizeof rig->in_b, &rig->in_b);
    clSetKernelArg(kernel, 2, sizeof rig->result, &rig->result);
    clSetKernelArg(kernel, 3, sizeof count, &count);
    size_t global = (size_t)rig->count, bytes = N_OPS * global * sizeof(float);
    assert_int_equal(clEnqueueNDRangeKernel(rig->queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueReadBuffer(rig->queue, rig->result, CL_TRUE, 0, bytes, rig->out, 0, NULL, NULL),
                     CL_SUCCESS);
    compare(rig, width);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
}

static void run_device(cl_device_id device)
{
    struct rig rig = {.device = device};
    clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof rig.name - 1, rig.name, NULL);
    rig.count = strstr(rig.name, "Oclgrind") ? 1 << 11 : 1 << 17; // an interpreter is slow
    size_t bytes = (size_t)rig.count * sizeof(float);
    rig.context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    assert_non_null(rig.context);
    rig.queue = clCreateCommandQueue(rig.context, device, 0, NULL);
    rig.a = malloc(bytes);
    rig.b = malloc(bytes);
    rig.out = malloc(N_OPS * bytes);
    assert_true(rig.queue && rig.a && rig.b && rig.out);
    fill(&rig);
    cl_mem_flags copy = CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR;
    rig.in_a = clCreateBuffer(rig.context, copy, bytes, rig.a, NULL);
    rig.in_b = clCreateBuffer(rig.context, copy, bytes, rig.b, NULL);
    rig.result = clCreateBuffer(rig.context, CL_MEM_READ_WRITE, N_OPS * bytes, NULL, NULL);
    assert_true(rig.in_a && rig.in_b && rig.result);

    // Wider ones than twice the native vector are not used, and take llvmpipe minutes to compile.
    cl_uint native = 1;
    clGetDeviceInfo(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof native, &native, NULL);
    int widest = native > 2 ? 2 * (int)native : 4;
    for (int width = 1; width <= 16 && width <= widest; width *= 2)
        run_width(&rig, width);
    print_message("%s: equal bits up to vectors of %d\n", rig.name, widest > 16 ? 16 : widest);

    clReleaseMemObject(rig.in_a);
    clReleaseMemObject(rig.in_b);
    clReleaseMemObject(rig.result);
    clReleaseCommandQueue(rig.queue);
    clReleaseContext(rig.context);
    free(rig.a);
    free(rig.b);
    free(rig.out);
}

static void test_devices(void **state)
{
    (void)state;
    enum { MOST = 16 };
    cl_platform_id platforms[MOST];
    cl_uint n_platforms = 0;
    int found = 0;
    if (clGetPlatformIDs(MOST, platforms, &n_platforms))
        n_platforms = 0;
    for (cl_uint p = 0; p < n_platforms && p < MOST; p++) {
        cl_device_id devices[MOST];
        cl_uint n_devices = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST, devices, &n_devices))
            continue;
        for (cl_uint d = 0; d < n_devices && d < MOST; d++, found++)
            run_device(devices[d]);
    }
    if (!found) {
        print_message("no OpenCL device was found\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_division_edges),      cmocka_unit_test(test_division_random),
        cmocka_unit_test(test_division_hard),       cmocka_unit_test(test_reciprocal_is_nearest),
        cmocka_unit_test(test_exp_error),           cmocka_unit_test(test_exp_edges),
        cmocka_unit_test(test_choices),             cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests_name("numerics", tests, NULL, NULL);
}
