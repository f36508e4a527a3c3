// SPDX-License-Identifier: Apache-2.0
// References of the element-wise operators.
#include <assert.h>
#include <math.h>

#include "ops/binary.h"
#include "ops/unary.h"
#include "ref/numerics.h"
#include "ref/ref.h"
#include "ref/walk.h"

// Elements of int32, int64 and bool tensors, all handled as int64.
static int64_t load(const stp_tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case STP_I32: return ((const int32_t *)tensor->data)[i];
    case STP_I64: return ((const int64_t *)tensor->data)[i];
    default: return ((const uint8_t *)tensor->data)[i] != 0;
    }
}

// int32 wraps around; bool is "not zero".
static void store(stp_tensor *tensor, int64_t i, int64_t value)
{
    switch (tensor->dtype) {
    case STP_I32: ((int32_t *)tensor->data)[i] = (int32_t)(uint32_t)value; break;
    case STP_I64: ((int64_t *)tensor->data)[i] = value; break;
    default: ((uint8_t *)tensor->data)[i] = value != 0; break;
    }
}

// Unary --------------------------------------------------------------------------------------------------------------

// Toward zero; what does not fit becomes the nearest that does, NaN becomes 0.
static int64_t float_to_int(float x, stp_dtype to)
{
    if (to == STP_BOOL)
        return x != 0; // also NaN
    if (x != x)
        return 0;
    if (to == STP_I32)
        return x >= 0x1p31f ? INT32_MAX : x < -0x1p31f ? INT32_MIN : (int64_t)x;
    return x >= 0x1p63f ? INT64_MAX : x < -0x1p63f ? INT64_MIN : (int64_t)x;
}

static float unary_float(enum stp_unary kind, float x)
{
    switch (kind) {
    case STP_UNARY_RELU: return stp_relu(x);
    case STP_UNARY_SIGMOID: return stp_sigmoid(x);
    default: return x;
    }
}

static int64_t unary_int(enum stp_unary kind, int64_t x)
{
    switch (kind) {
    case STP_UNARY_RELU: return x < 0 ? 0 : x;
    case STP_UNARY_NOT: return !x;
    default: return x;
    }
}

STP_REF(unary)
{
    enum stp_unary kind = ((const struct stp_unary_params *)node->params)->kind;
    bool from_float = in[0]->dtype == STP_F32, to_float = out[0].dtype == STP_F32;
    const float *x = in[0]->data;
    float *y = out[0].data;
    int64_t count = stp_tensor_elements(out);
    for (int64_t i = 0; i < count; i++) {
        if (from_float && to_float)
            y[i] = unary_float(kind, x[i]);
        else if (from_float)
            store(out, i, float_to_int(x[i], out[0].dtype));
        else if (to_float)
            y[i] = (float)load(in[0], i);
        else
            store(out, i, unary_int(kind, load(in[0], i)));
    }
}

// Binary -------------------------------------------------------------------------------------------------------------

static float arithmetic_float(enum stp_binary kind, float a, float b)
{
    switch (kind) {
    case STP_BINARY_ADD: return a + b;
    case STP_BINARY_SUB: return a - b;
    case STP_BINARY_MUL: return a * b;
    case STP_BINARY_DIV: return stp_div(a, b);
    case STP_BINARY_MIN: return b < a || b != b ? b : a;
    case STP_BINARY_MAX: return stp_max(a, b);
    default: assert(!"not arithmetic"); return 0;
    }
}

static bool compare_float(enum stp_binary kind, float a, float b)
{
    switch (kind) {
    case STP_BINARY_EQUAL: return a == b;
    case STP_BINARY_GREATER: return a > b;
    case STP_BINARY_LESS: return a < b;
    case STP_BINARY_GREATER_OR_EQUAL: return a >= b;
    case STP_BINARY_LESS_OR_EQUAL: return a <= b;
    default: assert(!"not a comparison"); return false;
    }
}

// INT64_MIN / -1 wraps around like the rest.
static int64_t divide(int64_t a, int64_t b)
{
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t binary_int(enum stp_binary kind, int64_t a, int64_t b)
{
    switch (kind) {
    case STP_BINARY_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case STP_BINARY_SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
    case STP_BINARY_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case STP_BINARY_DIV: return divide(a, b);
    case STP_BINARY_MIN: return b < a ? b : a;
    case STP_BINARY_MAX: return b > a ? b : a;
    case STP_BINARY_AND: return a && b;
    case STP_BINARY_OR: return a || b;
    case STP_BINARY_EQUAL: return a == b;
    case STP_BINARY_GREATER: return a > b;
    case STP_BINARY_LESS: return a < b;
    case STP_BINARY_GREATER_OR_EQUAL: return a >= b;
    case STP_BINARY_LESS_OR_EQUAL: return a <= b;
    }
    return 0;
}

static void apply(enum stp_binary kind, const stp_tensor *a, const stp_tensor *b, stp_tensor *out)
{
    struct stp_walk walk = stp_walk_start(out, (const stp_tensor *const[]){a, b}, 2);
    const float *x = a->data, *y = b->data;
    for (int64_t i = 0; i < walk.count; i++, stp_walk_next(&walk)) {
        if (out->dtype == STP_F32)
            ((float *)out->data)[i] = arithmetic_float(kind, x[walk.at[0]], y[walk.at[1]]);
        else if (a->dtype == STP_F32)
            store(out, i, compare_float(kind, x[walk.at[0]], y[walk.at[1]]));
        else
            store(out, i, binary_int(kind, load(a, walk.at[0]), load(b, walk.at[1])));
    }
}

// Min and Max of many go from left to right: ((a ∘ b) ∘ c) …; with one operand they are it.
STP_REF(binary)
{
    enum stp_binary kind = ((const struct stp_binary_params *)node->params)->kind;
    apply(kind, in[0], in[node->n_inputs > 1], out);
    for (int i = 2; i < node->n_inputs; i++)
        apply(kind, out, in[i], out);
}

// Where --------------------------------------------------------------------------------------------------------------

static bool is_set(const stp_tensor *mask, int64_t i)
{
    return mask->dtype == STP_F32 ? ((const float *)mask->data)[i] != 0 : load(mask, i) != 0;
}

static void select_elements(const stp_tensor *mask, const stp_tensor *a, const stp_tensor *b, stp_tensor *out)
{
    struct stp_walk walk = stp_walk_start(out, (const stp_tensor *const[]){mask, a, b}, 3);
    size_t size = stp_dtype_size(out->dtype);
    for (int64_t i = 0; i < walk.count; i++, stp_walk_next(&walk)) {
        int pick = is_set(mask, walk.at[0]) ? 1 : 2;
        const char *from = pick == 1 ? a->data : b->data;
        memcpy((char *)out->data + (size_t)i * size, from + (size_t)walk.at[pick] * size, size);
    }
}

STP_REF(where)
{
    (void)node;
    select_elements(in[0], in[1], in[2], out);
}

STP_REF(mul_by_mask)
{
    (void)node;
    int64_t zeros = 0;
    stp_tensor zero = {.dtype = out[0].dtype, .data = &zeros};
    select_elements(in[1], in[0], &zero, out);
}

STP_REF(mask_times)
{
    stp_ref_mul_by_mask(node, (const stp_tensor *const[]){in[1], in[0]}, out);
}
