// SPDX-License-Identifier: Apache-2.0
#include "graph/instance.h"

#include <stdlib.h>

#include "graph/infer.h"
#include "graph/op.h"
#include "ops/registry.h"

bool stp_instance_is_mask(const struct stp_instance *instance, const struct stp_value *value)
{
    const stp_tensor *t = &instance->tensors[value->id];
    return value->is_binary && t->rank == 4 && t->dims[1] == 1;
}

const struct stp_value *stp_instance_mask_source(const struct stp_instance *instance, const struct stp_value *value)
{
    (void)instance;
    while (value->producer && (!strcmp(value->producer->type, "Identity") || !strcmp(value->producer->type, "Cast")))
        value = value->producer->inputs[0];
    return value;
}

// SPEC.md: a Mul by a mask is Where(mask, x, +0) in every run.
static void choose_ops(struct stp_instance *instance)
{
    const struct stp_graph *graph = instance->graph;
    for (int n = 0; n < graph->n_nodes; n++) {
        const struct stp_node *node = graph->nodes[n];
        instance->ops[n] = node->op;
        if (node->op != &stp_op_Mul || instance->tensors[node->outputs[0]->id].dtype != STP_F32)
            continue;
        if (stp_instance_is_mask(instance, node->inputs[1]))
            instance->ops[n] = &stp_op_MulByMask;
        else if (stp_instance_is_mask(instance, node->inputs[0]))
            instance->ops[n] = &stp_op_MaskTimes;
    }
}

// The value id of the mask on which `region` rests, or -1.
static int region_mask(const struct stp_instance *instance, int region)
{
    while (instance->regions[region].kind == STP_SITES_NEED)
        region = instance->regions[region].of;
    return instance->regions[region].kind == STP_SITES_LIST ? instance->regions[region].mask : -1;
}

static bool can_run(const struct stp_instance *instance, const struct stp_node *node, const bool *ready)
{
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] && !ready[node->inputs[i]->id])
            return false;
    for (int o = 0; o < node->n_outputs; o++) {
        int mask = node->outputs[o] ? region_mask(instance, instance->region[node->outputs[o]->id]) : -1;
        if (mask >= 0 && !ready[mask])
            return false;
    }
    return true;
}

// A topological order in which a node also follows the masks of its outputs' regions: the file's order, with every node put off
// until what it needs is there. A mask cannot depend on a tensor that is only read under it, so this ends.
static stp_status find_order(struct stp_instance *instance)
{
    const struct stp_graph *graph = instance->graph;
    bool *ready = calloc((size_t)graph->n_values + 1, sizeof *ready);
    bool *placed = calloc((size_t)graph->n_nodes + 1, sizeof *placed);
    int count = 0, waiting = 0; // `waiting`: the first node that has no place yet
    if (!ready || !placed) {
        free(ready);
        free(placed);
        return stp_fail_memory(graph->context, (size_t)graph->n_values, "the order of nodes");
    }
    for (int v = 0; v < graph->n_values; v++)
        ready[v] = !graph->values[v]->producer;
    // After each placing back to the first node put off: the file's order, as nearly as masks allow.
    for (int n = 0; n < graph->n_nodes;) {
        const struct stp_node *node = graph->nodes[n];
        if (placed[n] || !can_run(instance, node, ready)) {
            n++;
            continue;
        }
        placed[n] = true;
        instance->order[count++] = n;
        for (int o = 0; o < node->n_outputs; o++)
            if (node->outputs[o])
                ready[node->outputs[o]->id] = true;
        while (waiting < graph->n_nodes && placed[waiting])
            waiting++;
        n = waiting;
    }
    free(ready);
    free(placed);
    if (count < graph->n_nodes)
        return stp_fail(graph->context, STP_ERROR_INVALID_MODEL, "the graph's masks depend on what they select");
    return STP_OK;
}

