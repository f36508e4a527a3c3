// SPDX-License-Identifier: Apache-2.0
#include "ref/run.h"

#include <stdlib.h>

#include "graph/infer.h"
#include "graph/instance.h"
#include "graph/op.h"

struct runner {
    const struct stp_graph *graph;
    struct stp_instance *instance;
    const stp_tensor *inputs;
    struct stp_arena arena;
    // Per value:
    stp_tensor *tensors; // data is NULL until the value is computed or first read
    void **owned;        // what is to be freed
    int *reads;          // by nodes and graph outputs, still to come
    const stp_tensor **in; // of the node that runs
    stp_tensor *out;
};

static void *allocate(const struct stp_graph *graph, const stp_tensor *tensor, const char *name)
{
    size_t bytes = stp_tensor_bytes(tensor);
    void *data = malloc(bytes ? bytes : 1);
    if (!data)
        stp_fail_memory(graph->context, bytes, name);
    return data;
}

static stp_status create(struct runner *runner)
{
    const struct stp_graph *graph = runner->graph;
    size_t n_values = (size_t)graph->n_values;
    int n_in, n_out;
    stp_graph_widest(graph, &n_in, &n_out);
    // On a device, too, only integers can reach a shape position.
    stp_tensor *known = stp_arena_array(&runner->arena, (size_t)graph->n_inputs, sizeof *known);
    runner->tensors = stp_arena_array(&runner->arena, n_values, sizeof *runner->tensors);
    runner->owned = stp_arena_array(&runner->arena, n_values, sizeof *runner->owned);
    runner->reads = stp_arena_array(&runner->arena, n_values, sizeof *runner->reads);
    runner->in = stp_arena_array(&runner->arena, (size_t)n_in, sizeof *runner->in);
    runner->out = stp_arena_array(&runner->arena, (size_t)n_out, sizeof *runner->out);
    if (!known || !runner->tensors || !runner->owned || !runner->reads || !runner->in || !runner->out)
        return stp_fail_memory(graph->context, n_values * sizeof *runner->tensors, "a run on the host");
    for (int i = 0; i < graph->n_inputs; i++) {
        known[i] = runner->inputs[i];
        if (known[i].dtype == STP_F32)
            known[i].data = NULL;
    }
    STP_TRY(stp_instance_create(&runner->instance, graph, known, true));
    for (int v = 0; v < graph->n_values; v++) {
        runner->tensors[v] = runner->instance->tensors[v];
        runner->tensors[v].data = NULL;
        runner->reads[v] = graph->values[v]->readers;
    }
    for (int i = 0; i < graph->n_outputs; i++)
        runner->reads[graph->outputs[i]->id]++;
    return STP_OK;
}

// Brings in an input or a constant on its first read, aligned.
static stp_status fetch(struct runner *runner, const struct stp_value *value)
{
    const struct stp_graph *graph = runner->graph;
    stp_tensor *tensor = &runner->tensors[value->id];
    if (tensor->data)
        return STP_OK;
    const void *data = value->data;
    for (int i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i] == value && runner->inputs[i].dtype != STP_DTYPE_NONE)
            data = runner->inputs[i].data;
    if (!data && stp_tensor_elements(tensor) > 0)
        return stp_fail(graph->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' has no data", value->name);
    tensor->data = (void *)(uintptr_t)data;
    if (data && !value->scale && stp_tensor_is_aligned(tensor))
        return STP_OK;
    tensor->data = runner->owned[value->id] = allocate(graph, tensor, value->name);
    if (!tensor->data)
        return STP_ERROR_OUT_OF_MEMORY;
    if (data)
        memcpy(tensor->data, data, stp_tensor_bytes(tensor));
    int64_t each = value->scale && tensor->dims[0] ? stp_tensor_elements(tensor) / tensor->dims[0] : 0;
    for (int64_t i = 0; i < each * tensor->dims[0]; i++)
        ((float *)tensor->data)[i] = stp_weight_at(value, i / each, i);
    return STP_OK;
}

static void release(struct runner *runner, const struct stp_value *value)
{
    if (runner->reads[value->id] > 0)
        return;
    free(runner->owned[value->id]);
    runner->owned[value->id] = NULL;
    runner->tensors[value->id].data = NULL;
}

static stp_status run_node(struct runner *runner, int n, stp_ref_visit visit, void *user)
{
    const struct stp_node *node = runner->graph->nodes[n];
    for (int i = 0; i < node->n_inputs; i++) {
        runner->in[i] = NULL;
        if (!node->inputs[i])
            continue;
        STP_TRY(fetch(runner, node->inputs[i]));
        runner->in[i] = &runner->tensors[node->inputs[i]->id];
    }
    for (int i = 0; i < node->n_outputs; i++) {
        const struct stp_value *value = node->outputs[i];
        runner->out[i] = (stp_tensor){0};
        if (!value)
            continue;
        runner->out[i] = runner->tensors[value->id];
        runner->out[i].data = runner->owned[value->id] = allocate(runner->graph, &runner->out[i], value->name);
        if (!runner->out[i].data)
            return STP_ERROR_OUT_OF_MEMORY;
    }
    runner->instance->ops[n]->ref(node, runner->in, runner->out);
    for (int i = 0; i < node->n_outputs; i++) {
        if (!node->outputs[i])
            continue;
        runner->tensors[node->outputs[i]->id] = runner->out[i];
        if (visit)
            visit(user, node->outputs[i], &runner->out[i]);
        release(runner, node->outputs[i]);
    }
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i]) {
            runner->reads[node->inputs[i]->id]--;
            release(runner, node->inputs[i]);
        }
    return STP_OK;
}

// Copies, since a value may be an output twice, or an input or constant.
static stp_status copy_outputs(struct runner *runner, stp_tensor *outputs)
{
    for (int i = 0; i < runner->graph->n_outputs; i++) {
        const struct stp_value *value = runner->graph->outputs[i];
        STP_TRY(fetch(runner, value));
        outputs[i] = runner->tensors[value->id];
        outputs[i].data = allocate(runner->graph, &outputs[i], value->name);
        if (!outputs[i].data)
            return STP_ERROR_OUT_OF_MEMORY;
        memcpy(outputs[i].data, runner->tensors[value->id].data, stp_tensor_bytes(&outputs[i]));
    }
    return STP_OK;
}

stp_status stp_ref_run(const struct stp_graph *graph, const stp_tensor *inputs, stp_tensor *outputs,
                       stp_ref_visit visit, void *user)
{
    struct runner runner = {.graph = graph, .inputs = inputs};
    for (int i = 0; i < graph->n_outputs; i++)
        outputs[i] = (stp_tensor){0};
    stp_status status = create(&runner);
    for (int n = 0; status == STP_OK && n < graph->n_nodes; n++)
        status = run_node(&runner, n, visit, user);
    if (status == STP_OK)
        status = copy_outputs(&runner, outputs);
    for (int i = 0; status != STP_OK && i < graph->n_outputs; i++) {
        free(outputs[i].data);
        outputs[i] = (stp_tensor){0};
    }
    for (int v = 0; runner.owned && v < graph->n_values; v++)
        free(runner.owned[v]);
    stp_instance_destroy(&runner.instance);
    stp_arena_free(&runner.arena);
    return status;
}
