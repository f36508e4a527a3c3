// SPDX-License-Identifier: Apache-2.0
// What the parts of the ONNX reader share. Field numbers in these files are those of onnx.proto.
#ifndef STP_ONNX_LOADER_H
#define STP_ONNX_LOADER_H

#include "graph/graph.h"
#include "onnx/wire.h"

// Bounds on what a file may ask of us beyond its own size. Networks stay far below them.
enum {
    STP_ONNX_MAX_IMPORTS = 256,
    STP_ONNX_MAX_ATTRS = 256,         // of a node
    STP_ONNX_MAX_CALL_DEPTH = 64,     // functions that call functions
    STP_ONNX_MAX_INLINED = 1 << 18,   // nodes, inputs, outputs and attributes that inlining makes
};

struct stp_loader {
    stp_context *context;
    struct stp_graph *graph;
    struct stp_arena *arena;  // the graph's
    const char *folder;       // real path of the model's folder; NULL: the model is in memory
    struct stp_names externals; // real paths of external files → index in graph->externals
    int cap_externals;
    struct onnx_function **functions;
    int n_functions;
    struct stp_names function_keys; // onnx_node.function_key → index
    int64_t inlined;          // of STP_ONNX_MAX_INLINED
};

// Opset imports of the model or of a function.
struct onnx_imports {
    struct onnx_import {
        const char *domain;
        int version;
    } *list;
    int count;
};

// A NodeProto as it stands in the file: names are not yet values.
struct onnx_node {
    struct stp_node node;    // name, type, domain, attrs
    const char *function_key; // if the model has functions: domain, name and overload in one
    const char **inputs, **outputs;
    const char **refs;       // per attribute: the function's attribute that it stands for, or NULL; NULL if no attribute does
};

struct onnx_function {
    const char *name;
    struct stp_wire message;
    bool is_active; // being inlined
    bool is_read;   // what follows is read at the first call
    struct onnx_imports imports;
    const char **inputs, **outputs;
    int n_inputs, n_outputs;
    struct onnx_node defaults; // attributes that have a default; nothing else
    struct onnx_node *nodes;
    int n_nodes;
};

// pieces.c ------------------------------------------------------------------------------------------------------------

// STP_OK, or the error of a message that has been gone through, named by `what`.
stp_status stp_onnx_end(struct stp_loader *loader, const struct stp_wire *wire, const char *what);
stp_status stp_onnx_no_memory(struct stp_loader *loader);
// Fields of that number.
int stp_onnx_count(struct stp_wire message, uint32_t number);
// A copy of a text field. Names hold no control characters; with `is_name` false they may. Invalid UTF-8 and NUL are errors.
stp_status stp_onnx_text(struct stp_loader *loader, struct stp_wire *wire, const struct stp_field *field, bool is_name,
                         const char *what, const char **out);
// All text fields of that number, in order.
stp_status stp_onnx_texts(struct stp_loader *loader, struct stp_wire message, uint32_t number, const char *what,
                          const char ***out, int *count);
// A StringStringEntryProto.
stp_status stp_onnx_pair(struct stp_loader *loader, struct stp_wire message, const char *what, const char **key,
                         const char **value);
// OperatorSetIdProtos in fields of that number; each domain once.
stp_status stp_onnx_imports(struct stp_loader *loader, struct stp_wire message, uint32_t number, const char *what,
                            struct onnx_imports *out);
// The imported version of a domain, 0 if it is not imported.
int stp_onnx_version(const struct onnx_imports *imports, const char *domain);
// "" for "ai.onnx", which is another name of the default domain.
const char *stp_onnx_domain(const char *domain);

// values.c ------------------------------------------------------------------------------------------------------------

// In this order; `graph` is the GraphProto, `names` the file's names → ids of values, to which the first two and then the nodes add.
stp_status stp_onnx_read_inputs(struct stp_loader *loader, struct stp_wire graph, struct stp_names *names);
stp_status stp_onnx_read_initializers(struct stp_loader *loader, struct stp_wire graph, struct stp_names *names);
// Before IR version 4 every initializer had to be listed among the inputs: there it is a constant.
void stp_onnx_keep_real_inputs(struct stp_graph *graph);
stp_status stp_onnx_read_outputs(struct stp_loader *loader, struct stp_wire graph, const struct stp_names *names);
// Declared types of what nodes make; stp_graph_check() holds them against the operators. Declared shapes decide nothing.
stp_status stp_onnx_read_value_infos(struct stp_loader *loader, struct stp_wire graph, const struct stp_names *names);

// tensor.c, external.c ------------------------------------------------------------------------------------------------

// The type of a TensorProto.DataType; STP_DTYPE_NONE where it is not supported.
stp_dtype stp_onnx_dtype(int64_t data_type);
const char *stp_onnx_dtype_name(int64_t data_type);

struct onnx_tensor {
    stp_tensor tensor;       // data where it lies, or in the arena; floats may be unaligned
    const char *unsupported; // NULL, or why there is no data: a clause
};
// A TensorProto. `what` names it in errors.
stp_status stp_onnx_tensor(struct stp_loader *loader, struct stp_wire message, const char *what,
                           struct onnx_tensor *out);
// The data of a TensorProto that keeps `size` bytes in a file beside the model.
stp_status stp_onnx_external(struct stp_loader *loader, struct stp_wire message, const char *what, size_t size,
                             const void **out);

// node.c --------------------------------------------------------------------------------------------------------------

// All NodeProtos in fields of that number, in order.
stp_status stp_onnx_nodes(struct stp_loader *loader, struct stp_wire message, uint32_t number, const char *what,
                          struct onnx_node **out, int *count);
// AttributeProtos in fields of that number → out->node.attrs and out->refs; out->node is named already.
stp_status stp_onnx_attrs(struct stp_loader *loader, struct stp_wire message, uint32_t number, struct onnx_node *out);
// Turns the output of a Constant into a constant.
stp_status stp_onnx_constant(struct stp_loader *loader, const struct stp_node *node);

// function.c, emit.c --------------------------------------------------------------------------------------------------

// Where names mean something: the graph, or one call of a function.
struct onnx_scope {
    struct stp_names values;  // → id, or −1 for an input that the caller left out
    const struct onnx_imports *imports;
    const char *prefix;       // of the names inside; NULL: the graph itself
    struct stp_names targets; // a function's outputs → id of the caller's value, or −1
    struct onnx_function *function;
    const struct stp_node *caller; // its attributes
    int depth;
};

// Lists the model's functions (fields of ModelProto), without looking into them.
stp_status stp_onnx_functions(struct stp_loader *loader, struct stp_wire model);
// What tells functions apart, in one string; NULL when memory is short.
const char *stp_onnx_function_key(struct stp_loader *loader, const char *domain, const char *name, const char *overload);
// Reads the rest of a function, once.
stp_status stp_onnx_read_function(struct stp_loader *loader, struct onnx_function *function);
// Adds nodes to the graph, in their order; calls are inlined.
stp_status stp_onnx_emit(struct stp_loader *loader, struct onnx_scope *scope, const struct onnx_node *nodes, int count);

#endif
