// SPDX-License-Identifier: Apache-2.0
// Every operator, once: this list drives stp_op_find(), the planner, the reference and the tests.
// A new operator is a line here and a `const struct stp_op stp_op_NAME` in its family's file.
#ifndef STP_OPS_REGISTRY_H
#define STP_OPS_REGISTRY_H

#include "graph/op.h"

// The newest opset of the standard domain whose schemas were read for this list: max_version of an operator that did not
// change since.
#define STP_OPSET_LATEST 28

// One name per line, by family file.
#define STP_OPS(X)                                                                                                     \
    X(Relu)                                                                                                            \
    X(Sigmoid)                                                                                                         \
    X(Not)                                                                                                             \
    X(Identity)                                                                                                        \
    X(Cast)                                                                                                            \
    X(Add)                                                                                                             \
    X(Sub)                                                                                                             \
    X(Mul)                                                                                                             \
    X(Div)                                                                                                             \
    X(Min)                                                                                                             \
    X(Max)                                                                                                             \
    X(And)                                                                                                             \
    X(Or)                                                                                                              \
    X(Equal)                                                                                                           \
    X(Greater)                                                                                                         \
    X(Less)                                                                                                            \
    X(GreaterOrEqual)                                                                                                  \
    X(LessOrEqual)                                                                                                     \
    X(Where)                                                                                                           \
    X(Concat)                                                                                                          \
    X(Slice)                                                                                                           \
    X(Split)                                                                                                           \
    X(Flatten)                                                                                                         \
    X(Reshape)                                                                                                         \
    X(Conv)                                                                                                            \
    X(BatchNormalization)                                                                                              \
    X(MaxPool)                                                                                                         \
    X(AveragePool)                                                                                                     \
    X(GlobalAveragePool)                                                                                               \
    X(Gemm)                                                                                                            \
    X(Sample)                                                                                                          \
    X(Interpolate)

#define STP_OP_DECLARE(name) extern const struct stp_op stp_op_##name;
STP_OPS(STP_OP_DECLARE)
#undef STP_OP_DECLARE

// What a float Mul of which one operand is a mask becomes in every run: Where(mask, x, +0) (SPEC.md). Not found by
// name.
extern const struct stp_op stp_op_MulByMask; // x · mask
extern const struct stp_op stp_op_MaskTimes; // mask · x

#endif
