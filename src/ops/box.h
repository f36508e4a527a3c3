// SPDX-License-Identifier: Apache-2.0
// One step that computes or moves element by element over a box of indices (cl/box.cl): what all element-wise and shape
// operators are lowered to.
#ifndef STP_OPS_BOX_H
#define STP_OPS_BOX_H

#include "ops/lower.h"

struct stp_box_operand {
    const struct stp_place *place;
    int slot;                      // the place's, or a temporary one of the same layout
    bool moved;                    // its elements are moved and nothing else, whatever they hold
    int64_t start;                 // elements in storage order
    int64_t strides[STP_MAX_RANK]; // per axis of the box; 0 where it is broadcast
};

struct stp_box {
    const char *function; // a macro of cl/box.cl
    int rank;
    int64_t dims[STP_MAX_RANK]; // logical axes; of rank 4 they are sites and channels
    int n;                      // operands
    struct stp_box_operand in[3], out;
};

// The whole of `out`.
struct stp_box stp_box_of(const struct stp_place *out, const char *function);
// Adds an operand that broadcasts to the box.
struct stp_box_operand *stp_box_operand(struct stp_box *box, const struct stp_place *place);
// Adds the step, unless the box is empty. Rows: the output's and each operand's are the same list, or the operand has all sites; the
// first operand alone may have another list, where `function` is a SELECT that takes it only at listed sites.
stp_status stp_box_lower(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box);

// The node's output is its input: another name for the same bytes, or a copy where it lies in other rows.
stp_status stp_lower_same(struct stp_plan *plan, const struct stp_node *node);

// Strides of a place's storage, per logical axis.
void stp_place_strides(const struct stp_place *place, int64_t *strides);

#endif
