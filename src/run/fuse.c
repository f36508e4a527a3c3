// SPDX-License-Identifier: Apache-2.0
// Tails: what follows a convolution or an interpolation and can run in its kernel. Nothing here changes rounding.
#include "run/plan.h"

#include "graph/op.h"
#include "ops/registry.h"

enum { NONE = -1, SEVERAL = -2 };

// Per value: position of its only reader, NONE or SEVERAL.
static int *find_readers(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    int *reader = stp_arena_array(&plan->arena, (size_t)graph->n_values, sizeof *reader);
    if (!reader)
        return NULL;
    for (int v = 0; v < graph->n_values; v++)
        reader[v] = graph->values[v]->is_output ? SEVERAL : NONE;
    for (int n = 0; n < graph->n_nodes; n++)
        for (int i = 0; i < graph->nodes[n]->n_inputs; i++)
            if (graph->nodes[n]->inputs[i]) {
                int *r = &reader[graph->nodes[n]->inputs[i]->id];
                *r = *r == NONE ? n : SEVERAL;
            }
    return reader;
}

// One number per channel, added at every site: shape C×1×1 or 1×C×1×1.
static bool is_channel_constant(const struct stp_plan *plan, const struct stp_value *value, int64_t channels)
{
    const stp_tensor *t = &plan->instance->tensors[value->id];
    const int64_t *d = t->dims + (t->rank == 4);
    return stp_value_is_constant(value) && t->dtype == STP_F32 && (t->rank == 3 || (t->rank == 4 && t->dims[0] == 1)) &&
           d[0] == channels && d[1] == 1 && d[2] == 1;
}

static void find_tail(struct stp_plan *plan, const int *reader, int anchor)
{
    const struct stp_instance *instance = plan->instance;
    const struct stp_node *node = instance->graph->nodes[anchor];
    struct stp_tail *tail = &plan->tails[anchor];
    bool interpolates = node->op == &stp_op_Interpolate;
    if (tail->swallowed)
        return;
    for (;;) {
        const struct stp_value *v = tail->output;
        int position = reader[v->id];
        if (position < 0 || plan->tails[position].swallowed || instance->region[v->id] < 0)
            return;
        const struct stp_node *next = instance->graph->nodes[position];
        const stp_tensor *shape = &instance->tensors[v->id];
        if (shape->dtype != STP_F32 || shape->rank != 4)
            return;
        if (next->op == &stp_op_Relu) {
            tail->relu = true;
        } else if (next->op == &stp_op_Sample && node->is_mask_conv && next->inputs[0] == v && shape->dims[1] == 1) {
            tail->sample = next;
        } else if (next->op == &stp_op_Add && !tail->identity) {
            const struct stp_value *other = next->inputs[next->inputs[0] == v];
            if (other == v || !stp_tensor_same_shape(shape, &instance->tensors[next->outputs[0]->id]))
                return;
            if (interpolates && !tail->bias && is_channel_constant(plan, other, shape->dims[1]))
                tail->bias = other;
            else if (!stp_value_is_constant(other) && stp_tensor_same_shape(shape, &instance->tensors[other->id]))
                tail->identity = other;
            else
                return;
        } else {
            return;
        }
        plan->tails[position].swallowed = true;
        plan->tails[position].anchor = anchor;
        tail->output = next->outputs[0];
        tail->last = position;
        if (tail->relu || tail->sample)
            return;
    }
}

void stp_plan_find_tails(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    plan->tails = stp_arena_array(&plan->arena, (size_t)graph->n_nodes, sizeof *plan->tails);
    int *reader = find_readers(plan);
    if (!plan->tails || !reader) {
        plan->status = stp_fail_memory(graph->context, (size_t)graph->n_nodes * sizeof *plan->tails, "a plan");
        return;
    }
    for (int n = 0; n < graph->n_nodes; n++) {
        plan->tails[n].output = graph->nodes[n]->n_outputs ? graph->nodes[n]->outputs[0] : NULL;
        plan->tails[n].last = n;
    }
    // Interpolate first: of a convolution and an interpolation that are added, the latter is the block's end.
    for (int n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n]->op == &stp_op_Interpolate)
            find_tail(plan, reader, n);
    for (int n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n]->op == &stp_op_Conv)
            find_tail(plan, reader, n);
}
