// SPDX-License-Identifier: Apache-2.0
// What a convolution or an interpolation computes on its result before storing it, in the file's order, each rounded:
// + bias, + identity, Relu or Sample. The nodes it stands for run with it; the reference runs them one by one and gets the same bits.
#ifndef STP_OPS_TAIL_H
#define STP_OPS_TAIL_H

#include "graph/graph.h"

struct stp_plan;

struct stp_tail {
    const struct stp_value *output;   // of the last node; the anchor's own output if there is no tail
    const struct stp_value *bias;     // constant, one number per channel, or NULL
    const struct stp_value *identity; // of the output's shape, or NULL
    bool relu;
    const struct stp_node *sample;    // of a mask convolution, or NULL
    int last;                         // position of the last node: where the whole is computed
    bool swallowed;                   // this node runs as part of another's tail …
    int anchor;                       // … of the one at this position
};

// The tail of a node that is its anchor.
const struct stp_tail *stp_plan_tail(struct stp_plan *plan, const struct stp_node *node);
// Finds all tails of the plan (fuse.c).
void stp_plan_find_tails(struct stp_plan *plan);

#endif
