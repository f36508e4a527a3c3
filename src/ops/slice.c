// SPDX-License-Identifier: Apache-2.0
// Slice: y[i] = x[start + i·step] along each axis. Attributes below opset 10, inputs (starts, ends, axes, steps) from it
// on. Bounds are clamped as the schema says; ONNX Runtime differs where a backward slice ends at INT_MAX.
#include "ops/slice.h"

#include "ops/box.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

// As the file gives them.
struct bounds {
    int n;
    int64_t starts[STP_MAX_RANK], ends[STP_MAX_RANK], axes[STP_MAX_RANK], steps[STP_MAX_RANK];
};

static stp_status check_attributes(stp_context *context, const struct stp_node *node, struct stp_slice_params *params)
{
    size_t starts, ends, axes;
    STP_TRY(stp_attr_ints(context, node, "starts", &params->starts, &starts));
    STP_TRY(stp_attr_ints(context, node, "ends", &params->ends, &ends));
    STP_TRY(stp_attr_ints(context, node, "axes", &params->axes, &axes));
    if (!stp_attr_find(node, "starts") || !stp_attr_find(node, "ends"))
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "opset %d wants the attributes 'starts' and 'ends'", node->version);
    if (starts != ends || (params->axes && axes != starts) || starts > STP_MAX_RANK)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "attributes 'starts', 'ends' and 'axes' must have the same length, at most %d",
                             STP_MAX_RANK);
    params->n = (int)starts;
    return STP_OK;
}

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_slice_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPES_ALL));
    stp_set_type(node, node->inputs[0]->dtype);
    if (node->version < 10) {
        if (node->n_inputs > 1)
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "opset %d takes one input only",
                                 node->version);
        return check_attributes(graph->context, node, params);
    }
    params->n = -1;
    STP_TRY(stp_check_type(graph, node, 1, STP_TYPES_INT));
    STP_TRY(stp_check_type(graph, node, 2, STP_TYPES_INT));
    return stp_check_same_type(graph, node, 1, STP_TYPES_INT);
}

// starts, ends, axes and steps have the same length.
static stp_status bounds_from_inputs(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                                     struct bounds *out)
{
    static const char *const names[] = {"starts", "ends", "axes", "steps"};
    int64_t *lists[] = {out->starts, out->ends, out->axes, out->steps};
    for (int i = 0; i < 4; i++) {
        int count;
        if (i + 1 >= node->n_inputs || !in[i + 1])
            continue;
        STP_TRY(stp_host_ints(context, node, in, i + 1, names[i], lists[i], &count));
        if (i == 0)
            out->n = count;
        else if (count != out->n)
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "it has %d starts, but %d %s", out->n, count,
                                 names[i]);
    }
    return STP_OK;
}

static stp_status read_bounds(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                              struct bounds *out)
{
    const struct stp_slice_params *params = node->params;
    for (int i = 0; i < STP_MAX_RANK; i++) {
        out->axes[i] = i;
        out->steps[i] = 1;
    }
    if (params->n < 0)
        return bounds_from_inputs(context, node, in, out);
    out->n = params->n;
    for (int i = 0; i < out->n; i++) {
        out->starts[i] = params->starts[i];
        out->ends[i] = params->ends[i];
        out->axes[i] = params->axes ? params->axes[i] : i;
    }
    return STP_OK;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return stp_min64(stp_max64(x, low), high);
}

// One axis of `size` elements: negative bounds count from the back, then all is clamped to what exists.
static void slice_axis(struct stp_slice *out, int axis, int64_t size, int64_t start, int64_t end, int64_t step)
{
    int64_t limit = stp_max64(size, 1);
    step = clamp(step, -limit, limit);
    start += start < 0 ? size : 0;
    end += end < 0 ? size : 0;
    if (step > 0) {
        start = clamp(start, 0, size);
        end = clamp(end, 0, size);
        out->count[axis] = end > start ? stp_div_up(end - start, step) : 0;
    } else {
        start = clamp(start, 0, limit - 1);
        end = clamp(end, -1, size - 1);
        out->count[axis] = size && start > end ? stp_div_up(start - end, -step) : 0;
    }
    out->start[axis] = start;
    out->step[axis] = step;
}

stp_status stp_slice_resolve(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                             struct stp_slice *out)
{
    int rank = in[0]->rank;
    struct bounds bounds;
    STP_TRY(read_bounds(context, node, in, &bounds));
    for (int i = 0; i < rank; i++) {
        out->start[i] = 0;
        out->step[i] = 1;
        out->count[i] = in[0]->dims[i];
    }
    unsigned seen = 0;
    for (int i = 0; i < bounds.n; i++) {
        int axis;
        STP_TRY(stp_axis(context, node, bounds.axes[i], rank, rank, &axis));
        if (seen & 1u << axis || bounds.steps[i] == 0)
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, seen & 1u << axis ? "axis %d is named twice"
                                 : "the step along axis %d is 0", axis);
        seen |= 1u << axis;
        slice_axis(out, axis, in[0]->dims[axis], bounds.starts[i], bounds.ends[i], bounds.steps[i]);
    }
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    struct stp_slice slice;
    STP_TRY(stp_slice_resolve(context, node, in, &slice));
    out[0] = stp_tensor_make(in[0]->dtype, in[0]->rank, slice.count);
    return STP_OK;
}

// Sites stay where they are if only axis 1 is cut.
static bool is_sitewise(const struct stp_node *node, const stp_tensor *const *in, const stp_tensor *out)
{
    struct stp_slice slice;
    if (in[0]->rank < 2 || stp_slice_resolve(NULL, node, in, &slice) != STP_OK)
        return false;
    for (int i = 0; i < in[0]->rank; i++)
        if (i != 1 && (slice.step[i] != 1 || out[0].dims[i] != in[0]->dims[i]))
            return false;
    return true;
}

static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    const stp_tensor *in[5] = {0};
    for (int i = 0; i < node->n_inputs; i++)
        in[i] = node->inputs[i] ? stp_plan_tensor(plan, node->inputs[i]) : NULL;
    struct stp_slice slice;
    STP_TRY(stp_slice_resolve(stp_plan_context(plan), node, in, &slice));
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]);
    struct stp_box box = stp_box_of(stp_plan_place(plan, node->outputs[0]), STP_BOX_COPY);
    struct stp_box_operand *from = stp_box_operand(&box, x);
    stp_place_strides(x, from->strides);
    for (int i = 0; i < x->rank; i++) {
        from->start += slice.start[i] * from->strides[i];
        from->strides[i] *= slice.step[i];
    }
    return stp_box_lower(plan, node, &box);
}

const struct stp_op stp_op_Slice = {
    .domain = "", .type = "Slice", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = 5, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_SITEWISE, .sitewise = is_sitewise, .on_host = true, .host_inputs = 0x1e,
    .check = check, .shape = shape, .ref = stp_ref_slice, .lower = lower,
};
