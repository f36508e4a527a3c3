// SPDX-License-Identifier: Apache-2.0
// References of the operators that move elements and compute nothing.
#include "ops/axis.h"
#include "ops/slice.h"
#include "ref/ref.h"
#include "ref/walk.h"

STP_REF(copy)
{
    (void)node;
    memcpy(out[0].data, in[0]->data, (size_t)stp_tensor_elements(in[0]) * stp_dtype_size(in[0]->dtype));
}

// Bytes of the elements from axis `axis` on: of one piece that lies in one run of memory.
static size_t run_bytes(const stp_tensor *tensor, int axis)
{
    size_t bytes = stp_dtype_size(tensor->dtype);
    for (int d = axis; d < tensor->rank; d++)
        bytes *= (size_t)tensor->dims[d];
    return bytes;
}

static int64_t outer_count(const stp_tensor *tensor, int axis)
{
    int64_t count = 1;
    for (int d = 0; d < axis; d++)
        count *= tensor->dims[d];
    return count;
}

STP_REF(concat)
{
    const struct stp_concat_params *params = node->params;
    int axis = stp_axis_index(params->axis, out[0].rank);
    int64_t outer = outer_count(out, axis);
    size_t row = run_bytes(out, axis), start = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        size_t bytes = run_bytes(in[i], axis);
        for (int64_t o = 0; o < outer; o++)
            memcpy((char *)out[0].data + (size_t)o * row + start, (const char *)in[i]->data + (size_t)o * bytes, bytes);
        start += bytes;
    }
}

STP_REF(split)
{
    const struct stp_split_params *params = node->params;
    int axis = stp_axis_index(params->axis, in[0]->rank);
    int64_t outer = outer_count(in[0], axis);
    size_t row = run_bytes(in[0], axis), start = 0;
    for (int i = 0; i < node->n_outputs; i++) {
        size_t bytes = run_bytes(&out[i], axis);
        for (int64_t o = 0; out[i].data && o < outer; o++)
            memcpy((char *)out[i].data + (size_t)o * bytes, (const char *)in[0]->data + (size_t)o * row + start, bytes);
        start += bytes;
    }
}

STP_REF(slice)
{
    struct stp_slice slice;
    if (stp_slice_resolve(NULL, node, in, &slice) != STP_OK)
        return;
    int64_t strides[STP_MAX_RANK];
    stp_strides(in[0], strides);
    struct stp_walk walk = stp_walk_start(out, NULL, 0);
    walk.n = 1;
    for (int d = 0; d < walk.rank; d++) {
        walk.at[0] += slice.start[d] * strides[d];
        walk.strides[0][d] = slice.step[d] * strides[d];
    }
    size_t size = stp_dtype_size(in[0]->dtype);
    for (int64_t i = 0; i < walk.count; i++, stp_walk_next(&walk))
        memcpy((char *)out[0].data + (size_t)i * size, (const char *)in[0]->data + (size_t)walk.at[0] * size, size);
}
