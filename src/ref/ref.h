// SPDX-License-Identifier: Apache-2.0
// The references of the operators, in plain C. What they give is what the
// kernels must give, bit for bit. Signature and contract: struct stp_op, `ref`.
#ifndef STP_REF_REF_H
#define STP_REF_REF_H

#include "graph/graph.h"

#define STP_REF(name) void stp_ref_##name(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)

STP_REF(unary);  // Relu, Sigmoid, Not, Cast
STP_REF(binary); // Add … LessOrEqual
STP_REF(where);
// Mul by a mask, a number that is 0 or 1: Where(mask, x, +0).
STP_REF(mul_by_mask); // x · mask
STP_REF(mask_times);  // mask · x

STP_REF(conv);
STP_REF(batchnorm);
STP_REF(max_pool);
STP_REF(average_pool);
STP_REF(global_average_pool);
STP_REF(gemm);
STP_REF(sample);
STP_REF(interpolate);

STP_REF(concat);
STP_REF(split);
STP_REF(slice);
STP_REF(copy); // Identity, Reshape, Flatten

#endif
