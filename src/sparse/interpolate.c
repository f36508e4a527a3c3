// SPDX-License-Identifier: Apache-2.0
// Interpolate on the device: cl/interpolate.cl for CPUs, cl/interpolate_group.cl for the rest.
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

struct job {
    const struct stp_node *node;
    const struct stp_tail *tail;
    const struct stp_place *x, *mask, *y;
    struct box box;
    int weights, bias, identity; // slots
    int flags;
};

static void add_inputs(struct stp_step *step, const struct job *job)
{
    const struct stp_interpolate_params *params = job->node->params;
    stp_step_read(step, job->x->slot);
    stp_step_in_rows(step, &job->x->rows);
    stp_step_read(step, job->mask->slot);
    stp_step_read(step, job->weights);
    stp_step_float(step, params->epsilon);
    stp_step_read(step, job->bias);
    stp_step_read(step, job->identity);
}

static void add_size(struct stp_step *step, const struct job *job, int64_t columns)
{
    const int64_t *dims = job->y->dims, *kernel = job->box.weight->dims;
    if (job->flags & IDENTITY_ROWS)
        stp_step_in_place(step, job->y->slot, job->identity);
    const int64_t numbers[8] = {dims[2], dims[3], dims[1], job->mask->rows.sites, job->flags, job->box.top - kernel[0] / 2,
                                job->box.left - kernel[1] / 2, columns};
    stp_step_ints(step, numbers, 8);
}

static void add_shares(struct stp_plan *plan, const struct job *job)
{
    const struct stp_place *y = job->y;
    int vector = stp_worksize_vector(&stp_plan_device(plan)->limits);
    struct stp_passing passing = stp_project_in_passing(plan, job->tail->output);
    int planes = -1;
    if (y->rows.all && (y->dims[0] == 1 || y->dims[2] * y->dims[3] % (2 * vector) == 0))
        planes = stp_plan_output_in_passing(plan, job->tail->output);
    char options[160];
    snprintf(options, sizeof options,
             "-DBOX_H=%lld -DBOX_W=%lld -DALIGNED=%d -DVEC=%d -DWIDE=%d -DCOLUMNS=%d -DPANELS=%d -DFLAGS=%d",
             (long long)job->box.height, (long long)job->box.width, y->dims[1] % vector == 0, vector,
             vector == 8 || passing.tile.width ? 8 : 4, passing.tile.width, passing.tile.panels,
             job->flags | (planes >= 0 ? PLANES : 0));
    struct stp_step *step = stp_plan_step(plan, job->node, "interpolate", options, "interpolate");
    add_inputs(step, job);
    stp_step_read(step, passing.weights);
    stp_step_write(step, y->slot);
    stp_step_write(step, passing.slot);
    stp_step_write(step, planes >= 0 ? planes : stp_plan_temp(plan, 1));
    stp_step_out_rows(step, &y->rows);
    add_size(step, job, passing.columns);
    stp_step_turn(step);
}

static void add_groups(struct stp_plan *plan, const struct job *job)
{
    const struct stp_place *y = job->y;
    int vec = y->dims[1] % 4 == 0 ? 4 : 1;
    struct stp_group_size size = stp_worksize_group(&stp_plan_device(plan)->limits, y->rows.sites, y->dims[1] / vec);
    char options[96];
    snprintf(options, sizeof options, "-DBOX_H=%lld -DBOX_W=%lld -DVEC=%d -DWIDE=%d", (long long)job->box.height,
             (long long)job->box.width, vec, size.wide);
    struct stp_step *step = stp_plan_step(plan, job->node, "interpolate_group", options, "interpolate_group");
    add_inputs(step, job);
    stp_step_write(step, y->slot);
    stp_step_out_rows(step, &y->rows);
    add_size(step, job, 0);
    stp_step_size(step, 2, size.global, size.local);
}

stp_status stp_lower_interpolate(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_tail *tail = stp_plan_tail(plan, node);
    struct job job = {.node = node,
                      .tail = tail,
                      .x = stp_plan_place(plan, node->inputs[0]),
                      .mask = stp_plan_place(plan, node->inputs[1]),
                      .y = stp_plan_place(plan, tail->output),
                      .box = find_box(node->inputs[2])};
    if (!job.y->rows.sites || !job.y->dims[1])
        return STP_OK;
    job.bias = job.identity = stp_plan_zeros(plan, 1);
    if (tail->bias) {
        job.bias = stp_plan_place(plan, tail->bias)->slot;
        job.flags |= HAS_BIAS;
    }
    if (tail->identity) {
        const struct stp_place *place = stp_plan_place(plan, tail->identity);
        job.identity = place->slot;
        job.flags |= HAS_IDENTITY | (place->rows.list == job.y->rows.list ? IDENTITY_ROWS : 0);
    }
    if (tail->relu)
        job.flags |= RELU;
    size_t bytes = (size_t)(job.box.height * job.box.width) * sizeof(float);
    job.weights = stp_plan_constant(plan, node->inputs[2], 1, bytes, pack_box, &job.box);
    if (stp_plan_device(plan)->limits.is_cpu)
        add_shares(plan, &job);
    else
        add_groups(plan, &job);
    return STP_OK;
}
