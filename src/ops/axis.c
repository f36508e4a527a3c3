// SPDX-License-Identifier: Apache-2.0
// Concat: y = the inputs one behind the other along an axis. Split: the reverse.
#include "ops/axis.h"

#include "ops/box.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

// Copies `part` to or from the elements of `whole` from `start` on along the axis.
static stp_status lower_part(struct stp_plan *plan, const struct stp_node *node, const struct stp_place *part,
                             const struct stp_place *whole, int axis, int64_t start, bool join)
{
    struct stp_box box = stp_box_of(join ? whole : part, STP_BOX_COPY);
    struct stp_box_operand *from = stp_box_operand(&box, join ? part : whole), *cut = join ? &box.out : from;
    memcpy(box.dims, part->dims, sizeof box.dims);
    stp_place_strides(join ? part : whole, from->strides);
    cut->start = start * cut->strides[axis];
    return stp_box_lower(plan, node, &box);
}

// Concat -------------------------------------------------------------------------------------------------------------

static stp_status check_concat(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_concat_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    for (int i = 0; i < node->n_inputs; i++)
        STP_TRY(stp_check_type(graph, node, i, STP_TYPES_ALL));
    STP_TRY(stp_check_same_type(graph, node, 0, STP_TYPES_ALL));
    stp_set_type(node, node->inputs[0]->dtype);
    return stp_attr_required_int(graph->context, node, "axis", &params->axis);
}

static stp_status shape_concat(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                               stp_tensor *out)
{
    const struct stp_concat_params *params = node->params;
    int axis;
    STP_TRY(stp_axis(context, node, params->axis, in[0]->rank, in[0]->rank, &axis));
    out[0] = stp_tensor_make(in[0]->dtype, in[0]->rank, in[0]->dims);
    for (int i = 1; i < node->n_inputs; i++) {
        bool fits = in[i]->rank == in[0]->rank;
        for (int d = 0; fits && d < in[0]->rank; d++)
            fits = d == axis || in[i]->dims[d] == in[0]->dims[d];
        if (!fits) {
            char a[256], b[256];
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                                 "inputs '%s' (%s) and '%s' (%s) must have equal sizes but along axis %d",
                                 node->inputs[0]->name, stp_shape_text(a, sizeof a, in[0]->rank, in[0]->dims),
                                 node->inputs[i]->name, stp_shape_text(b, sizeof b, in[i]->rank, in[i]->dims), axis);
        }
        if (__builtin_add_overflow(out[0].dims[axis], in[i]->dims[axis], &out[0].dims[axis]))
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "the size of the output overflows");
    }
    return STP_OK;
}

static bool concat_is_sitewise(const struct stp_node *node, const stp_tensor *const *in, const stp_tensor *out)
{
    (void)in;
    const struct stp_concat_params *params = node->params;
    return stp_axis_index(params->axis, out[0].rank) == 1;
}

static stp_status lower_concat(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_concat_params *params = node->params;
    for (int i = 0; i < node->n_inputs; i++)
        stp_plan_place(plan, node->inputs[i]);
    const struct stp_place *y = stp_plan_place(plan, node->outputs[0]);
    int axis = stp_axis_index(params->axis, y->rank);
    int64_t start = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        const struct stp_place *x = stp_plan_place(plan, node->inputs[i]);
        STP_TRY(lower_part(plan, node, x, y, axis, start, true));
        start += x->dims[axis];
    }
    return STP_OK;
}

const struct stp_op stp_op_Concat = {
    .domain = "", .type = "Concat", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = -1, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_SITEWISE, .sitewise = concat_is_sitewise, .on_host = true,
    .check = check_concat, .shape = shape_concat, .ref = stp_ref_concat, .lower = lower_concat,
};

// Split --------------------------------------------------------------------------------------------------------------

static stp_status split_attributes(stp_context *context, const struct stp_node *node, struct stp_split_params *params)
{
    size_t count;
    int64_t parts;
    bool sizes_input = node->n_inputs > 1 && node->inputs[1];
    STP_TRY(stp_attr_int(context, node, "axis", 0, &params->axis));
    if (node->version < 13) {
        if (sizes_input)
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "opset %d takes one input only",
                                 node->version);
        STP_TRY(stp_attr_ints(context, node, "split", &params->sizes, &count));
        if (stp_attr_find(node, "split") && count != (size_t)node->n_outputs)
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                                 "attribute 'split' has %zu sizes for %d outputs", count, node->n_outputs);
        return STP_OK;
    }
    params->last_smaller = node->version >= 18;
    if (node->version < 18)
        return STP_OK;
    STP_TRY(stp_attr_int(context, node, "num_outputs", 0, &parts));
    if (sizes_input == (parts != 0))
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "opset %d wants either the input 'split' or the attribute 'num_outputs'", node->version);
    if (parts && parts != node->n_outputs)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "attribute 'num_outputs' is %lld, but it has %d outputs", (long long)parts,
                             node->n_outputs);
    return STP_OK;
}

