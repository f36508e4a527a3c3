// SPDX-License-Identifier: Apache-2.0
// Writes ONNX messages into memory, for models that are made and not read. Field numbers are those of onnx.proto. The first failure,
// short memory, sticks, and nothing is written after it: whoever takes the outermost message's bytes looks at `failed`.
#ifndef STP_ONNX_WRITE_H
#define STP_ONNX_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stp_message {
    unsigned char *bytes; // free()
    size_t size, capacity;
    bool failed;
};

void stp_put_raw(struct stp_message *m, const void *bytes, size_t size);
void stp_put_varint(struct stp_message *m, uint64_t value);

// One field.
void stp_put_int(struct stp_message *m, uint32_t field, int64_t value);
void stp_put_float(struct stp_message *m, uint32_t field, float value);
void stp_put_bytes(struct stp_message *m, uint32_t field, const void *bytes, size_t size);
void stp_put_string(struct stp_message *m, uint32_t field, const char *text);
// Takes `inner` over: it is empty afterwards.
void stp_put_message(struct stp_message *m, uint32_t field, struct stp_message *inner);
// A text field per word of `words`; "-" stands for an empty one.
void stp_put_words(struct stp_message *m, uint32_t field, const char *words);

// Fields that those who make models need. onnx.proto
enum {
    STP_MODEL_IMPORT = 8,
    STP_GRAPH_NODE = 1,
    STP_GRAPH_NAME = 2,
    STP_GRAPH_CONSTANT = 5,
    STP_GRAPH_INPUT = 11,
    STP_GRAPH_OUTPUT = 12,
    STP_NODE_ATTRIBUTE = 5,
    STP_ATTRIBUTE_INT = 3,
    STP_ATTRIBUTE_INTS = 8,
    STP_TENSOR_RAW = 9,
    STP_ONNX_FLOAT = 1, // a tensor's type
    STP_ONNX_INT = 2,   // types of attributes
    STP_ONNX_INTS = 7,
};

// Of a graph: a node without attributes whose output is its name, and Conv with a square stride; pads as ONNX has them: y, x at the beginning,
// y, x at the end.
void stp_put_node(struct stp_message *graph, const char *type, const char *inputs, const char *output);
void stp_put_conv(struct stp_message *graph, const char *inputs, const char *output, const int64_t pads[4], int64_t stride, int64_t groups);
// A constant of pseudo-random floats, −scale … scale, the same for the same seed.
void stp_put_noise(struct stp_message *graph, const char *name, size_t rank, const int64_t *dims, float scale, uint32_t seed);
void stp_fill_noise(float *floats, int64_t count, float scale, uint32_t seed);

// TensorProto without its data; `name` may be NULL.
struct stp_message stp_tensor_message(const char *name, int data_type, size_t rank, const int64_t *dims);
// NodeProto without attributes; inputs and outputs are words.
struct stp_message stp_node_message(const char *type, const char *domain, const char *name, const char *inputs, const char *outputs);
// AttributeProto without its value.
struct stp_message stp_attr_message(const char *name, int type);
// An input or output of a graph, a ValueInfoProto; rank −1: no shape. dims: −1 is free and gets the name "N", "N1" … of its position.
void stp_put_port(struct stp_message *graph, uint32_t field, const char *name, int data_type, int rank, const int64_t *dims);
void stp_put_import(struct stp_message *m, uint32_t field, const char *domain, int64_t version);
// ModelProto: IR version and graph; takes `graph` over.
struct stp_message stp_model_message(struct stp_message *graph, int64_t ir_version);
// The same of a graph that has no name yet, with the operators that nodes without a domain, and those of ours, are of.
struct stp_message stp_finish_model(struct stp_message *graph, const char *name);

#endif
