// SPDX-License-Identifier: Apache-2.0
// The exactness probe: cl/probe.cl against the same in C.
#include "device/exactness.h"

#include <math.h>
#include <stdio.h>

#include "ref/numerics.h"

enum { COUNT = 1024, LENGTH = 300, LANES = 16 };

// In the order of cl/probe.cl.
enum op { FMA, ADD, SUB, MUL, MUL_ADD, DIV, EXP, RELU, OPS };
// What is found wrong, in the order in which it is told.
enum finding {
    BAD_FMA,
    BAD_ROUNDING,
    BAD_VECTORS,
    BAD_SUBNORMALS,
    BAD_ZEROS,
    BAD_SPECIALS,
    BAD_DIVISION,
    BAD_EXP,
    BAD_COMPARISON,
};
static const char *const finding_names[] = {
    [BAD_FMA] = "fma",
    [BAD_ROUNDING] = "rounding",
    [BAD_VECTORS] = "vectors",
    [BAD_SUBNORMALS] = "subnormals",
    [BAD_ZEROS] = "signed zeros",
    [BAD_SPECIALS] = "NaN and Inf",
    [BAD_DIVISION] = "division",
    [BAD_EXP] = "exp",
    [BAD_COMPARISON] = "comparison",
};

struct operands {
    float a[COUNT], b[COUNT], c[COUNT];
};

struct chains {
    float x[LENGTH], w[LENGTH * LANES];
};
enum { CHAIN_RESULTS = 16 + 8 + 4 + 1 };

// Operands -----------------------------------------------------------------------------------------------------------

