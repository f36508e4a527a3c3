// SPDX-License-Identifier: Apache-2.0
// BatchNormalization behind a Conv: w' = w · scale/√(var + ε), b' = (b − mean) · scale/√(var + ε) + bias, in double, rounded once.
#include <math.h>

#include "graph/op.h"
#include "graph/passes.h"
#include "ops/batchnorm.h"
#include "ops/registry.h"

static struct stp_value *new_constant(struct stp_graph *graph, const char *base, int rank, const int64_t *dims, const void *data)
{
    const char *name = stp_graph_unique_name(graph, base);
    struct stp_value *value = name ? stp_graph_add_value(graph, name) : NULL;
    if (!value)
        return NULL;
    value->dtype = STP_F32;
    value->rank = rank;
    memcpy(value->dims, dims, (size_t)rank * sizeof *dims);
    value->data = data;
    return value;
}

static bool can_fold(const struct stp_node *bn)
{
    const struct stp_node *conv = bn->inputs[0]->producer;
    if (bn->op != &stp_op_BatchNormalization || !conv || conv->op != &stp_op_Conv)
        return false;
    if (conv->inputs[1]->scale)
        return false; // weights are rounded once
    if (bn->inputs[0]->readers != 1 || bn->inputs[0]->is_output || !stp_value_is_constant(conv->inputs[1]) ||
        (conv->n_inputs > 2 && conv->inputs[2] && !stp_value_is_constant(conv->inputs[2])))
        return false;
    for (int i = 1; i < 5; i++)
        if (!stp_value_is_constant(bn->inputs[i]) || bn->inputs[i]->dims[0] != conv->inputs[1]->dims[0])
            return false;
    return true;
}

// Of finite floats, whose magnitudes are ordered as their bits are.
static float largest_magnitude(const void *floats, int64_t first, int64_t count)
{
    uint32_t largest = 0;
    for (int64_t i = first; i < first + count; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)floats + (size_t)i * sizeof bits, sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    float magnitude;
    memcpy(&magnitude, &largest, sizeof magnitude);
    return magnitude;
}

static stp_status fold(struct stp_graph *graph, struct stp_node *bn)
{
    struct stp_node *conv = bn->inputs[0]->producer;
    const struct stp_value *w = conv->inputs[1], *b = conv->n_inputs > 2 ? conv->inputs[2] : NULL;
    int64_t channels = w->dims[0], each = w->dims[1] * w->dims[2] * w->dims[3];
    float *bias = stp_arena_array(&graph->arena, (size_t)channels, sizeof *bias);
    double *scale = stp_arena_array(&graph->arena, (size_t)channels, sizeof *scale);
    // The weights are not copied: whoever packs them scales them.
    struct stp_value *new_w = new_constant(graph, w->name, 4, w->dims, w->data);
    struct stp_value *new_b = bias ? new_constant(graph, bn->inputs[2]->name, 1, &channels, bias) : NULL;
    struct stp_value **inputs = stp_arena_array(&graph->arena, 3, sizeof *inputs);
    if (!scale || !new_w || !new_b || !inputs)
        return stp_fail_memory(graph->context, (size_t)channels * sizeof *scale, "folded weights");
    new_w->scale = scale;
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = stp_batchnorm_scale(bn, c);
        if (!isfinite((float)(largest_magnitude(w->data, c * each, each) * scale[c])))
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, bn,
                                 "folded into the convolution before it, its weights are not finite");
        double start = b ? (double)stp_float_at(b->data, c) : 0;
        bias[c] = (float)((start - (double)stp_float_at(bn->inputs[3]->data, c)) * scale[c] + (double)stp_float_at(bn->inputs[2]->data, c));
    }
    inputs[0] = conv->inputs[0];
    inputs[1] = new_w;
    inputs[2] = new_b;
    conv->inputs = inputs;
    conv->n_inputs = 3;
    // The convolution takes the normalisation's place in the graph; the latter goes with the next pruning.
    struct stp_value *between = conv->outputs[0];
    conv->outputs[0] = bn->outputs[0];
    bn->outputs[0] = between;
    return STP_OK;
}

stp_status stp_graph_fold_batchnorm(struct stp_graph *graph)
{
    for (int n = 0; n < graph->n_nodes; n++) {
        struct stp_node *node = graph->nodes[n];
        if (node->n_inputs == 5 && node->inputs[0] && can_fold(node)) {
            STP_TRY(fold(graph, node));
            node->n_inputs = 0; // reads nothing, makes nothing that is read
            node->n_outputs = 0;
            stp_graph_link(graph);
        }
    }
    stp_graph_prune(graph);
    return STP_OK;
}
