// SPDX-License-Identifier: Apache-2.0
// Row lists: one per region, with its inverse map, shared by all tensors of the region.
#ifndef STP_SPARSE_LISTS_H
#define STP_SPARSE_LISTS_H

#include "ops/lower.h"

// The rows of a region of the plan's instance; the steps that build its list are added when it is first asked for, so the masks
// it rests on must have been lowered. Region 0: all of `sites`.
struct stp_rows stp_plan_rows(struct stp_plan *plan, int region, int64_t sites);

#endif
