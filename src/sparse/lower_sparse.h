// SPDX-License-Identifier: Apache-2.0
// The lowering of the operators that work on rows: `lower` entries of the registry.
#ifndef STP_SPARSE_LOWER_H
#define STP_SPARSE_LOWER_H

#include "device/worksize.h"
#include "ops/lower.h"

stp_status stp_lower_conv(struct stp_plan *plan, const struct stp_node *node);
stp_status stp_lower_sample(struct stp_plan *plan, const struct stp_node *node);
stp_status stp_lower_interpolate(struct stp_plan *plan, const struct stp_node *node);

// The first half of the mask convolutions that read a value, for the kernel that computes it to take along while a row is warm.
struct stp_passing {
    struct stp_projection_tile tile; // width 0: nothing to take along
    int weights, slot;               // as cl/interpolate.cl's `project` and `part`
    int64_t columns;
};
struct stp_passing stp_project_in_passing(struct stp_plan *plan, const struct stp_value *x);

#endif
