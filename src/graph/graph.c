// SPDX-License-Identifier: Apache-2.0
#include "graph/graph.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct stp_graph *stp_graph_create(stp_context *context)
{
    struct stp_graph *graph = calloc(1, sizeof *graph);
    if (graph)
        graph->context = context;
    return graph;
}

void stp_graph_destroy(struct stp_graph *graph)
{
    if (!graph)
        return;
    for (int i = 0; i < graph->n_externals; i++)
        stp_file_unmap(&graph->externals[i]);
    stp_file_unmap(&graph->file);
    stp_names_free(&graph->names);
    stp_arena_free(&graph->arena);
    free(graph);
}

// Room for one more pointer in a list; the old list is left to the arena.
static bool reserve(struct stp_arena *arena, void ***list, int count, int *capacity)
{
    if (count < *capacity)
        return true;
    if (*capacity > INT_MAX / 2)
        return false;
    int wanted = *capacity ? *capacity * 2 : 64;
    void **wider = stp_arena_array(arena, (size_t)wanted, sizeof *wider);
    if (!wider)
        return false;
    if (count)
        memcpy(wider, *list, (size_t)count * sizeof *wider);
    *list = wider;
    *capacity = wanted;
    return true;
}

struct stp_value *stp_graph_add_value(struct stp_graph *graph, const char *name)
{
    assert(!stp_names_find(&graph->names, name, NULL));
    void **list = (void **)graph->values;
    if (!reserve(&graph->arena, &list, graph->n_values, &graph->cap_values))
        return NULL;
    graph->values = (struct stp_value **)list;
    struct stp_value *value = stp_arena_alloc(&graph->arena, sizeof *value);
    if (!value || !stp_names_add(&graph->names, name, graph->n_values))
        return NULL;
    value->name = name;
    value->rank = -1;
    value->id = graph->n_values;
    graph->values[graph->n_values++] = value;
    return value;
}

struct stp_node *stp_graph_add_node(struct stp_graph *graph, int n_inputs, int n_outputs)
{
    void **list = (void **)graph->nodes;
    if (!reserve(&graph->arena, &list, graph->n_nodes, &graph->cap_nodes))
        return NULL;
    graph->nodes = (struct stp_node **)list;
    struct stp_node *node = stp_arena_alloc(&graph->arena, sizeof *node);
    if (!node)
        return NULL;
    node->n_inputs = n_inputs;
    node->n_outputs = n_outputs;
    node->inputs = stp_arena_array(&graph->arena, (size_t)n_inputs, sizeof *node->inputs);
    node->outputs = stp_arena_array(&graph->arena, (size_t)n_outputs, sizeof *node->outputs);
    if (!node->inputs || !node->outputs)
        return NULL;
    graph->nodes[graph->n_nodes++] = node;
    return node;
}

void stp_graph_link(struct stp_graph *graph)
{
    for (int v = 0; v < graph->n_values; v++) {
        graph->values[v]->producer = NULL;
        graph->values[v]->readers = 0;
    }
    for (int n = 0; n < graph->n_nodes; n++) {
        struct stp_node *node = graph->nodes[n];
        for (int i = 0; i < node->n_inputs; i++)
            if (node->inputs[i])
                node->inputs[i]->readers++;
        for (int o = 0; o < node->n_outputs; o++)
            if (node->outputs[o])
                node->outputs[o]->producer = node;
    }
}

const char *stp_graph_unique_name(struct stp_graph *graph, const char *base)
{
    if (!stp_names_find(&graph->names, base, NULL))
        return stp_arena_string(&graph->arena, base, strlen(base));
    size_t room = strlen(base) + 16;
    char *name = stp_arena_alloc(&graph->arena, room);
    // The suffix never starts over, so that many names of one base do not take a search each.
    while (name && graph->last_suffix < INT_MAX) {
        snprintf(name, room, "%s_%d", base, ++graph->last_suffix);
        if (!stp_names_find(&graph->names, name, NULL))
            return name;
    }
    return NULL;
}

stp_tensor stp_value_tensor(const struct stp_value *value)
{
    stp_tensor tensor = value->default_dims
                            ? stp_tensor_make(value->dtype, value->default_rank, value->default_dims)
                            : stp_tensor_make(value->dtype, value->rank, value->dims);
    tensor.data = (void *)(uintptr_t)value->data;
    return tensor;
}

// Errors and attributes ----------------------------------------------------------------------------------------------

stp_status stp_fail_node(stp_context *context, stp_status status, const struct stp_node *node, const char *format, ...)
{
    char text[sizeof context->error / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return stp_fail(context, status, "%.200s '%.400s': %s", node->type, node->name, text);
}

const struct stp_attr *stp_attr_find(const struct stp_node *node, const char *name)
{
    for (int i = 0; i < node->n_attrs; i++)
        if (!strcmp(node->attrs[i].name, name))
            return &node->attrs[i];
    return NULL;
}

static const char *attr_type_name(enum stp_attr_type type)
{
    switch (type) {
    case STP_ATTR_FLOAT: return "a float";
    case STP_ATTR_INT: return "an integer";
    case STP_ATTR_STRING: return "a string";
    case STP_ATTR_TENSOR: return "a tensor";
    case STP_ATTR_FLOATS: return "a list of floats";
    case STP_ATTR_INTS: return "a list of integers";
    case STP_ATTR_STRINGS: return "a list of strings";
    case STP_ATTR_UNSUPPORTED: break;
    }
    return "of a type that is not supported";
}

// *out is NULL where the attribute is missing.
static stp_status find_typed(stp_context *context, const struct stp_node *node, const char *name,
                             enum stp_attr_type type, const struct stp_attr **out)
{
    *out = stp_attr_find(node, name);
    if (*out && (*out)->type != type)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "attribute '%s' is %s; it must be %s", name,
                             attr_type_name((*out)->type), attr_type_name(type));
    return STP_OK;
}

stp_status stp_attr_int(stp_context *context, const struct stp_node *node, const char *name, int64_t fallback,
                        int64_t *out)
{
    const struct stp_attr *attr;
    STP_TRY(find_typed(context, node, name, STP_ATTR_INT, &attr));
    *out = attr ? attr->i : fallback;
    return STP_OK;
}

stp_status stp_attr_float(stp_context *context, const struct stp_node *node, const char *name, float fallback, float *out)
{
    const struct stp_attr *attr;
    STP_TRY(find_typed(context, node, name, STP_ATTR_FLOAT, &attr));
    *out = attr ? attr->f : fallback;
    return STP_OK;
}

stp_status stp_attr_string(stp_context *context, const struct stp_node *node, const char *name, const char *fallback,
                           const char **out)
{
    const struct stp_attr *attr;
    STP_TRY(find_typed(context, node, name, STP_ATTR_STRING, &attr));
    *out = attr ? attr->s : fallback;
    return STP_OK;
}

stp_status stp_attr_ints(stp_context *context, const struct stp_node *node, const char *name, const int64_t **out,
                         size_t *count)
{
    const struct stp_attr *attr;
    STP_TRY(find_typed(context, node, name, STP_ATTR_INTS, &attr));
    *out = attr ? attr->ints : NULL;
    *count = attr ? attr->count : 0;
    return STP_OK;
}
