// SPDX-License-Identifier: Apache-2.0
// Models: an ONNX file, checked, and rewritten by the passes that depend on the file alone.
#ifndef STIPPLE_MODEL_H
#define STIPPLE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stipple/context.h>
#include <stipple/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

// Thread-safety: as its context.
typedef struct stp_model stp_model;

// A graph input or output. Owned by the model.
typedef struct stp_model_port {
    const char *name;
    stp_dtype dtype;
    int rank;                             // -1: not declared
    int64_t dims[STP_MAX_RANK];           // -1: free
    const char *dim_names[STP_MAX_RANK];  // the file's name of a free dimension, or NULL
    bool has_default;                     // inputs: an initializer of the same name stands in when it is not set
    stp_tensor default_value;             // where has_default: that initializer; read only, and data may be unaligned
} stp_model_port;

// Loads and checks the file at `path`. Weights are read where they lie: the file stays mapped until the model is destroyed and must not
// be changed meanwhile. External data is read from the file's folder only.
// Errors: I/O, invalid model, unsupported (all unknown operators at once), out of memory. On failure *out is NULL.
STP_API stp_status stp_model_load_file(stp_model **out, stp_context *context, const char *path);

// The same from memory, which must outlive the model. External data is an error.
STP_API stp_status stp_model_load_memory(stp_model **out, stp_context *context, const void *bytes, size_t size);

// After every session on it. Accepts NULL and a pointer to NULL.
STP_API void stp_model_destroy(stp_model **model);

STP_API size_t stp_model_input_count(const stp_model *model);
STP_API size_t stp_model_output_count(const stp_model *model);
// NULL beyond the end.
STP_API const stp_model_port *stp_model_input(const stp_model *model, size_t index);
STP_API const stp_model_port *stp_model_output(const stp_model *model, size_t index);

// The value of a key of the file's metadata_props, or NULL. Owned by the model.
STP_API const char *stp_model_metadata(const stp_model *model, const char *key);

// A node of the model after rewriting, for people to look at.
typedef struct stp_model_node {
    const char *name;   // the file's, or the first output's
    const char *op;     // "Conv" …
    const char *domain; // "" for the standard operators
    int64_t parameters; // elements of its constant inputs
    const char *region; // the sites of its output that anybody reads: "all", "list(MASK)", "need(list(MASK), 3x3)"
    const char *reason; // why, in a clause; region and reason are found for the declared sizes, 256 for a free height or width,
                        // 1 for any other free dimension; NULL if the model cannot be run at those
} stp_model_node;
STP_API size_t stp_model_node_count(const stp_model *model);
// Fills *out; false beyond the end. Strings are owned by the model.
STP_API bool stp_model_node_get(const stp_model *model, size_t index, stp_model_node *out);

#ifdef __cplusplus
}
#endif
#endif
