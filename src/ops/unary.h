// SPDX-License-Identifier: Apache-2.0
// Operators of one input that work element by element.
#ifndef STP_OPS_UNARY_H
#define STP_OPS_UNARY_H

#include "graph/op.h"

enum stp_unary {
    STP_UNARY_RELU,
    STP_UNARY_SIGMOID,
    STP_UNARY_NOT,
    STP_UNARY_IDENTITY,
    STP_UNARY_CAST,
};

// node->params. The types are those of the node's input and output.
struct stp_unary_params {
    enum stp_unary kind;
};

#endif