// Takes the regions of a sparse run.
static stp_status find_may_reorder(struct stp_instance *instance)
{
    const struct stp_graph *graph = instance->graph;
    bool *sampled = calloc((size_t)graph->n_values + 1, sizeof *sampled); // a Sample depends on the value
    if (!sampled)
        return stp_fail_memory(graph->context, (size_t)graph->n_values, "a graph instance");
    for (int n = graph->n_nodes - 1; n >= 0; n--) {
        const struct stp_node *node = graph->nodes[n];
        bool depends = node->op == &stp_op_Sample, all = true;
        for (int o = 0; o < node->n_outputs; o++)
            if (node->outputs[o]) {
                depends = depends || sampled[node->outputs[o]->id];
                all = all && instance->region[node->outputs[o]->id] == 0;
            }
        for (int i = 0; i < node->n_inputs && depends; i++)
            if (node->inputs[i])
                sampled[node->inputs[i]->id] = true;
        instance->may_reorder[n] = all && !depends;
    }
    free(sampled);
    return STP_OK;
}

stp_status stp_graph_find_shape_inputs(const struct stp_graph *graph, bool *shape_inputs)
{
    bool *wanted = calloc((size_t)graph->n_values + 1, sizeof *wanted);
    if (!wanted)
        return stp_fail_memory(graph->context, (size_t)graph->n_values, "shape flags");
    for (int n = graph->n_nodes - 1; n >= 0; n--) {
        const struct stp_node *node = graph->nodes[n];
        bool all = false;
        for (int o = 0; o < node->n_outputs; o++)
            all = all || (node->outputs[o] && wanted[node->outputs[o]->id]);
        for (int i = 0; i < node->n_inputs; i++)
            if (node->inputs[i] && (all || (i < 32 && node->op->host_inputs >> i & 1)))
                wanted[node->inputs[i]->id] = true;
    }
    for (int i = 0; i < graph->n_inputs; i++)
        shape_inputs[i] = wanted[graph->inputs[i]->id] && graph->inputs[i]->dtype != STP_F32;
    free(wanted);
    return STP_OK;
}

stp_status stp_instance_create(struct stp_instance **out, const struct stp_graph *graph, const stp_tensor *inputs,
                               bool dense)
{
    *out = NULL;
    struct stp_instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return stp_fail_memory(graph->context, sizeof *instance, "a graph instance");
    instance->graph = graph;
    size_t values = (size_t)graph->n_values, nodes = (size_t)graph->n_nodes;
    instance->tensors = stp_arena_array(&instance->arena, values, sizeof *instance->tensors);
    instance->ops = stp_arena_array(&instance->arena, nodes, sizeof *instance->ops);
    instance->region = stp_arena_array(&instance->arena, values, sizeof *instance->region);
    instance->reason = stp_arena_array(&instance->arena, values, sizeof *instance->reason);
    instance->may_reorder = stp_arena_array(&instance->arena, nodes, sizeof *instance->may_reorder);
    instance->order = stp_arena_array(&instance->arena, nodes, sizeof *instance->order);
    stp_status status = STP_OK;
    if (!instance->tensors || !instance->ops || !instance->region || !instance->reason || !instance->may_reorder ||
        !instance->order)
        status = stp_fail_memory(graph->context, values * sizeof *instance->tensors, "a graph instance");
    if (status == STP_OK)
        status = stp_graph_infer(graph, &instance->arena, inputs, instance->tensors);
    if (status == STP_OK) {
        choose_ops(instance);
        status = stp_instance_find_regions(instance, false);
    }
    if (status == STP_OK)
        status = find_may_reorder(instance);
    if (status == STP_OK && dense)
        status = stp_instance_find_regions(instance, true);
    if (status == STP_OK)
        status = find_order(instance);
    if (status == STP_OK)
        *out = instance;
    else
        stp_instance_destroy(&instance);
    return status;
}

void stp_instance_destroy(struct stp_instance **instance)
{
    if (!instance || !*instance)
        return;
    stp_arena_free(&(*instance)->arena);
    free(*instance);
    *instance = NULL;
}
