// SPDX-License-Identifier: Apache-2.0
// Interpolate on the device (cl/interpolate.cl).
#include <stdio.h>

#include "device/worksize.h"
#include "ops/interpolate.h"
#include "ops/tail.h"
#include "sparse/lower_sparse.h"

// Bits of the kernel's flags
enum { HAS_BIAS = 1, HAS_IDENTITY = 2, IDENTITY_ROWS = 4, RELU = 8 };

// The taps with a weight other than 0, in raster order. One that is 0 is not read: stp_graph_drop_taps() leaves those.
static void pack_offsets(void *destination, const void *user)
{
    const struct stp_value *w = user;
    int32_t *to = destination;
    for (int64_t i = 0; i < w->dims[0] * w->dims[1]; i++)
        if (stp_float_at(w->data, i) != 0) {
            *to++ = (int32_t)(i / w->dims[1] - w->dims[0] / 2);
            *to++ = (int32_t)(i % w->dims[1] - w->dims[1] / 2);
        }
}

static void pack_weights(void *destination, const void *user)
{
    const struct stp_value *w = user;
    float *to = destination;
    for (int64_t i = 0; i < w->dims[0] * w->dims[1]; i++)
        if (stp_float_at(w->data, i) != 0)
            *to++ = stp_float_at(w->data, i);
}

stp_status stp_lower_interpolate(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_interpolate_params *params = node->params;
    const struct stp_tail *tail = stp_plan_tail(plan, node);
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *mask = stp_plan_place(plan, node->inputs[1]);
    const struct stp_place *y = stp_plan_place(plan, tail->output);
    const struct stp_value *weight = node->inputs[2];
    int64_t taps = stp_interpolate_kept_taps(node), some = taps ? taps : 1;
    if (!y->rows.sites || !y->dims[1])
        return STP_OK;
    int flags = 0, bias = stp_plan_zeros(plan, 1), identity = bias;
    if (tail->bias) {
        bias = stp_plan_place(plan, tail->bias)->slot;
        flags |= HAS_BIAS;
    }
    if (tail->identity) {
        const struct stp_place *place = stp_plan_place(plan, tail->identity);
        identity = place->slot;
        flags |= HAS_IDENTITY | (place->rows.list == y->rows.list ? IDENTITY_ROWS : 0);
    }
    if (tail->relu)
        flags |= RELU;
    int offsets = stp_plan_constant(plan, weight, 1, (size_t)some * 2 * sizeof(int32_t), pack_offsets, weight);
    int weights = stp_plan_constant(plan, weight, 2, (size_t)some * sizeof(float), pack_weights, weight);
    char options[96];
    snprintf(options, sizeof options, "-DTAPS=%lld -DVEC=%d", (long long)some,
             stp_worksize_vector(&stp_plan_device(plan)->limits));

    struct stp_step *step = stp_plan_step(plan, node, "interpolate", options, "interpolate");
    stp_step_read(step, x->slot);
    stp_step_in_rows(step, &x->rows);
    stp_step_read(step, mask->slot);
    stp_step_read(step, offsets);
    stp_step_read(step, weights);
    stp_step_float(step, params->epsilon);
    stp_step_read(step, bias);
    stp_step_read(step, identity);
    stp_step_write(step, y->slot);
    stp_step_out_rows(step, &y->rows);
    if (flags & IDENTITY_ROWS)
        stp_step_in_place(step, y->slot, identity);
    const int64_t numbers[8] = {y->dims[2], y->dims[3], y->dims[1], mask->rows.sites, flags};
    stp_step_ints(step, numbers, 8);
    stp_step_stride(step, y->rows.sites);
    return STP_OK;
}
