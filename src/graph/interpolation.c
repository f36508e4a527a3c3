// SPDX-License-Identifier: Apache-2.0
// The two passes over Interpolate (SPEC.md, "Facts to use"): dropping taps, and commuting it with the pointwise convolution behind it.
#include <math.h>
#include <stdlib.h>

#include "graph/op.h"
#include "graph/passes.h"
#include "ops/conv.h"
#include "ops/interpolate.h"
#include "ops/registry.h"

// Dropping taps --------------------------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

// The largest weight that may go, with all smaller ones; below 0 if none may. Sums in double, smallest first.
static double drop_limit(const float *sorted, int64_t count, double budget)
{
    double sum = 0, limit = -1;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)sorted[i];
        // Equal weights go together or stay together: the kernel keeps its symmetry.
        if (sum >= budget)
            break;
        if (i + 1 == count || sorted[i + 1] > sorted[i])
            limit = (double)sorted[i];
    }
    return limit;
}

static stp_status drop_taps(struct stp_graph *graph, struct stp_node *node)
{
    const struct stp_value *old = node->inputs[2];
    stp_tensor t = stp_value_tensor(old);
    int64_t count = stp_tensor_elements(&t);
    float epsilon;
    STP_TRY(stp_attr_float(graph->context, node, "epsilon", 1e-5f, &epsilon));
    float *weights = stp_arena_array(&graph->arena, (size_t)count, sizeof *weights);
    float *sorted = stp_arena_array(&graph->arena, (size_t)count, sizeof *sorted);
    const char *name = stp_graph_unique_name(graph, old->name);
    if (!weights || !sorted || !name)
        return stp_fail_memory(graph->context, (size_t)count * sizeof *weights, "interpolation weights");
    memcpy(weights, old->data, (size_t)count * sizeof *weights);
    memcpy(sorted, weights, (size_t)count * sizeof *weights);
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    if (count == 0 || sorted[0] < 0)
        return STP_OK;
    double limit = drop_limit(sorted, count, (double)epsilon * 0x1p-24);
    if (limit <= 0)
        return STP_OK;
    for (int64_t i = 0; i < count; i++)
        if ((double)weights[i] <= limit)
            weights[i] = 0;
    struct stp_value *kept = stp_graph_add_value(graph, name);
    if (!kept)
        return stp_fail_memory(graph->context, sizeof *kept, "interpolation weights");
    int id = kept->id;
    *kept = *old;
    kept->id = id;
    kept->name = name;
    kept->data = weights;
    node->inputs[2] = kept;
    return STP_OK;
}

stp_status stp_graph_drop_taps(struct stp_graph *graph)
{
    for (int n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n]->op == &stp_op_Interpolate)
            STP_TRY(drop_taps(graph, graph->nodes[n]));
    stp_graph_link(graph);
    return STP_OK;
}

// Commuting ------------------------------------------------------------------------------------------------------------

static bool can_commute(const struct stp_node *conv)
{
    const struct stp_value *between = conv->inputs[0];
    const struct stp_node *node = between->producer;
    if (!node || node->op != &stp_op_Interpolate || between->readers != 1 || between->is_output ||
        !stp_conv_is_pointwise(conv))
        return false;
    const struct stp_value *w = conv->inputs[1];
    int64_t co = w->dims[0], ci = w->dims[1];
    return ci * co > stp_interpolate_kept_taps(node) * (co - ci);
}

static struct stp_value *value_like(struct stp_graph *graph, const char *base)
{
    const char *name = stp_graph_unique_name(graph, base);
    struct stp_value *value = name ? stp_graph_add_value(graph, name) : NULL;
    if (value) {
        value->dtype = STP_F32;
        value->rank = 4;
        for (int d = 0; d < 4; d++)
            value->dims[d] = -1;
    }
    return value;
}

// x → Interpolate → t → Conv(w, b) → y  becomes  x → Conv(w) → p → Interpolate → q → Add(b) → y.
// The nodes swap places; the bias becomes an Add behind them.
static stp_status commute(struct stp_graph *graph, int position)
{
    struct stp_node *conv = graph->nodes[position], *node = conv->inputs[0]->producer;
    struct stp_value *bias = conv->n_inputs > 2 ? conv->inputs[2] : NULL, *y = conv->outputs[0];
    struct stp_value *p = value_like(graph, y->name), *q = bias ? value_like(graph, y->name) : y;
    struct stp_node *add = bias ? stp_graph_add_node(graph, 2, 1) : NULL;
    if (!p || !q || (bias && !add))
        return stp_fail_memory(graph->context, sizeof *p, "the graph");
    conv->inputs[0] = node->inputs[0];
    conv->outputs[0] = p;
    conv->n_inputs = 2;
    node->inputs[0] = p;
    node->outputs[0] = q;
    if (!bias)
        return STP_OK;
    const char *name = stp_graph_unique_name(graph, bias->name);
    struct stp_value *column = name ? stp_graph_add_value(graph, name) : NULL;
    if (!column)
        return stp_fail_memory(graph->context, sizeof *column, "the graph");
    column->dtype = STP_F32;
    column->rank = 3;
    column->dims[0] = bias->dims[0];
    column->dims[1] = column->dims[2] = 1;
    column->data = bias->data;
    add->name = stp_arena_format(&graph->arena, "%s.bias", conv->name);
    add->type = "Add";
    add->domain = "";
    add->version = conv->version;
    add->op = &stp_op_Add;
    add->inputs[0] = q;
    add->inputs[1] = column;
    add->outputs[0] = y;
    return add->name ? add->op->check(graph, add) : stp_fail_memory(graph->context, 1, "the graph");
}

stp_status stp_graph_commute(struct stp_graph *graph)
{
    int count = graph->n_nodes;
    for (int n = 0; n < count; n++)
        if (graph->nodes[n]->op == &stp_op_Conv && can_commute(graph->nodes[n])) {
            STP_TRY(commute(graph, n));
            stp_graph_link(graph);
        }
    return stp_graph_sort(graph);
}
