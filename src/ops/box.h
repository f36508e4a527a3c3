// SPDX-License-Identifier: Apache-2.0
// One step that computes or moves element by element over a box of indices (cl/box.cl): what all element-wise and shape
// operators are lowered to.
#ifndef STP_OPS_BOX_H
#define STP_OPS_BOX_H

#include "ops/lower.h"

// The numbers of cl/box.cl.
enum stp_box_function {
    STP_BOX_COPY,
    STP_BOX_SELECT, // third ≠ 0 ? first : second
    STP_BOX_CAST,
    STP_BOX_ADD,
    STP_BOX_SUB,
    STP_BOX_MUL,
    STP_BOX_DIV,
    STP_BOX_MIN,
    STP_BOX_MAX,
    STP_BOX_FMA,
    STP_BOX_RELU,
    STP_BOX_SIGMOID,
    STP_BOX_AND,
    STP_BOX_OR,
    STP_BOX_NOT,
    STP_BOX_EQUAL,
    STP_BOX_GREATER,
    STP_BOX_LESS,
    STP_BOX_GREATER_OR_EQUAL,
    STP_BOX_LESS_OR_EQUAL,
};

struct stp_box_operand {
    const struct stp_place *place;
    int slot;                      // the place's, or a temporary one of the same layout
    int64_t start;                 // elements in storage order; 0 for the second and third operand
    int64_t strides[STP_MAX_RANK]; // per axis of the box; 0 where it is broadcast
};

struct stp_box {
    enum stp_box_function function;
    int rank;
    int64_t dims[STP_MAX_RANK]; // logical axes; of rank 4 they are sites and channels
    int n;                      // operands; the first two are of one type
    struct stp_box_operand in[3], out;
};

// The whole of `out`.
struct stp_box stp_box_of(const struct stp_place *out, enum stp_box_function function);
// Adds an operand that broadcasts to the box.
struct stp_box_operand *stp_box_operand(struct stp_box *box, const struct stp_place *place);
// Adds the step, unless the box is empty. Rows: the output's and each operand's are the same list, or the operand has all sites; the
// first operand of a SELECT alone may have another list, which then holds every site where it is taken.
stp_status stp_box_lower(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box);

// The node's output is its input: another name for the same bytes, or a copy where it lies in other rows.
stp_status stp_lower_same(struct stp_plan *plan, const struct stp_node *node);

// Strides of a place's storage, per logical axis.
void stp_place_strides(const struct stp_place *place, int64_t *strides);

#endif
