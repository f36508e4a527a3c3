// SPDX-License-Identifier: Apache-2.0
#include "ref/walk.h"

void stp_strides(const stp_tensor *tensor, int64_t *strides)
{
    int64_t step = 1;
    for (int d = tensor->rank - 1; d >= 0; d--) {
        strides[d] = step;
        step *= tensor->dims[d];
    }
}

struct stp_walk stp_walk_start(const stp_tensor *out, const stp_tensor *const *operands, int n)
{
    struct stp_walk walk = {.rank = out->rank, .n = n, .count = stp_tensor_elements(out)};
    memcpy(walk.dims, out->dims, sizeof walk.dims);
    for (int i = 0; i < n; i++) {
        const stp_tensor *t = operands[i];
        int64_t strides[STP_MAX_RANK];
        stp_strides(t, strides);
        for (int d = 0; d < t->rank; d++)
            if (t->dims[d] != 1)
                walk.strides[i][out->rank - t->rank + d] = strides[d];
    }
    return walk;
}
