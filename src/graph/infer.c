// SPDX-License-Identifier: Apache-2.0
#include "graph/infer.h"

#include "graph/op.h"

// Also false where only a size of 0 hides an overflow: products over some of the sizes are safe then.
static bool size_fits(const stp_tensor *tensor)
{
    int64_t bytes = (int64_t)stp_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] < 0 || __builtin_mul_overflow(bytes, stp_max64(tensor->dims[i], 1), &bytes))
            return false;
    return (uint64_t)bytes <= PTRDIFF_MAX;
}

stp_status stp_node_shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                          stp_tensor *out)
{
    memset(out, 0, (size_t)node->n_outputs * sizeof *out);
    STP_TRY(node->op->shape(context, node, in, out));
    for (int i = 0; i < node->n_outputs; i++)
        if (!size_fits(&out[i])) {
            char text[256];
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "the size of output %d (%s) overflows", i,
                                 stp_shape_text(text, sizeof text, out[i].rank, out[i].dims));
        }
    return STP_OK;
}

void stp_graph_widest(const struct stp_graph *graph, int *inputs, int *outputs)
{
    *inputs = *outputs = 0;
    for (int n = 0; n < graph->n_nodes; n++) {
        const struct stp_node *node = graph->nodes[n];
        *inputs = node->n_inputs > *inputs ? node->n_inputs : *inputs;
        *outputs = node->n_outputs > *outputs ? node->n_outputs : *outputs;
    }
}

static bool is_small(const stp_tensor *tensor)
{
    return stp_tensor_elements(tensor) <= STP_HOST_ELEMENTS;
}

// Drops data that is too large to matter; copies it where it is not aligned.
static stp_status adopt_data(const struct stp_graph *graph, struct stp_arena *arena, stp_tensor *tensor)
{
    if (!tensor->data || !is_small(tensor)) {
        tensor->data = NULL;
        return STP_OK;
    }
    if (stp_tensor_is_aligned(tensor))
        return STP_OK;
    size_t bytes = stp_tensor_bytes(tensor);
    void *copy = stp_arena_alloc(arena, bytes);
    if (!copy)
        return stp_fail_memory(graph->context, bytes, "a constant");
    memcpy(copy, tensor->data, bytes);
    tensor->data = copy;
    return STP_OK;
}

static stp_status infer_input(const struct stp_graph *graph, const struct stp_value *value, const stp_tensor *given,
                              stp_tensor *out)
{
    if (given->dtype == STP_DTYPE_NONE) {
        if (!value->data)
            return stp_fail(graph->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' is not set", value->name);
        *out = stp_value_tensor(value);
        return STP_OK;
    }
    *out = *given;
    if (given->dtype != value->dtype)
        return stp_fail(graph->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' is %s; the model wants %s", value->name,
                        stp_dtype_name(given->dtype), stp_dtype_name(value->dtype));
    bool fits = value->rank < 0 || given->rank == value->rank;
    for (int i = 0; fits && i < value->rank; i++)
        fits = value->dims[i] < 0 || given->dims[i] == value->dims[i];
    char have[256], want[256];
    stp_shape_text(have, sizeof have, given->rank, given->dims);
    if (!fits)
        return stp_fail(graph->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' has the shape %s; the model wants %s",
                        value->name, have, stp_shape_text(want, sizeof want, value->rank, value->dims));
    if (given->rank < 0 || given->rank > STP_MAX_RANK || !size_fits(given))
        return stp_fail(graph->context, STP_ERROR_INVALID_ARGUMENT, "the size of input '%s' (%s) overflows",
                        value->name, have);
    return STP_OK;
}

static bool is_known(const struct stp_node *node, const stp_tensor *const *in, const stp_tensor *out)
{
    for (int i = 0; i < node->n_inputs; i++)
        if (in[i] && !in[i]->data)
            return false;
    // A float result of rank 4 may be a product with a mask, which the instance decides on.
    for (int i = 0; i < node->n_outputs; i++)
        if (!is_small(&out[i]) || (out[i].dtype == STP_F32 && out[i].rank > 2))
            return false;
    return node->op->on_host;
}

static stp_status infer_node(const struct stp_graph *graph, struct stp_arena *arena, const struct stp_node *node,
                             const stp_tensor **in, stp_tensor *results, stp_tensor *out)
{
    for (int i = 0; i < node->n_inputs; i++)
        in[i] = node->inputs[i] ? &out[node->inputs[i]->id] : NULL;
    STP_TRY(stp_node_shape(graph->context, node, in, results));
    if (is_known(node, in, results)) {
        for (int i = 0; i < node->n_outputs; i++) {
            size_t bytes = stp_tensor_bytes(&results[i]);
            results[i].data = stp_arena_alloc(arena, bytes);
            if (!results[i].data)
                return stp_fail_memory(graph->context, bytes, "shape arithmetic");
        }
        node->op->ref(node, in, results);
    }
    for (int i = 0; i < node->n_outputs; i++)
        if (node->outputs[i])
            out[node->outputs[i]->id] = results[i];
    return STP_OK;
}

stp_status stp_graph_infer(const struct stp_graph *graph, struct stp_arena *arena, const stp_tensor *inputs,
                           stp_tensor *out)
{
    int n_in, n_out;
    stp_graph_widest(graph, &n_in, &n_out);
    const stp_tensor **in = stp_arena_array(arena, (size_t)n_in, sizeof *in);
    stp_tensor *results = stp_arena_array(arena, (size_t)n_out, sizeof *results);
    if (!in || !results)
        return stp_fail_memory(graph->context, (size_t)n_out * sizeof *results, "shape inference");
    memset(out, 0, (size_t)graph->n_values * sizeof *out);
    for (int i = 0; i < graph->n_inputs; i++)
        STP_TRY(infer_input(graph, graph->inputs[i], &inputs[i], &out[graph->inputs[i]->id]));
    for (int v = 0; v < graph->n_values; v++) {
        if (stp_value_is_constant(graph->values[v]))
            out[v] = stp_value_tensor(graph->values[v]);
        STP_TRY(adopt_data(graph, arena, &out[v]));
    }
    for (int n = 0; n < graph->n_nodes; n++)
        STP_TRY(infer_node(graph, arena, graph->nodes[n], in, results, out));
    return STP_OK;
}
