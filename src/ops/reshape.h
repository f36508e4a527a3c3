// SPDX-License-Identifier: Apache-2.0
// Reshape and Flatten: the same elements under another shape.
#ifndef STP_OPS_RESHAPE_H
#define STP_OPS_RESHAPE_H

#include "graph/op.h"

struct stp_reshape_params {
    bool allow_zero; // a 0 in the shape is a size, not "as the input's"
};

struct stp_flatten_params {
    int64_t axis; // may count from the back; the output is (sizes before it) × (sizes from it on)
};

#endif
