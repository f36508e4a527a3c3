// SPDX-License-Identifier: Apache-2.0
// The values of a GraphProto that no node makes, and what it declares of those that nodes make.
#include <stdio.h>

#include "onnx/loader.h"

// Field numbers of GraphProto.
enum { INITIALIZER = 5, INPUT = 11, OUTPUT = 12, VALUE_INFO = 13, SPARSE_INITIALIZER = 15 };

// Types and shapes ---------------------------------------------------------------------------------------------------

// A ValueInfoProto.
struct info {
    const char *name;
    bool is_tensor;
    int64_t data_type;
    bool has_shape;
    size_t rank; // as the file says
    int64_t dims[STP_MAX_RANK];
    const char *dim_names[STP_MAX_RANK];
};

static stp_status read_dim(struct stp_loader *loader, struct stp_wire wire, const char *what, int64_t *dim,
                           const char **name)
{
    const char *text = "";
    *dim = -1;
    struct stp_field field;
    while (stp_wire_next(&wire, &field)) {
        if (field.number == 1)
            *dim = stp_wire_int(&wire, &field);
        else if (field.number == 2)
            STP_TRY(stp_onnx_text(loader, &wire, &field, true, what, &text));
    }
    *name = *dim < 0 && text[0] ? text : NULL;
    // Some writers say −1 where they mean "free".
    if (*dim < -1)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: dimension %lld cannot be", what, (long long)*dim);
    return stp_onnx_end(loader, &wire, what);
}

static stp_status read_shape(struct stp_loader *loader, struct stp_wire wire, const char *what, struct info *out)
{
    out->has_shape = true;
    out->rank = 0;
    for (struct stp_field field; stp_wire_find(&wire, 1, &field); out->rank++) {
        struct stp_wire dim = stp_wire_message(&wire, &field);
        if (out->rank < STP_MAX_RANK)
            STP_TRY(read_dim(loader, dim, what, &out->dims[out->rank], &out->dim_names[out->rank]));
    }
    return stp_onnx_end(loader, &wire, what);
}

static stp_status read_tensor_type(struct stp_loader *loader, struct stp_wire wire, const char *what, struct info *out)
{
    out->is_tensor = true;
    struct stp_field field;
    while (stp_wire_next(&wire, &field)) {
        if (field.number == 1)
            out->data_type = stp_wire_int(&wire, &field);
        else if (field.number == 2)
            STP_TRY(read_shape(loader, stp_wire_message(&wire, &field), what, out));
    }
    return stp_onnx_end(loader, &wire, what);
}

static stp_status read_info(struct stp_loader *loader, struct stp_wire message, const char *what, struct info *out)
{
    *out = (struct info){.name = ""};
    struct stp_field field;
    for (struct stp_wire wire = message; stp_wire_find(&wire, 1, &field);)
        STP_TRY(stp_onnx_text(loader, &wire, &field, true, what, &out->name));
    char full[300];
    snprintf(full, sizeof full, "%s '%.250s'", what, out->name);
    while (stp_wire_find(&message, 2, &field)) {
        struct stp_wire type = stp_wire_message(&message, &field);
        while (stp_wire_find(&type, 1, &field))
            STP_TRY(read_tensor_type(loader, stp_wire_message(&type, &field), full, out));
        STP_TRY(stp_onnx_end(loader, &type, full));
    }
    STP_TRY(stp_onnx_end(loader, &message, full));
    return out->name[0] ? STP_OK : stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s has no name", what);
}

// Of a graph input or output: must be a tensor that we can hold.
static stp_status check_info(struct stp_loader *loader, const struct info *info, const char *what)
{
    if (!info->is_tensor)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "%s '%s' is not declared as a tensor", what, info->name);
    if (stp_onnx_dtype(info->data_type) == STP_DTYPE_NONE)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "%s '%s' is %s, which is not supported", what, info->name,
                        stp_onnx_dtype_name(info->data_type));
    if (info->rank > STP_MAX_RANK)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "%s '%s' has %zu dimensions, more than %d", what,
                        info->name, info->rank, STP_MAX_RANK);
    return STP_OK;
}

