// SPDX-License-Identifier: Apache-2.0
// Slice: a strided part of a tensor.
#ifndef STP_OPS_SLICE_H
#define STP_OPS_SLICE_H

#include "graph/op.h"

// node->params. Below opset 10 the attributes; from it on the inputs say it all and n is -1.
struct stp_slice_params {
    int n;                // of starts, ends and axes, or -1
    const int64_t *starts, *ends;
    const int64_t *axes;  // NULL: the first n
};

// What Slice does to each axis of its input: element i of the output is element start + i·step.
struct stp_slice {
    int64_t start[STP_MAX_RANK];
    int64_t step[STP_MAX_RANK]; // never 0; |step| is at most the axis' size (or 1)
    int64_t count[STP_MAX_RANK];
};

// The inputs of `in` from 1 on must be known on the host. Cannot fail once the node has passed its shape rule.
stp_status stp_slice_resolve(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                             struct stp_slice *out);

#endif
