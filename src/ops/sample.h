// SPDX-License-Identifier: Apache-2.0
// stipple.Sample: a random or thresholded mask from logits (SPEC.md).
#ifndef STP_OPS_SAMPLE_H
#define STP_OPS_SAMPLE_H

#include "graph/op.h"

struct stp_sample_params {
    bool stochastic;
    int64_t stream; // 0 … 2^31 − 1, unique in the model
    int64_t grid;   // 0: none
};

#endif