static void set_shape(struct stp_value *value, const struct info *info)
{
    value->rank = info->has_shape ? (int)info->rank : -1;
    memcpy(value->dims, info->dims, sizeof value->dims);
    memcpy(value->dim_names, info->dim_names, sizeof value->dim_names);
}

static stp_status set_type(struct stp_loader *loader, struct stp_value *value, int64_t data_type, const char *what)
{
    stp_dtype dtype = stp_onnx_dtype(data_type);
    if (value->dtype != STP_DTYPE_NONE && value->dtype != dtype)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s '%s' is declared as %s, but is %s", what,
                        value->name, stp_onnx_dtype_name(data_type), stp_dtype_name(value->dtype));
    value->dtype = dtype;
    return STP_OK;
}

// Inputs and initializers --------------------------------------------------------------------------------------------

// `names`: of the graph as the file has it.
static stp_status add_value(struct stp_loader *loader, struct stp_names *names, const char *name,
                            struct stp_value **out)
{
    *out = stp_graph_add_value(loader->graph, name);
    return *out && stp_names_add(names, name, (*out)->id) ? STP_OK : stp_onnx_no_memory(loader);
}

stp_status stp_onnx_read_inputs(struct stp_loader *loader, struct stp_wire graph, struct stp_names *names)
{
    struct stp_graph *out = loader->graph;
    out->inputs = stp_arena_array(loader->arena, (size_t)stp_onnx_count(graph, INPUT), sizeof *out->inputs);
    if (!out->inputs)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&graph, INPUT, &field);) {
        struct info info;
        STP_TRY(read_info(loader, stp_wire_message(&graph, &field), "input", &info));
        STP_TRY(check_info(loader, &info, "input"));
        if (stp_names_find(names, info.name, NULL))
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "input '%s' is declared twice", info.name);
        struct stp_value *value;
        STP_TRY(add_value(loader, names, info.name, &value));
        value->is_input = true;
        value->dtype = stp_onnx_dtype(info.data_type);
        set_shape(value, &info);
        out->inputs[out->n_inputs++] = value;
    }
    return stp_onnx_end(loader, &graph, "the graph's inputs");
}

// The initializer of a graph input of the same name is the input's default.
static stp_status set_default(struct stp_loader *loader, struct stp_value *input, const struct onnx_tensor *initializer)
{
    const stp_tensor *t = &initializer->tensor;
    if (initializer->unsupported)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "the default of input '%s' is not supported: it %s",
                        input->name, initializer->unsupported);
    bool fits = t->dtype == input->dtype && (input->rank < 0 || input->rank == t->rank);
    for (int i = 0; i < input->rank && fits; i++)
        fits = input->dims[i] < 0 || input->dims[i] == t->dims[i];
    if (!fits)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL,
                        "input '%s' is declared with another type or shape than its initializer has", input->name);
    int64_t *dims = stp_arena_alloc(loader->arena, sizeof t->dims);
    if (!dims)
        return stp_onnx_no_memory(loader);
    input->default_dims = memcpy(dims, t->dims, sizeof t->dims);
    input->default_rank = t->rank;
    input->data = t->data;
    return STP_OK;
}

static stp_status add_initializer(struct stp_loader *loader, struct stp_names *names, const char *name,
                                  const struct onnx_tensor *initializer)
{
    int id;
    struct stp_value *value;
    if (!name[0])
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "an initializer has no name");
    if (stp_names_find(names, name, &id)) {
        value = loader->graph->values[id];
        if (!value->is_input || value->data)
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "initializer '%s' is there twice", name);
        return set_default(loader, value, initializer);
    }
    STP_TRY(add_value(loader, names, name, &value));
    value->unsupported = initializer->unsupported;
    value->dtype = initializer->tensor.dtype;
    value->rank = initializer->tensor.rank;
    memcpy(value->dims, initializer->tensor.dims, sizeof value->dims);
    value->data = initializer->tensor.data;
    return STP_OK;
}

