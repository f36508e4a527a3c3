// SPDX-License-Identifier: Apache-2.0
// Broadcasting in one place: walking over the elements of an output in row-major order, with the position of the element
// of each operand that belongs to it.
#ifndef STP_REF_WALK_H
#define STP_REF_WALK_H

#include "base/base.h"

enum { STP_WALK_OPERANDS = 3 };

struct stp_walk {
    int rank, n;
    int64_t dims[STP_MAX_RANK], index[STP_MAX_RANK];
    int64_t strides[STP_WALK_OPERANDS][STP_MAX_RANK]; // in elements; 0 where an operand is broadcast
    int64_t at[STP_WALK_OPERANDS];                    // the operands' elements now
    int64_t count;                                    // elements of the output
};

// Row-major strides of `tensor`, in elements.
void stp_strides(const stp_tensor *tensor, int64_t *strides);

// Starts at the first element of `out`, to which the n operands broadcast.
struct stp_walk stp_walk_start(const stp_tensor *out, const stp_tensor *const *operands, int n);

// Goes on to the next element.
static inline void stp_walk_next(struct stp_walk *walk)
{
    for (int d = walk->rank - 1; d >= 0; d--) {
        for (int i = 0; i < walk->n; i++)
            walk->at[i] += walk->strides[i][d];
        if (++walk->index[d] < walk->dims[d])
            return;
        walk->index[d] = 0;
        for (int i = 0; i < walk->n; i++)
            walk->at[i] -= walk->strides[i][d] * walk->dims[d];
    }
}

#endif
