// SPDX-License-Identifier: Apache-2.0
// stipple.Interpolate: features at unsampled sites from the sampled ones around them (SPEC.md).
#ifndef STP_OPS_INTERPOLATE_H
#define STP_OPS_INTERPOLATE_H

#include "graph/op.h"

struct stp_interpolate_params {
    float epsilon;
};

// Taps whose weight is not 0. One of weight 0 is never read: such taps were dropped (stp_graph_drop_taps()) or say nothing.
int64_t stp_interpolate_kept_taps(const struct stp_node *node);

#endif