stp_status stp_onnx_read_initializers(struct stp_loader *loader, struct stp_wire graph, struct stp_names *names)
{
    enum { TENSOR_NAME = 8, SPARSE_VALUES = 1 };
    for (struct stp_field field; stp_wire_next(&graph, &field);) {
        if (field.number != INITIALIZER && field.number != SPARSE_INITIALIZER)
            continue;
        bool is_sparse = field.number == SPARSE_INITIALIZER;
        struct stp_wire message = stp_wire_message(&graph, &field);
        if (is_sparse)
            message = stp_wire_find(&message, SPARSE_VALUES, &field) ? stp_wire_message(&message, &field) : message;
        const char *name = "";
        struct stp_wire wire = message;
        while (stp_wire_find(&wire, TENSOR_NAME, &field))
            STP_TRY(stp_onnx_text(loader, &wire, &field, true, "an initializer", &name));
        char what[300];
        snprintf(what, sizeof what, name[0] ? "initializer '%.250s'" : "an initializer", name);
        STP_TRY(stp_onnx_end(loader, &wire, what));
        struct onnx_tensor tensor = {.unsupported = "is a sparse tensor"};
        if (!is_sparse)
            STP_TRY(stp_onnx_tensor(loader, message, what, &tensor));
        STP_TRY(add_initializer(loader, names, name, &tensor));
    }
    return stp_onnx_end(loader, &graph, "the graph's initializers");
}

void stp_onnx_keep_real_inputs(struct stp_graph *graph)
{
    int kept = 0;
    for (int i = 0; i < graph->n_inputs; i++) {
        struct stp_value *input = graph->inputs[i];
        if (!input->data) {
            graph->inputs[kept++] = input;
            continue;
        }
        input->is_input = false;
        input->rank = input->default_rank;
        memcpy(input->dims, input->default_dims, sizeof input->dims);
        memset(input->dim_names, 0, sizeof input->dim_names);
        input->default_dims = NULL;
    }
    graph->n_inputs = kept;
}

// Outputs ------------------------------------------------------------------------------------------------------------

stp_status stp_onnx_read_outputs(struct stp_loader *loader, struct stp_wire graph, const struct stp_names *names)
{
    struct stp_graph *out = loader->graph;
    out->outputs = stp_arena_array(loader->arena, (size_t)stp_onnx_count(graph, OUTPUT), sizeof *out->outputs);
    if (!out->outputs)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&graph, OUTPUT, &field);) {
        struct info info;
        int id;
        STP_TRY(read_info(loader, stp_wire_message(&graph, &field), "output", &info));
        if (!stp_names_find(names, info.name, &id))
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "output '%s' is never made", info.name);
        struct stp_value *value = out->values[id];
        if (value->is_output)
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "output '%s' is listed twice", info.name);
        value->is_output = true;
        out->outputs[out->n_outputs++] = value;
        // Outputs need not be declared further than by name.
        if (!info.is_tensor)
            continue;
        STP_TRY(check_info(loader, &info, "output"));
        STP_TRY(set_type(loader, value, info.data_type, "output"));
        if (!value->is_input && !value->data)
            set_shape(value, &info);
    }
    STP_TRY(stp_onnx_end(loader, &graph, "the graph's outputs"));
    if (!out->n_outputs)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "the graph has no outputs");
    return STP_OK;
}

stp_status stp_onnx_read_value_infos(struct stp_loader *loader, struct stp_wire graph, const struct stp_names *names)
{
    for (struct stp_field field; stp_wire_find(&graph, VALUE_INFO, &field);) {
        struct info info;
        int id;
        STP_TRY(read_info(loader, stp_wire_message(&graph, &field), "value_info", &info));
        if (stp_names_find(names, info.name, &id) && stp_onnx_dtype(info.data_type) != STP_DTYPE_NONE &&
            !loader->graph->values[id]->unsupported)
            STP_TRY(set_type(loader, loader->graph->values[id], info.data_type, "value"));
    }
    return stp_onnx_end(loader, &graph, "the graph's value_info");
}
