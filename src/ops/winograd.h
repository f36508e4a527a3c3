// SPDX-License-Identifier: Apache-2.0
// A 3×3 convolution by Winograd's minimal filtering F(4×4, 3×3): 36 multiplications for 16 outputs instead of 144, in another order.
#ifndef STP_OPS_WINOGRAD_H
#define STP_OPS_WINOGRAD_H

#include "sparse/conv_rows.h"

// The tiles of 4×4 outputs if the job may be done so on this device; else 0.
int64_t stp_winograd_tiles(struct stp_plan *plan, const struct stp_conv_job *job);
// The steps, tail included. Only where it suits; `weights` packed for the tile's columns as those of conv_rows.
void stp_winograd_add(struct stp_plan *plan, const struct stp_conv_job *job, const struct stp_tile *tile, int weights);

#endif
