// SPDX-License-Identifier: Apache-2.0
// What tuning tries: pure functions of a device's limits and a shape.
#ifndef STP_TUNE_CANDIDATES_H
#define STP_TUNE_CANDIDATES_H

#include "device/worksize.h"

enum { STP_MOST_CANDIDATES = 96 };

struct stp_candidates {
    struct stp_conv_choice items[STP_MOST_CANDIDATES];
    size_t count;
};

// A few of every kind that fit, the likeliest first; without `all`, none that an estimate gives no chance.
void stp_candidates_core(struct stp_candidates *out, const struct stp_limits *limits, const struct stp_conv_shape *shape, bool all);
// What differs from `choice` by one step in one number.
void stp_candidates_near(struct stp_candidates *out, const struct stp_limits *limits, const struct stp_conv_shape *shape,
                         const struct stp_conv_choice *choice, bool all);
bool stp_same_choice(const struct stp_conv_choice *a, const struct stp_conv_choice *b);

// Time of a choice relative to one that loses nothing, by what bounds it: loads per fma, registers, results computed in vain, work-groups.
double stp_candidates_estimate(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_conv_choice *choice);

#endif
