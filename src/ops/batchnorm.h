// SPDX-License-Identifier: Apache-2.0
// BatchNormalization of inference: y = fma(x, scale, shift) per channel, both folded from the four parameters when the file is loaded.
#ifndef STP_OPS_BATCHNORM_H
#define STP_OPS_BATCHNORM_H

#include "graph/op.h"

struct stp_batchnorm_params {
    int64_t channels;
    float epsilon;
    const float *scale; // scale/√(var + ε), in double, rounded once
    const float *shift; // bias − mean · scale/√(var + ε), in double, rounded once
};

// scale/√(var + ε) of channel c, in double. The node has passed its check.
double stp_batchnorm_scale(const struct stp_node *node, int64_t c);

#endif
