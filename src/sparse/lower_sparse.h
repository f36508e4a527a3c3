// SPDX-License-Identifier: Apache-2.0
// The lowering of the operators that work on rows: `lower` entries of the registry.
#ifndef STP_SPARSE_LOWER_H
#define STP_SPARSE_LOWER_H

#include "ops/lower.h"

stp_status stp_lower_conv(struct stp_plan *plan, const struct stp_node *node);
stp_status stp_lower_sample(struct stp_plan *plan, const struct stp_node *node);
stp_status stp_lower_interpolate(struct stp_plan *plan, const struct stp_node *node);

#endif