static uint32_t draw(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

// ±[2^low, 2^(high + 1)), exponents evenly; subnormal where they ask for it.
static float draw_float(uint32_t *state, int low, int high)
{
    float significand = 1.0f + (float)(draw(state) >> 9) * 0x1p-23f;
    int exponent = low + (int)(draw(state) % (uint32_t)(high - low + 1));
    return ldexpf(draw(state) & 0x100 ? -significand : significand, exponent);
}

static void draw_operands(struct operands *set, int low, int high, int low_b, int high_b)
{
    uint32_t state = 2463534242u;
    for (int i = 0; i < COUNT; i++) {
        set->a[i] = draw_float(&state, low, high);
        set->b[i] = draw_float(&state, low_b, high_b);
        // Half of them leave only the product's rounding error, which an unfused fma loses.
        float product = set->a[i] * set->b[i];
        set->c[i] = i % 2 ? -product : draw_float(&state, low, high);
    }
}

// Every triple of these; 2^100 overflows in a product.
static void special_operands(struct operands *set)
{
    static const float values[8] = {0.0f, -0.0f, 1.5f, -2.5f, INFINITY, -INFINITY, NAN, 0x1p100f};
    for (int i = 0; i < COUNT; i++) {
        set->a[i] = values[i & 7];
        set->b[i] = values[i >> 3 & 7];
        set->c[i] = values[i >> 6 & 7];
    }
}

// The same in C ------------------------------------------------------------------------------------------------------

static float expected(enum op op, float x, float y, float z)
{
    switch (op) {
    case FMA: return fmaf(x, y, z);
    case ADD: return x + y;
    case SUB: return x - z;
    case MUL: return x * y;
    case MUL_ADD: return x * y + z;
    case DIV: return stp_div(x, y);
    case EXP: return stp_exp(x);
    case RELU: return x < 0 ? 0 : x;
    case OPS: break;
    }
    return 0;
}

static bool same(float a, float b)
{
    return stp_float_bits(a) == stp_float_bits(b) || (a != a && b != b);
}

// Bit `op` is set where a result differs, bit OPS where only the sign of a zero does.
static unsigned differing_ops(const struct operands *set, const float *got)
{
    unsigned bad = 0;
    for (int op = 0; op < OPS; op++)
        for (int i = 0; i < COUNT; i++) {
            float result = got[op * COUNT + i], want = expected(op, set->a[i], set->b[i], set->c[i]);
            if (!same(result, want))
                bad |= 1u << (result == want ? OPS : op);
        }
    return bad;
}

static bool chains_agree(const struct chains *set, const float *got)
{
    float want[LANES] = {0};
    for (int k = 0; k < LENGTH; k++)
        for (int lane = 0; lane < LANES; lane++)
            want[lane] = fmaf(set->x[k], set->w[k * LANES + lane], want[lane]);
    // vload8(2·k) and vload4(4·k) read the first lanes of row k.
    for (int i = 0; i < CHAIN_RESULTS; i++)
        if (!same(got[i], want[i < 16 ? i : i < 24 ? i - 16 : i < 28 ? i - 24 : 0]))
            return false;
    return true;
}

// On the device ------------------------------------------------------------------------------------------------------

// kernel(in[0], …, in[n − 1], out, number) with one work-item per group.
static stp_status launch(struct stp_device *device, const char *name, const float *const *in, const size_t *sizes,
                         int n, int number, size_t items, float *out, size_t out_size)
{
    cl_mem buffers[4] = {0};
    cl_kernel kernel;
    stp_status status = stp_device_kernel(device, "probe", NULL, name, &kernel);
    for (int i = 0; i <= n && status == STP_OK; i++) {
        cl_mem_flags flags = i < n ? CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR : CL_MEM_WRITE_ONLY;
        status = stp_device_buffer(device, i < n ? sizes[i] : out_size, flags, i < n ? in[i] : NULL, "the probe",
                                   &buffers[i]);
        if (status == STP_OK)
            status = stp_cl_check(device, clSetKernelArg(kernel, (cl_uint)i, sizeof buffers[i], &buffers[i]),
                                  "clSetKernelArg");
    }
    cl_int value = number;
    const size_t one = 1;
    if (status == STP_OK)
        status = stp_cl_check(device, clSetKernelArg(kernel, (cl_uint)n + 1, sizeof value, &value), "clSetKernelArg");
    if (status == STP_OK)
        status =
            stp_cl_check(device, clEnqueueNDRangeKernel(device->queue, kernel, 1, NULL, &items, &one, 0, NULL, NULL),
                         "clEnqueueNDRangeKernel");
    if (status == STP_OK)
        status = stp_cl_check(device,
                              clEnqueueReadBuffer(device->queue, buffers[n], CL_TRUE, 0, out_size, out, 0, NULL, NULL),
                              "clEnqueueReadBuffer");
    for (int i = 0; i <= n; i++)
        if (buffers[i])
            clReleaseMemObject(buffers[i]);
    if (kernel)
        clReleaseKernel(kernel);
    return status;
}

static stp_status run_operands(struct stp_device *device, const struct operands *set, unsigned *bad)
{
    float got[OPS * COUNT];
    const float *const in[] = {set->a, set->b, set->c};
    const size_t sizes[] = {sizeof set->a, sizeof set->b, sizeof set->c};
    STP_TRY(launch(device, "probe_sites", in, sizes, 3, COUNT, 16, got, sizeof got));
    *bad = differing_ops(set, got);
    return STP_OK;
}

static stp_status run_chains(struct stp_device *device, bool *agree)
{
    struct chains set;
    uint32_t state = 88675123u;
    for (int k = 0; k < LENGTH; k++)
        set.x[k] = draw_float(&state, -1, 0);
    for (int i = 0; i < LENGTH * LANES; i++)
        set.w[i] = draw_float(&state, -1, 0);
    float got[CHAIN_RESULTS];
    const float *const in[] = {set.x, set.w};
    const size_t sizes[] = {sizeof set.x, sizeof set.w};
    STP_TRY(launch(device, "probe_chains", in, sizes, 2, LENGTH, 1, got, sizeof got));
    *agree = chains_agree(&set, got);
    return STP_OK;
}

// The names of the set bits.
static const char *tell(struct stp_arena *arena, unsigned findings)
{
    char text[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < STP_LENGTH(finding_names); i++)
        if (findings >> i & 1)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", finding_names[i]);
    return stp_arena_string(arena, text, used);
}

// The finding of each operation's bit; the one of zeros always means the same.
static unsigned findings_of(unsigned bad, const enum finding *means)
{
    unsigned findings = (bad >> OPS & 1) << BAD_ZEROS;
    for (int op = 0; op < OPS; op++)
        findings |= (bad >> op & 1) << means[op];
    return findings;
}

stp_status stp_device_exactness(struct stp_device *device, const char **finding)
{
    static const enum finding normal[OPS] = {BAD_FMA,      BAD_ROUNDING, BAD_ROUNDING, BAD_ROUNDING,
                                             BAD_ROUNDING, BAD_DIVISION, BAD_EXP,      BAD_COMPARISON};
    static const enum finding special[OPS] = {BAD_SPECIALS, BAD_SPECIALS, BAD_SPECIALS, BAD_SPECIALS,
                                              BAD_SPECIALS, BAD_SPECIALS, BAD_SPECIALS, BAD_SPECIALS};
    struct operands set;
    unsigned bad, findings;
    draw_operands(&set, -6, 6, -20, 20);
    STP_TRY(run_operands(device, &set, &bad));
    findings = findings_of(bad, normal);
    draw_operands(&set, -149, -120, -10, 10);
    STP_TRY(run_operands(device, &set, &bad));
    findings |= (unsigned)(bad != 0) << BAD_SUBNORMALS;
    special_operands(&set);
    STP_TRY(run_operands(device, &set, &bad));
    findings |= findings_of(bad, special);
    bool agree;
    STP_TRY(run_chains(device, &agree));
    findings |= (unsigned)!agree << BAD_VECTORS;
    *finding = findings ? tell(&device->arena, findings) : NULL;
    if (findings && !*finding)
        return stp_fail_memory(device->context, 256, "a finding of the probe");
    return STP_OK;
}
