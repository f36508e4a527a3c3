// SPDX-License-Identifier: Apache-2.0
// From an ONNX file to a graph: reading only, checked against the file itself. stp_graph_check() then holds it against the operators.
#ifndef STP_ONNX_LOAD_H
#define STP_ONNX_LOAD_H

#include "graph/graph.h"

// Maps the file; weights are read where they lie, so it stays mapped until stp_graph_destroy(*out). Model-local functions are inlined,
// those of the domain `stipple` aside. On failure *out is NULL.
stp_status stp_onnx_load(struct stp_graph **out, stp_context *context, const char *path);
// The same from memory, which must outlive the graph. External data is an error.
stp_status stp_onnx_load_memory(struct stp_graph **out, stp_context *context, const void *bytes, size_t size);

#endif
