// SPDX-License-Identifier: Apache-2.0
// Interpolate on the device (cl/interpolate.cl).
#include <stdio.h>

#include "device/worksize.h"
#include "ops/interpolate.h"
#include "ops/tail.h"
#include "sparse/lower_sparse.h"

// Bits of the kernel's flags
enum { HAS_BIAS = 1, HAS_IDENTITY = 2, IDENTITY_ROWS = 4, RELU = 8, PLANES = 16 };

// The smallest box that holds all taps whose weight is not 0: one that is 0 is not read (stp_graph_drop_taps() leaves those).
struct box {
    const struct stp_value *weight; // [kH][kW]
    int64_t top, left, height, width;
};

static struct box find_box(const struct stp_value *weight)
{
    int64_t w = weight->dims[1], top = INT64_MAX, left = INT64_MAX, bottom = -1, right = -1;
    for (int64_t i = 0; i < weight->dims[0] * w; i++)
        if (stp_float_at(weight->data, i) != 0) {
            top = stp_min64(top, i / w);
            left = stp_min64(left, i % w);
            bottom = stp_max64(bottom, i / w);
            right = stp_max64(right, i % w);
        }
    if (bottom < 0)
        return (struct box){.weight = weight, .height = 1, .width = 1};
    return (struct box){weight, top, left, bottom - top + 1, right - left + 1};
}

static void pack_box(void *destination, const void *user)
{
    const struct box *box = user;
    float *to = destination;
    for (int64_t y = 0; y < box->height; y++)
        for (int64_t x = 0; x < box->width; x++)
            *to++ = stp_float_at(box->weight->data, (box->top + y) * box->weight->dims[1] + box->left + x);
}

stp_status stp_lower_interpolate(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_interpolate_params *params = node->params;
    const struct stp_tail *tail = stp_plan_tail(plan, node);
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *mask = stp_plan_place(plan, node->inputs[1]);
    const struct stp_place *y = stp_plan_place(plan, tail->output);
    const struct stp_value *weight = node->inputs[2];
    struct box box = find_box(weight);
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
    int weights = stp_plan_constant(plan, weight, 1, (size_t)(box.height * box.width) * sizeof(float), pack_box, &box);
    int vector = stp_worksize_vector(&stp_plan_device(plan)->limits);
    struct stp_passing passing = stp_project_in_passing(plan, tail->output);
    int planes = -1;
    if (passing.tile.width && y->rows.all && (y->dims[0] == 1 || y->dims[2] * y->dims[3] % vector == 0))
        planes = stp_plan_output_in_passing(plan, tail->output);
    if (planes >= 0)
        flags |= PLANES;
    char options[160];
    snprintf(options, sizeof options,
             "-DBOX_H=%lld -DBOX_W=%lld -DALIGNED=%d -DVEC=%d -DWIDE=%d -DCOLUMNS=%d -DPANELS=%d",
             (long long)box.height, (long long)box.width, y->dims[1] % vector == 0, vector,
             vector == 8 || passing.tile.width ? 8 : 4, passing.tile.width, passing.tile.panels);

    struct stp_step *step = stp_plan_step(plan, node, "interpolate", options, "interpolate");
    stp_step_read(step, x->slot);
    stp_step_in_rows(step, &x->rows);
    stp_step_read(step, mask->slot);
    stp_step_read(step, weights);
    stp_step_float(step, params->epsilon);
    stp_step_read(step, bias);
    stp_step_read(step, identity);
    stp_step_read(step, passing.weights);
    stp_step_write(step, y->slot);
    stp_step_write(step, passing.slot);
    stp_step_write(step, planes >= 0 ? planes : stp_plan_temp(plan, 1));
    stp_step_out_rows(step, &y->rows);
    if (flags & IDENTITY_ROWS)
        stp_step_in_place(step, y->slot, identity);
    const int64_t numbers[8] = {y->dims[2],
                                y->dims[3],
                                y->dims[1],
                                mask->rows.sites,
                                flags,
                                box.top - weight->dims[0] / 2,
                                box.left - weight->dims[1] / 2,
                                passing.columns};
    stp_step_ints(step, numbers, 8);
    stp_step_stride(step, y->rows.sites);
    return STP_OK;
}
