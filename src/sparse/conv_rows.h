// SPDX-License-Identifier: Apache-2.0
// Convolution over rows as a step of a plan, for those that build on it.
#ifndef STP_SPARSE_CONV_ROWS_H
#define STP_SPARSE_CONV_ROWS_H

#include "device/worksize.h"
#include "graph/instance.h"
#include "ops/conv.h"
#include "ops/lower.h"

// Bits of the kernels' flags
enum {
    STP_CONV_SAME_ROWS = 1,
    STP_CONV_HAS_BIAS = 2,
    STP_CONV_HAS_IDENTITY = 4,
    STP_CONV_IDENTITY_ROWS = 8,
    STP_CONV_RELU = 16,
    STP_CONV_SAMPLE = 32 // mask convolutions only
};

struct stp_conv_job {
    const struct stp_node *node;
    struct stp_window window;
    const struct stp_place *x, *y;
    int64_t groups, icg, ocg;
    int flags;
    int bias, identity; // slots
};

// The kernel that computes a job by a choice other than Winograd, and the columns for which its weights are packed.
struct stp_conv_variant {
    const char *kernel;
    char options[128];
    int64_t columns;
    int block;                  // of conv_rows: row tiles that are taken together
    size_t global[2], local[2]; // of conv_tile
};

struct stp_conv_variant stp_conv_variant(const struct stp_conv_choice *choice, const struct stp_conv_shape *shape);

// How many of these rows are expected to be there: of a list, a third.
int64_t stp_conv_expected(const struct stp_rows *rows);

// The step itself: from job->x's rows to y's in the slot `out`, with `weights` packed for the variant.
void stp_conv_add(struct stp_plan *plan, const struct stp_conv_job *job, const struct stp_conv_variant *variant, int weights,
                  int out, const struct stp_place *y);

// A mask convolution (SPEC.md): a pointwise convolution to (output channel, tap) columns, then a sum over taps. sparse/mask_conv.c
void stp_lower_mask_conv(struct stp_plan *plan, const struct stp_conv_job *job);

#endif