static stp_status check_split(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_split_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPES_ALL));
    if (node->n_inputs > 1 && node->inputs[1])
        STP_TRY(stp_check_type(graph, node, 1, STP_TYPE(STP_I64)));
    stp_set_type(node, node->inputs[0]->dtype);
    return split_attributes(graph->context, node, params);
}

// The size of every output along the axis of `size` elements, in out[i].dims[axis].
static stp_status split_equally(stp_context *context, const struct stp_node *node, int axis, int64_t size,
                                stp_tensor *out)
{
    const struct stp_split_params *params = node->params;
    int64_t n = node->n_outputs;
    int64_t part = stp_div_up(size, n), last = size - part * (n - 1);
    if (last < 0 || (last != part && !params->last_smaller))
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "%lld elements along axis %d of '%s' do not make %lld parts", (long long)size, axis,
                             node->inputs[0]->name, (long long)n);
    for (int i = 0; i < n; i++)
        out[i].dims[axis] = i < n - 1 ? part : last;
    return STP_OK;
}

static stp_status split_by_sizes(stp_context *context, const struct stp_node *node, const int64_t *sizes, int axis,
                                 int64_t size, stp_tensor *out)
{
    int64_t left = size;
    bool fits = true;
    for (int i = 0; fits && i < node->n_outputs; i++) {
        fits = sizes[i] >= 0 && sizes[i] <= left;
        left -= fits ? sizes[i] : 0;
        out[i].dims[axis] = sizes[i];
    }
    if (!fits || left)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "the split sizes do not add up to the %lld elements along axis %d of '%s'",
                             (long long)size, axis, node->inputs[0]->name);
    return STP_OK;
}

static stp_status shape_split(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                              stp_tensor *out)
{
    const struct stp_split_params *params = node->params;
    int axis;
    STP_TRY(stp_axis(context, node, params->axis, in[0]->rank, in[0]->rank, &axis));
    for (int i = 0; i < node->n_outputs; i++)
        out[i] = stp_tensor_make(in[0]->dtype, in[0]->rank, in[0]->dims);
    int64_t size = in[0]->dims[axis];
    if (params->sizes)
        return split_by_sizes(context, node, params->sizes, axis, size, out);
    const stp_tensor *sizes = node->n_inputs > 1 ? in[1] : NULL;
    if (!sizes)
        return split_equally(context, node, axis, size, out);
    if (sizes->rank != 1 || sizes->dims[0] != node->n_outputs)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "input '%s' must hold one size for each of %d outputs", node->inputs[1]->name,
                             node->n_outputs);
    if (!sizes->data)
        return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node, "split sizes '%s': a shape that depends on data",
                             node->inputs[1]->name);
    return split_by_sizes(context, node, sizes->data, axis, size, out);
}

static bool split_is_sitewise(const struct stp_node *node, const stp_tensor *const *in, const stp_tensor *out)
{
    (void)out;
    const struct stp_split_params *params = node->params;
    return stp_axis_index(params->axis, in[0]->rank) == 1;
}

static stp_status lower_split(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_split_params *params = node->params;
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]);
    int axis = stp_axis_index(params->axis, x->rank);
    const int64_t *sizes = params->sizes;
    if (node->n_inputs > 1 && node->inputs[1])
        sizes = stp_plan_tensor(plan, node->inputs[1])->data;
    for (int i = 0; i < node->n_outputs; i++)
        if (node->outputs[i])
            stp_plan_place(plan, node->outputs[i]);
    int64_t start = 0;
    for (int i = 0; i < node->n_outputs; i++) {
        if (node->outputs[i])
            STP_TRY(lower_part(plan, node, stp_plan_place(plan, node->outputs[i]), x, axis, start, false));
        start += sizes ? sizes[i] : stp_div_up(x->dims[axis], node->n_outputs);
    }
    return STP_OK;
}

const struct stp_op stp_op_Split = {
    .domain = "", .type = "Split", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = 2, .min_outputs = 1, .max_outputs = -1,
    .region = STP_REGION_SITEWISE, .sitewise = split_is_sitewise, .on_host = true, .host_inputs = 0x2,
    .check = check_split, .shape = shape_split, .ref = stp_ref_split, .lower = lower_split,
};
