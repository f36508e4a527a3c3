// SPDX-License-Identifier: Apache-2.0
// Which values are binary by construction, from the file alone. Whether a binary value is a mask depends on its shape too:
// stp_instance_is_mask().
#include "graph/passes.h"

#include "graph/op.h"

static bool is_one_of(const struct stp_node *node, const char *const *types)
{
    for (; *types; types++)
        if (!strcmp(node->type, *types))
            return true;
    return false;
}

static const char *const makes_binary[] = {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual",
                                           "And",   "Or",      "Not",  NULL};
// Binary if every operand is.
static const char *const keeps_binary[] = {"Mul", "Min", "Max", "Cast", "Identity", NULL};
// Binary if the first operand is.
static const char *const moves_binary[] = {"Reshape", "Slice", "Resize", "MaxPool", NULL};

static bool constant_is_binary(const struct stp_value *value)
{
    stp_tensor t = stp_value_tensor(value);
    int64_t count = stp_tensor_elements(&t);
    for (int64_t i = 0; i < count; i++) {
        double x = stp_number_at(&t, i);
        if (x != 0 && x != 1)
            return false;
    }
    return true;
}

// A constant stands for a mask only where it could be one: N×1×H×W, or one number (as in 1 − mask).
static bool is_binary_constant(const struct stp_value *value)
{
    bool shaped = (value->rank == 4 && value->dims[1] == 1) || value->rank <= 1;
    return stp_value_is_constant(value) && shaped && constant_is_binary(value);
}

static bool is_constant_one(const struct stp_value *value)
{
    if (!value || !stp_value_is_constant(value) || value->dtype != STP_F32)
        return false;
    stp_tensor t = stp_value_tensor(value);
    int64_t count = stp_tensor_elements(&t);
    for (int64_t i = 0; i < count; i++)
        if (stp_float_at(t.data, i) != 1)
            return false;
    return count > 0;
}

static bool node_is_binary(const struct stp_node *node)
{
    if (!strcmp(node->domain, "stipple"))
        return !strcmp(node->type, "Sample");
    if (is_one_of(node, makes_binary))
        return true;
    if (is_one_of(node, moves_binary))
        return node->inputs[0] && node->inputs[0]->is_binary;
    if (!strcmp(node->type, "Sub"))
        return is_constant_one(node->inputs[0]) && node->inputs[1]->is_binary;
    if (!is_one_of(node, keeps_binary))
        return false;
    for (int i = 0; i < node->n_inputs; i++)
        if (!node->inputs[i] || !node->inputs[i]->is_binary)
            return false;
    return true;
}

stp_status stp_graph_find_masks(struct stp_graph *graph)
{
    // Which values a mask operand is made of: backwards, in reverse topological order.
    bool *wanted = stp_arena_array(&graph->arena, (size_t)graph->n_values, sizeof *wanted);
    if (!wanted)
        return stp_fail_memory(graph->context, (size_t)graph->n_values, "mask flags");
    for (int n = graph->n_nodes - 1; n >= 0; n--) {
        struct stp_node *node = graph->nodes[n];
        if (!strcmp(node->domain, "stipple") && !strcmp(node->type, "Interpolate"))
            wanted[node->inputs[1]->id] = true;
        if (node->n_outputs < 1 || !node->outputs[0] || !wanted[node->outputs[0]->id])
            continue;
        bool first_only = is_one_of(node, moves_binary);
        if (!first_only && !is_one_of(node, keeps_binary) && strcmp(node->type, "Sub"))
            continue;
        for (int i = 0; i < (first_only ? 1 : node->n_inputs); i++)
            if (node->inputs[i])
                wanted[node->inputs[i]->id] = true;
    }
    for (int v = 0; v < graph->n_values; v++) {
        struct stp_value *value = graph->values[v];
        value->is_binary = value->is_input ? wanted[v] : is_binary_constant(value);
    }
    for (int n = 0; n < graph->n_nodes; n++)
        for (int o = 0; o < graph->nodes[n]->n_outputs; o++)
            if (graph->nodes[n]->outputs[o])
                graph->nodes[n]->outputs[o]->is_binary = o == 0 && node_is_binary(graph->nodes[n]);

    for (int n = 0; n < graph->n_nodes; n++) {
        const struct stp_node *node = graph->nodes[n];
        if (strcmp(node->domain, "stipple") || strcmp(node->type, "Interpolate"))
            continue;
        const struct stp_value *mask = node->inputs[1];
        if (!mask->is_binary)
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                                 "its mask '%s' is not binary by construction: it must come from Sample, a comparison, a "
                                 "graph input, an initializer of zeros and ones, or such masks combined",
                                 mask->name);
    }
    return STP_OK;
}
