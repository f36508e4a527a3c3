// SPDX-License-Identifier: Apache-2.0
// Concat and Split: tensors joined and cut along one axis.
#ifndef STP_OPS_AXIS_H
#define STP_OPS_AXIS_H

#include "graph/op.h"

struct stp_concat_params {
    int64_t axis; // may count from the back
};

struct stp_split_params {
    int64_t axis;         // may count from the back
    const int64_t *sizes; // of the outputs, or NULL: from input 1, or equal parts
    bool last_smaller;    // equal parts of ⌈size / n⌉, the last one what is left (opset 18); else the size must divide
};

// The axis counted from the front. The node has passed its shape rule.
static inline int stp_axis_index(int64_t axis, int rank)
{
    return (int)(axis < 0 ? axis + rank : axis);
}

#endif
