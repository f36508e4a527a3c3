// SPDX-License-Identifier: Apache-2.0
// Reshape, Flatten: the elements in row-major order stay, the shape is another one.
#include "ops/reshape.h"

#include <stdio.h>

#include "graph/infer.h"
#include "ops/lower.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

// On the device, rank 4 with more than one channel and more than one site lies in another order than in ONNX.
static bool is_row_major(const struct stp_place *place)
{
    return place->rank != 4 || place->dims[1] == 1 || place->dims[2] * place->dims[3] == 1;
}

static void transpose(struct stp_plan *plan, const struct stp_node *node, const struct stp_place *place, int from,
                      int to, const char *kernel)
{
    char options[16];
    size_t size = stp_dtype_size(place->dtype);
    snprintf(options, sizeof options, "-DT=%s", size == 8 ? "long" : size == 4 ? "int" : "uchar");
    int64_t sites = place->dims[2] * place->dims[3];
    struct stp_step *step = stp_plan_step(plan, node, "layout", options, kernel);
    stp_step_read(step, from);
    stp_step_write(step, to);
    stp_step_int(step, stp_plan_i32(plan, node, place->dims[0]));
    stp_step_int(step, stp_plan_i32(plan, node, place->dims[1]));
    stp_step_int(step, stp_plan_i32(plan, node, sites));
    stp_step_stride(step, place->dims[0] * stp_div_up(sites, 16));
}

// Another name for the bytes where their order stays, else through row-major order.
static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *y = stp_plan_place(plan, node->outputs[0]);
    const stp_tensor *from = stp_plan_tensor(plan, node->inputs[0]), *to = stp_plan_tensor(plan, node->outputs[0]);
    size_t bytes = stp_tensor_bytes(from);
    if (stp_tensor_same_shape(from, to) || bytes == 0 || (is_row_major(x) && is_row_major(y))) {
        stp_plan_alias(plan, node->outputs[0], node->inputs[0]);
        return STP_OK;
    }
    int row_major = is_row_major(x) ? x->slot : is_row_major(y) ? y->slot : stp_plan_temp(plan, bytes);
    if (!is_row_major(x))
        transpose(plan, node, x, x->slot, row_major, "nhwc_to_nchw");
    if (!is_row_major(y))
        transpose(plan, node, y, row_major, y->slot, "nchw_to_nhwc");
    return STP_OK;
}

// Reshape ------------------------------------------------------------------------------------------------------------

static stp_status check_reshape(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_reshape_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPES_ALL));
    STP_TRY(stp_check_type(graph, node, 1, STP_TYPE(STP_I64)));
    stp_set_type(node, node->inputs[0]->dtype);
    if (node->version < 14)
        return STP_OK;
    return stp_attr_flag(graph->context, node, "allowzero", false, &params->allow_zero);
}

// Replaces 0 (unless allowed) and finds the one -1; false if the shape cannot be made.
static bool resolve_shape(const stp_tensor *in, bool allow_zero, int rank, int64_t *dims)
{
    int free_axis = -1;
    int64_t known = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0 && !allow_zero) {
            if (i >= in->rank)
                return false;
            dims[i] = in->dims[i];
        } else if (dims[i] == -1 && free_axis < 0) {
            free_axis = i;
            continue;
        }
        if (dims[i] < 0 || __builtin_mul_overflow(known, dims[i], &known))
            return false;
    }
    int64_t count = stp_tensor_elements(in);
    if (free_axis < 0)
        return known == count;
    if (known == 0 || count % known)
        return false;
    dims[free_axis] = count / known;
    return true;
}

static stp_status shape_reshape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                                stp_tensor *out)
{
    const struct stp_reshape_params *params = node->params;
    int rank;
    int64_t wanted[STP_MAX_RANK], dims[STP_MAX_RANK];
    STP_TRY(stp_host_ints(context, node, in, 1, "shape", wanted, &rank));
    memcpy(dims, wanted, sizeof dims);
    if (!resolve_shape(in[0], params->allow_zero, rank, dims)) {
        char from[256], to[256];
        size_t used = 0;
        to[0] = 0;
        for (int i = 0; i < rank && used < sizeof to; i++)
            used += (size_t)snprintf(to + used, sizeof to - used, "%s%lld", i ? "," : "", (long long)wanted[i]);
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "input '%s' (%s) cannot get the shape [%s] of '%s'",
                             node->inputs[0]->name, stp_shape_text(from, sizeof from, in[0]->rank, in[0]->dims), to,
                             node->inputs[1]->name);
    }
    out[0] = stp_tensor_make(in[0]->dtype, rank, dims);
    return STP_OK;
}

const struct stp_op stp_op_Reshape = {
    .domain = "", .type = "Reshape", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_ALL, .on_host = true, .host_inputs = 0x2,
    .check = check_reshape, .shape = shape_reshape, .ref = stp_ref_copy, .lower = lower,
};

// Flatten ------------------------------------------------------------------------------------------------------------

static stp_status check_flatten(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_flatten_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    // Before opset 9 floats only.
    STP_TRY(stp_check_type(graph, node, 0, node->version >= 9 ? STP_TYPES_ALL : STP_TYPE(STP_F32)));
    stp_set_type(node, node->inputs[0]->dtype);
    return stp_attr_int(graph->context, node, "axis", 1, &params->axis);
}

static stp_status shape_flatten(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                                stp_tensor *out)
{
    const struct stp_flatten_params *params = node->params;
    int axis;
    STP_TRY(stp_axis(context, node, params->axis, in[0]->rank, in[0]->rank + 1, &axis));
    int64_t dims[2] = {1, 1};
    for (int i = 0; i < in[0]->rank; i++)
        dims[i >= axis] *= in[0]->dims[i];
    out[0] = stp_tensor_make(in[0]->dtype, 2, dims);
    return STP_OK;
}

const struct stp_op stp_op_Flatten = {
    .domain = "", .type = "Flatten", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_ALL, .on_host = true,
    .check = check_flatten, .shape = shape_flatten, .ref = stp_ref_copy, .lower = lower,
};
