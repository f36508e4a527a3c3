// SPDX-License-Identifier: Apache-2.0
// stp_model: a graph that has been read, checked and rewritten, and what it tells of itself.
#include "run/model.h"

#include <stdlib.h>

#include "graph/instance.h"
#include "graph/passes.h"
#include "onnx/load.h"

static void fill_ports(stp_model_port *ports, struct stp_value *const *values, int count)
{
    for (int i = 0; i < count; i++) {
        const struct stp_value *value = values[i];
        ports[i] = (stp_model_port){
            .name = value->name, .dtype = value->dtype, .rank = value->rank, .has_default = value->is_input && value->data};
        if (ports[i].has_default)
            ports[i].default_value = stp_value_tensor(value);
        for (int d = 0; d < value->rank; d++) {
            ports[i].dims[d] = value->dims[d];
            ports[i].dim_names[d] = value->dim_names[d];
        }
    }
}

// An input at its declared sizes: 256 for a free height or width, 1 for another free dimension.
static stp_tensor declared_input(const struct stp_value *value)
{
    if (value->data)
        return (stp_tensor){.dtype = STP_DTYPE_NONE}; // its default
    stp_tensor t = stp_tensor_make(value->dtype, value->rank < 0 ? 0 : value->rank, value->dims);
    for (int d = 0; d < t.rank; d++)
        if (t.dims[d] < 0)
            t.dims[d] = t.rank == 4 && d >= 2 ? 256 : 1;
    return t;
}

// Regions of all nodes' first outputs at the declared sizes. A model that cannot run at those has none; that is not an error.
static stp_status explain(stp_model *model)
{
    struct stp_graph *graph = model->graph;
    model->regions = stp_arena_array(&graph->arena, (size_t)graph->n_nodes, sizeof *model->regions);
    model->reasons = stp_arena_array(&graph->arena, (size_t)graph->n_nodes, sizeof *model->reasons);
    stp_tensor *inputs = stp_arena_array(&graph->arena, (size_t)graph->n_inputs, sizeof *inputs);
    if (!model->regions || !model->reasons || !inputs)
        return stp_fail(model->context, STP_ERROR_OUT_OF_MEMORY, "out of memory for the model's regions");
    for (int i = 0; i < graph->n_inputs; i++)
        inputs[i] = declared_input(graph->inputs[i]);
    struct stp_instance *instance;
    struct stp_context quiet = {.log = NULL}; // what fails here is told when the model is run
    graph->context = &quiet;
    stp_status status = stp_instance_create(&instance, graph, inputs, false);
    graph->context = model->context;
    if (status != STP_OK)
        return status == STP_ERROR_OUT_OF_MEMORY
                   ? stp_fail(model->context, status, "out of memory for the model's regions")
                   : STP_OK;
    for (int n = 0; n < graph->n_nodes; n++) {
        const struct stp_value *output = graph->nodes[n]->outputs[0];
        if (!output)
            continue;
        model->regions[n] = stp_instance_region_text(instance, &graph->arena, instance->region[output->id]);
        model->reasons[n] = instance->reason[output->id];
    }
    stp_instance_destroy(&instance);
    return STP_OK;
}

// Checks and rewrites model->graph.
static stp_status prepare(stp_model *model)
{
    struct stp_graph *graph = model->graph;
    STP_TRY(stp_graph_check(graph));
    STP_TRY(stp_graph_rewrite(graph));
    model->inputs = stp_arena_array(&graph->arena, (size_t)graph->n_inputs, sizeof *model->inputs);
    model->outputs = stp_arena_array(&graph->arena, (size_t)graph->n_outputs, sizeof *model->outputs);
    model->shape_inputs = stp_arena_array(&graph->arena, (size_t)graph->n_inputs, sizeof *model->shape_inputs);
    if (!model->inputs || !model->outputs || !model->shape_inputs)
        return stp_fail(model->context, STP_ERROR_OUT_OF_MEMORY, "out of memory for the model's inputs and outputs");
    fill_ports(model->inputs, graph->inputs, graph->n_inputs);
    fill_ports(model->outputs, graph->outputs, graph->n_outputs);
    STP_TRY(stp_graph_find_shape_inputs(graph, model->shape_inputs));
    return explain(model);
}

// From the file at `path`, or from memory where that is NULL.
static stp_status load(stp_model **out, stp_context *context, const char *path, const void *bytes, size_t size)
{
    stp_model *model = calloc(1, sizeof *model);
    if (!model)
        return stp_fail_memory(context, sizeof *model, "a model");
    model->context = context;
    stp_status status = path ? stp_onnx_load(&model->graph, context, path)
                             : stp_onnx_load_memory(&model->graph, context, bytes, size);
    if (status == STP_OK)
        status = prepare(model);
    if (status == STP_OK)
        *out = model;
    else
        stp_model_destroy(&model);
    return status;
}

stp_status stp_model_load_file(stp_model **out, stp_context *context, const char *path)
{
    if (out)
        *out = NULL;
    if (!context)
        return STP_ERROR_INVALID_ARGUMENT;
    if (!out || !path)
        return stp_fail(context, STP_ERROR_INVALID_ARGUMENT, "stp_model_load_file: an argument is NULL");
    return load(out, context, path, NULL, 0);
}

stp_status stp_model_load_memory(stp_model **out, stp_context *context, const void *bytes, size_t size)
{
    if (out)
        *out = NULL;
    if (!context)
        return STP_ERROR_INVALID_ARGUMENT;
    if (!out || !bytes)
        return stp_fail(context, STP_ERROR_INVALID_ARGUMENT, "stp_model_load_memory: an argument is NULL");
    return load(out, context, NULL, bytes, size);
}

void stp_model_destroy(stp_model **model)
{
    if (!model || !*model)
        return;
    stp_graph_destroy((*model)->graph);
    free(*model);
    *model = NULL;
}

size_t stp_model_input_count(const stp_model *model)
{
    return (size_t)model->graph->n_inputs;
}

size_t stp_model_output_count(const stp_model *model)
{
    return (size_t)model->graph->n_outputs;
}

const stp_model_port *stp_model_input(const stp_model *model, size_t index)
{
    return index < (size_t)model->graph->n_inputs ? &model->inputs[index] : NULL;
}

const stp_model_port *stp_model_output(const stp_model *model, size_t index)
{
    return index < (size_t)model->graph->n_outputs ? &model->outputs[index] : NULL;
}

const char *stp_model_metadata(const stp_model *model, const char *key)
{
    for (int i = 0; i < model->graph->n_metadata; i++)
        if (!strcmp(model->graph->metadata[i].key, key))
            return model->graph->metadata[i].value;
    return NULL;
}

size_t stp_model_node_count(const stp_model *model)
{
    return (size_t)model->graph->n_nodes;
}

static int64_t count_parameters(const struct stp_node *node)
{
    int64_t count = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i] || !stp_value_is_constant(node->inputs[i]))
            continue;
        stp_tensor tensor = stp_value_tensor(node->inputs[i]);
        count += stp_tensor_elements(&tensor);
    }
    return count;
}

bool stp_model_node_get(const stp_model *model, size_t index, stp_model_node *out)
{
    if (index >= (size_t)model->graph->n_nodes)
        return false;
    const struct stp_node *node = model->graph->nodes[index];
    *out = (stp_model_node){
        .name = node->name,
        .op = node->type,
        .domain = node->domain,
        .parameters = count_parameters(node),
        .region = model->regions[index],
        .reason = model->reasons[index],
    };
    return true;
}
