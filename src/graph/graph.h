// SPDX-License-Identifier: Apache-2.0
// The graph: values and nodes as the file has them, in topological order, then as the passes left them.
// Everything lives in the graph's arena or in the mapped file. Knows nothing of OpenCL.
#ifndef STP_GRAPH_H
#define STP_GRAPH_H

#include "base/base.h"
#include "graph/names.h"

struct stp_op;
struct stp_node;

// A tensor of the graph: a graph input, a constant, or the output of one node.
struct stp_value {
    const char *name;          // unique, not empty
    int id;                    // index in stp_graph.values
    stp_dtype dtype;           // STP_DTYPE_NONE if the file does not say; set for every value by stp_graph_check()
    int rank;                  // -1 if the file does not say
    int64_t dims[STP_MAX_RANK]; // -1: free
    const char *dim_names[STP_MAX_RANK]; // names of free dimensions of graph inputs and outputs, or NULL
    const void *data;          // constants, and the default of a graph input: dense, row-major, of `dtype` and `dims`; not aligned
    const double *scale;       // weights of a Conv into which a BatchNormalization was folded: what `data` holds for each output channel is
                               // meant times its scale, rounded once (stp_weight_at()); else NULL
    const int64_t *default_dims; // graph inputs with a default: the dims of `data`, which are less free than `dims`; else NULL
    int default_rank;
    const char *unsupported;   // a constant whose data cannot be had: why, a clause; stp_graph_check() refuses its readers
    struct stp_node *producer; // NULL for graph inputs and constants
    int readers;               // number of node inputs that name it
    bool is_input, is_output;  // of the graph
    bool is_binary;            // 0 or 1 by construction (SPEC.md, "A tensor is a mask where"); set by stp_graph_find_masks()
};

enum stp_attr_type {
    STP_ATTR_UNSUPPORTED = 0, // `s` says what it is; stp_graph_check() refuses it
    STP_ATTR_FLOAT = 1, // the numbers are onnx.proto's AttributeProto.AttributeType
    STP_ATTR_INT = 2,
    STP_ATTR_STRING = 3,
    STP_ATTR_TENSOR = 4,
    STP_ATTR_FLOATS = 6,
    STP_ATTR_INTS = 7,
    STP_ATTR_STRINGS = 8,
};

struct stp_attr {
    const char *name;
    enum stp_attr_type type;
    float f;
    int64_t i;
    const char *s;        // NUL-terminated copy
    stp_tensor t;
    size_t count;         // of floats, ints or strings
    const float *floats;
    const int64_t *ints;
    const char *const *strings;
};

struct stp_node {
    const char *name;   // the file's, or its first output's
    const char *type;   // "Conv"
    const char *domain; // "" (also for "ai.onnx") or "stipple"
    int version;        // the file's opset of that domain
    const struct stp_op *op;    // set by stp_graph_check()
    struct stp_value **inputs;  // NULL for an absent optional one
    struct stp_value **outputs; // likewise
    int n_inputs, n_outputs;
    struct stp_attr *attrs;
    int n_attrs;
    const void *params; // the attributes as the operator's check() understood them; arena
    bool is_mask_conv;  // Conv, group 1, kernel larger than 1×1, at most four output channels *in the file* (SPEC.md, Order)
};

struct stp_metadata {
    const char *key, *value;
};

struct stp_graph {
    stp_context *context;
    struct stp_arena arena;
    struct stp_file file;         // unmapped with the graph
    struct stp_file *externals;   // likewise
    int n_externals;
    struct stp_value **values;    // n_values, capacity doubles
    int n_values, cap_values;
    struct stp_node **nodes;      // topological order
    int n_nodes, cap_nodes;
    struct stp_value **inputs, **outputs;
    int n_inputs, n_outputs;
    struct stp_metadata *metadata;
    int n_metadata;
    int opset; // of the default domain; 0 if the file does not import it
    struct stp_names names; // of all values ever added, for stp_graph_unique_name()
    int last_suffix;        // likewise
};

// Empty. NULL when memory is short.
struct stp_graph *stp_graph_create(stp_context *context);

// NULL when memory is short. The name is not copied; it is made unique by the caller.
struct stp_value *stp_graph_add_value(struct stp_graph *graph, const char *name);
// Appends; inputs and outputs have room for the counts, filled by the caller (readers and producer too, or by stp_graph_link()).
struct stp_node *stp_graph_add_node(struct stp_graph *graph, int n_inputs, int n_outputs);
// Recomputes producer and readers of every value from the nodes.
void stp_graph_link(struct stp_graph *graph);
// A fresh value name that no other has: BASE, or BASE_7. Taken once a value of that name is added. NULL when memory is short.
const char *stp_graph_unique_name(struct stp_graph *graph, const char *base);
void stp_graph_destroy(struct stp_graph *graph);

// Element i of a Conv's weights, which belongs to output channel `oc`.
static inline float stp_weight_at(const struct stp_value *w, int64_t oc, int64_t i)
{
    float x = stp_float_at(w->data, i);
    return w->scale ? (float)((double)x * w->scale[oc]) : x;
}

static inline bool stp_value_is_constant(const struct stp_value *value)
{
    return value->data && !value->is_input;
}
// The constant, or the default of a graph input, as a tensor; the data must not be written, and floats may be unaligned where they
// come from the file.
stp_tensor stp_value_tensor(const struct stp_value *value);

// Sorts the nodes topologically (error: cycle, or an input that nothing makes), finds each node's operator (error: all
// unknown ones at once), checks arity and attributes through it, sets every value's dtype. Then the model is known to be one that can run.
stp_status stp_graph_check(struct stp_graph *graph);
// The sorting alone, for passes that add nodes at the end. Nodes that come in a topological order keep it.
stp_status stp_graph_sort(struct stp_graph *graph);

// Attribute access for an operator's check(). A missing attribute gives the default; one of another type is an error.
stp_status stp_attr_int(stp_context *context, const struct stp_node *node, const char *name, int64_t fallback,
                        int64_t *out);
stp_status stp_attr_float(stp_context *context, const struct stp_node *node, const char *name, float fallback, float *out);
stp_status stp_attr_string(stp_context *context, const struct stp_node *node, const char *name, const char *fallback,
                           const char **out);
// *out is NULL and *count 0 where it is missing.
stp_status stp_attr_ints(stp_context *context, const struct stp_node *node, const char *name, const int64_t **out,
                         size_t *count);
// NULL where it is missing.
const struct stp_attr *stp_attr_find(const struct stp_node *node, const char *name);

// stp_fail() with the node's type and name in front: "Conv 'name': …"
stp_status stp_fail_node(stp_context *context, stp_status status, const struct stp_node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
