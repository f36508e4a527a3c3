// SPDX-License-Identifier: Apache-2.0
// Operators of two inputs (Min and Max: of one or more) that work element by element, broadcasting as numpy does.
#ifndef STP_OPS_BINARY_H
#define STP_OPS_BINARY_H

#include "graph/op.h"

enum stp_binary {
    STP_BINARY_ADD,
    STP_BINARY_SUB,
    STP_BINARY_MUL,
    STP_BINARY_DIV,
    STP_BINARY_MIN,
    STP_BINARY_MAX,
    STP_BINARY_AND,
    STP_BINARY_OR,
    STP_BINARY_EQUAL,
    STP_BINARY_GREATER,
    STP_BINARY_LESS,
    STP_BINARY_GREATER_OR_EQUAL,
    STP_BINARY_LESS_OR_EQUAL,
};

// node->params. All inputs have one type; the output has it too, or is bool (And, Or, comparisons).
// Integers wrap around; their division truncates toward zero, and by zero gives 0.
// Min and Max pass NaN on; of two equal values (+0, -0) they give the first.
struct stp_binary_params {
    enum stp_binary kind;
    bool same_shape; // the opset has no numpy broadcasting: the inputs' shapes must be equal
};

#endif
