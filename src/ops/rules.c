// SPDX-License-Identifier: Apache-2.0
#include "ops/rules.h"

#include <stdio.h>

static const char *types_text(char *text, size_t size, unsigned types)
{
    size_t used = 0;
    text[0] = 0;
    for (int dtype = STP_F32; dtype <= STP_U8; dtype++)
        if (types & STP_TYPE(dtype) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                     stp_dtype_name((stp_dtype)dtype));
    return text;
}

stp_status stp_check_type(struct stp_graph *graph, const struct stp_node *node, int index, unsigned types)
{
    const struct stp_value *value = index < node->n_inputs ? node->inputs[index] : NULL;
    char text[80];
    if (!value)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "input %d is missing", index);
    if (!(types & STP_TYPE(value->dtype)))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                             "input '%s' is %s; opset %d of this operator takes here: %s", value->name,
                             stp_dtype_name(value->dtype), node->version, types_text(text, sizeof text, types));
    return STP_OK;
}

stp_status stp_check_same_type(struct stp_graph *graph, const struct stp_node *node, int first, unsigned types)
{
    STP_TRY(stp_check_type(graph, node, first, types));
    const struct stp_value *lead = node->inputs[first];
    for (int i = first + 1; i < node->n_inputs; i++) {
        const struct stp_value *value = node->inputs[i];
        if (value && value->dtype != lead->dtype)
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                                 "inputs '%s' (%s) and '%s' (%s) differ in type",
                                 lead->name, stp_dtype_name(lead->dtype), value->name, stp_dtype_name(value->dtype));
    }
    return STP_OK;
}

void stp_set_type(struct stp_node *node, stp_dtype dtype)
{
    for (int i = 0; i < node->n_outputs; i++)
        if (node->outputs[i])
            node->outputs[i]->dtype = dtype;
}

void *stp_node_params(struct stp_graph *graph, struct stp_node *node, size_t size)
{
    void *params = stp_arena_alloc(&graph->arena, size);
    if (!params)
        stp_fail_memory(graph->context, size, "an operator's parameters");
    node->params = params;
    return params;
}

stp_status stp_attr_required_int(stp_context *context, const struct stp_node *node, const char *name, int64_t *out)
{
    if (!stp_attr_find(node, name))
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "attribute '%s' is missing", name);
    return stp_attr_int(context, node, name, 0, out);
}

stp_status stp_attr_flag(stp_context *context, const struct stp_node *node, const char *name, bool fallback, bool *out)
{
    int64_t value;
    STP_TRY(stp_attr_int(context, node, name, fallback, &value));
    if (value != 0 && value != 1)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "attribute '%s' is %lld; it must be 0 or 1", name,
                             (long long)value);
    *out = value;
    return STP_OK;
}

stp_status stp_axis(stp_context *context, const struct stp_node *node, int64_t axis, int rank, int limit, int *out)
{
    if (axis < -rank || axis >= limit)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "axis %lld does not fit a tensor of rank %d",
                             (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return STP_OK;
}

// Broadcasts the shape of *add into *out; false if they do not fit.
static bool broadcast_pair(stp_tensor *out, const stp_tensor *add)
{
    int rank = out->rank > add->rank ? out->rank : add->rank;
    int64_t dims[STP_MAX_RANK];
    for (int i = 1; i <= rank; i++) { // from the back
        int64_t a = i <= out->rank ? out->dims[out->rank - i] : 1;
        int64_t b = i <= add->rank ? add->dims[add->rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return false;
        dims[rank - i] = a == 1 ? b : a;
    }
    memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    out->rank = rank;
    return true;
}

stp_status stp_broadcast(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, int first,
                         int n, stp_tensor *out)
{
    out->rank = in[first]->rank;
    memcpy(out->dims, in[first]->dims, sizeof out->dims);
    for (int i = first + 1; i < n; i++) {
        char before[256], text[256];
        stp_shape_text(before, sizeof before, out->rank, out->dims);
        if (!broadcast_pair(out, in[i]))
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                                 "inputs '%s'%s (%s) and '%s' (%s) do not broadcast",
                                 node->inputs[first]->name, i > first + 1 ? " …" : "", before, node->inputs[i]->name,
                                 stp_shape_text(text, sizeof text, in[i]->rank, in[i]->dims));
    }
    return STP_OK;
}

stp_status stp_host_ints(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, int index,
                         const char *what, int64_t *out, int *count)
{
    const stp_tensor *tensor = in[index];
    const char *name = node->inputs[index]->name;
    char text[256];
    if (tensor->rank != 1 || tensor->dims[0] > STP_MAX_RANK)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "%s '%s' (%s) must be a vector of at most %d elements",
                             what, name, stp_shape_text(text, sizeof text, tensor->rank, tensor->dims), STP_MAX_RANK);
    if (!tensor->data)
        return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node, "%s '%s': a shape that depends on data", what, name);
    *count = (int)tensor->dims[0];
    for (int i = 0; i < *count; i++)
        out[i] = tensor->dtype == STP_I32 ? ((const int32_t *)tensor->data)[i] : ((const int64_t *)tensor->data)[i];
    return STP_OK;
}
