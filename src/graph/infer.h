// SPDX-License-Identifier: Apache-2.0
// Shapes of all values at concrete input sizes, and the values themselves where they are known on the host.
#ifndef STP_GRAPH_INFER_H
#define STP_GRAPH_INFER_H

#include "graph/graph.h"

// Larger values are never evaluated in shape inference: what reaches a shape position is a handful of integers.
enum { STP_HOST_ELEMENTS = 1 << 12 };

// Fills out[value->id] for every value: dtype, rank, dims, and `data` (aligned, in `arena` or the caller's or the graph's)
// where it is known on the host and has at most STP_HOST_ELEMENTS elements: constants, inputs given with data, and what
// operators with `on_host` make of those (float results only up to rank 2, as shape arithmetic has them).
// `inputs`: one per graph input. With dtype STP_DTYPE_NONE the input's default stands in. `data` may be NULL; it must
// outlive `out`.
// Errors: invalid argument (an input that does not fit its declaration), those of the shape rules, sizes that overflow.
stp_status stp_graph_infer(const struct stp_graph *graph, struct stp_arena *arena, const stp_tensor *inputs,
                           stp_tensor *out);

// The node's shape rule, and a check that no size overflows. in[i] is NULL for an absent input.
stp_status stp_node_shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                          stp_tensor *out);

// Bytes of a tensor whose size does not overflow.
static inline size_t stp_tensor_bytes(const stp_tensor *tensor)
{
    return (size_t)stp_tensor_elements(tensor) * stp_dtype_size(tensor->dtype);
}

static inline bool stp_tensor_is_aligned(const stp_tensor *tensor)
{
    return (uintptr_t)tensor->data % stp_dtype_size(tensor->dtype) == 0;
}

// The largest number of inputs and of outputs of a node.
void stp_graph_widest(const struct stp_graph *graph, int *inputs, int *outputs);

#endif
