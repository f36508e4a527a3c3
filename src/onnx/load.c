// SPDX-License-Identifier: Apache-2.0
// ModelProto and GraphProto → graph.
#define _XOPEN_SOURCE 700
#include "onnx/load.h"

#include <errno.h>
#include <stdlib.h>

#include "onnx/loader.h"

enum { NEWEST_IR = 14, IR_WITH_DEFAULTS = 4 };
// Field numbers of ModelProto, and of GraphProto.
enum { IR_VERSION = 1, GRAPH = 7, OPSET_IMPORT = 8, METADATA = 14, TRAINING_INFO = 20 };
enum { NODE = 1 };

// Graph and model ----------------------------------------------------------------------------------------------------

static stp_status read_graph(struct stp_loader *loader, struct stp_wire graph, const struct onnx_imports *imports,
                             int64_t ir_version)
{
    struct onnx_scope scope = {.imports = imports};
    struct onnx_node *nodes = NULL;
    int n_nodes = 0;
    stp_status status = stp_onnx_read_inputs(loader, graph, &scope.values);
    if (status == STP_OK)
        status = stp_onnx_read_initializers(loader, graph, &scope.values);
    if (status == STP_OK && ir_version < IR_WITH_DEFAULTS)
        stp_onnx_keep_real_inputs(loader->graph);
    if (status == STP_OK)
        status = stp_onnx_nodes(loader, graph, NODE, "the graph", &nodes, &n_nodes);
    if (status == STP_OK)
        status = stp_onnx_emit(loader, &scope, nodes, n_nodes);
    if (status == STP_OK)
        status = stp_onnx_read_outputs(loader, graph, &scope.values);
    if (status == STP_OK)
        status = stp_onnx_read_value_infos(loader, graph, &scope.values);
    stp_names_free(&scope.values);
    return status;
}

static stp_status read_metadata(struct stp_loader *loader, struct stp_wire model)
{
    struct stp_graph *out = loader->graph;
    struct stp_names keys = {.count = 0};
    stp_status status = STP_OK;
    out->metadata = stp_arena_array(loader->arena, (size_t)stp_onnx_count(model, METADATA), sizeof *out->metadata);
    if (!out->metadata)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; status == STP_OK && stp_wire_find(&model, METADATA, &field);) {
        struct stp_metadata *entry = &out->metadata[out->n_metadata];
        status = stp_onnx_pair(loader, stp_wire_message(&model, &field), "metadata", &entry->key, &entry->value);
        if (status == STP_OK && stp_names_find(&keys, entry->key, NULL))
            status = stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "metadata '%s' is there twice", entry->key);
        else if (status == STP_OK && !stp_names_add(&keys, entry->key, out->n_metadata++))
            status = stp_onnx_no_memory(loader);
    }
    stp_names_free(&keys);
    return status == STP_OK ? stp_onnx_end(loader, &model, "the model's metadata") : status;
}

static stp_status find_graph(struct stp_loader *loader, struct stp_wire model, int64_t *ir_version,
                             struct stp_wire *graph)
{
    *ir_version = 0;
    int graphs = 0;
    struct stp_field field;
    struct stp_wire wire = model;
    while (stp_wire_next(&wire, &field)) {
        if (field.number == IR_VERSION)
            *ir_version = stp_wire_int(&wire, &field);
        if (field.number != GRAPH)
            continue;
        *graph = stp_wire_message(&wire, &field);
        graphs++;
    }
    const char *what = "not an ONNX model, or a damaged one";
    STP_TRY(stp_onnx_end(loader, &wire, what));
    if (graphs != 1)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: it holds %d graphs", what, graphs);
    if (*ir_version < 1)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: it has no IR version", what);
    if (*ir_version > NEWEST_IR)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "the model's IR version %lld is newer than %d",
                        (long long)*ir_version, NEWEST_IR);
    if (stp_onnx_count(model, TRAINING_INFO))
        stp_log(loader->context, STP_LOG_WARN, "the model's training information is ignored");
    return STP_OK;
}

static stp_status read_model(struct stp_loader *loader, struct stp_wire model)
{
    int64_t ir_version;
    struct stp_wire graph;
    struct onnx_imports imports;
    STP_TRY(find_graph(loader, model, &ir_version, &graph));
    STP_TRY(stp_onnx_imports(loader, model, OPSET_IMPORT, "the model", &imports));
    STP_TRY(read_metadata(loader, model));
    STP_TRY(stp_onnx_functions(loader, model));
    loader->graph->opset = stp_onnx_version(&imports, "");
    return read_graph(loader, graph, &imports, ir_version);
}

// Entry --------------------------------------------------------------------------------------------------------------

// Takes over `file`.
static stp_status load(struct stp_graph **out, stp_context *context, struct stp_file file, const char *folder)
{
    *out = NULL;
    struct stp_graph *graph = stp_graph_create(context);
    if (!graph) {
        stp_file_unmap(&file);
        return stp_fail_memory(context, sizeof *graph, "a graph");
    }
    graph->file = file;
    struct stp_loader loader = {.context = context, .graph = graph, .arena = &graph->arena, .folder = folder};
    stp_status status = file.size ? read_model(&loader, stp_wire_open(file.data, file.size))
                                  : stp_fail(context, STP_ERROR_INVALID_MODEL, "the model is empty");
    stp_names_free(&loader.externals);
    stp_names_free(&loader.function_keys);
    if (status == STP_OK)
        *out = graph;
    else
        stp_graph_destroy(graph);
    return status;
}

// The folder of `path`, links resolved; to be freed.
static char *find_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) + 1 : 2;
    char *folder = malloc(size + 1);
    if (!folder)
        return NULL;
    memcpy(folder, slash ? path : "./", size);
    folder[size] = 0;
    char *real = realpath(folder, NULL);
    free(folder);
    return real;
}

stp_status stp_onnx_load(struct stp_graph **out, stp_context *context, const char *path)
{
    *out = NULL;
    struct stp_file file;
    STP_TRY(stp_file_map(&file, context, path));
    char *folder = find_folder(path);
    if (!folder) {
        stp_file_unmap(&file);
        return stp_fail(context, STP_ERROR_IO, "cannot find the folder of %s: %s", path, strerror(errno));
    }
    stp_status status = load(out, context, file, folder);
    free(folder);
    return status;
}

stp_status stp_onnx_load_memory(struct stp_graph **out, stp_context *context, const void *bytes, size_t size)
{
    return load(out, context, (struct stp_file){.data = bytes, .size = size}, NULL);
}
