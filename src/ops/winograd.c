// SPDX-License-Identifier: Apache-2.0
#include "ops/winograd.h"

#include <stdio.h>

// Numbers per tile and channel.
enum { POINTS = 36, OUTPUT = 4 };

static int64_t tiles_along(const struct stp_conv_job *job, int axis)
{
    return stp_div_up(job->y->dims[2 + axis], OUTPUT);
}

static int64_t count_tiles(const struct stp_conv_job *job)
{
    return job->x->dims[0] * tiles_along(job, 0) * tiles_along(job, 1);
}

int64_t stp_winograd_tiles(struct stp_plan *plan, const struct stp_conv_job *job)
{
    const struct stp_window *w = &job->window;
    for (int a = 0; a < 2; a++)
        if (w->kernel[a] != 3 || w->stride[a] != 1 || w->dilation[a] != 1)
            return 0;
    const bool may = stp_plan_device(plan)->limits.is_cpu && job->groups == 1 && stp_plan_may_reorder(plan, job->node);
    return may ? count_tiles(job) : 0;
}

void stp_winograd_add(struct stp_plan *plan, const struct stp_conv_job *job, const struct stp_tile *tile, int weights)
{
    const int64_t ic = job->icg, oc = job->ocg, tiles_y = tiles_along(job, 0), tiles_x = tiles_along(job, 1);
    const int64_t tiles = count_tiles(job), batch = stp_worksize_winograd_batch(tile, ic, oc, tiles);
    const size_t point = (size_t)ic * sizeof(float) * POINTS, columns = (size_t)(tile->vec * tile->vecs);
    const size_t groups = stp_worksize_turns(&stp_plan_device(plan)->limits), panels = (size_t)oc / columns;
    const bool made = panels <= groups; // all panels' weights in a step of their own, rather than by each group that comes to one
    int inputs = stp_plan_temp(plan, (size_t)batch * point);
    int transformed = stp_plan_temp(plan, (made ? panels : groups) * columns * point);
    int zeros = stp_plan_zeros(plan, (size_t)ic);
    char options[96];
    snprintf(options, sizeof options, "-DTILE_M=%d -DVEC=%d -DVECS=%d", tile->rows, tile->vec, tile->vecs);
    if (made) {
        struct stp_step *step = stp_plan_step(plan, job->node, "winograd", options, "winograd_weights");
        stp_step_read(step, weights);
        stp_step_write(step, transformed);
        stp_step_int(step, stp_plan_i32(plan, job->node, ic));
        stp_step_int(step, (int32_t)panels);
        stp_step_turn(step);
    }
    for (int64_t first = 0; first < tiles; first += batch) {
        const int64_t count = stp_min64(batch, tiles - first);
        struct stp_step *step = stp_plan_step(plan, job->node, "winograd", options, "winograd_input");
        stp_step_read(step, job->x->slot);
        stp_step_read(step, zeros);
        stp_step_write(step, inputs);
        const int64_t in[8] = {job->x->dims[2], job->x->dims[3], tiles_y, tiles_x, job->window.pad[0], job->window.pad[1], ic, 0};
        stp_step_int(step, stp_plan_i32(plan, job->node, first));
        stp_step_int(step, stp_plan_i32(plan, job->node, count));
        stp_step_ints(step, in, 8);
        stp_step_turn(step);

        step = stp_plan_step(plan, job->node, "winograd", options, "winograd_output");
        stp_step_read(step, inputs);
        stp_step_read(step, weights);
        stp_step_write(step, transformed);
        stp_step_read(step, job->bias);
        stp_step_read(step, job->identity);
        stp_step_write(step, job->y->slot);
        if (job->flags & STP_CONV_IDENTITY_ROWS)
            stp_step_in_place(step, job->y->slot, job->identity);
        stp_step_int(step, stp_plan_i32(plan, job->node, first));
        stp_step_int(step, stp_plan_i32(plan, job->node, count));
        const int64_t out[8] = {job->y->dims[2], job->y->dims[3], tiles_y, tiles_x, ic, oc, job->flags, made};
        stp_step_ints(step, out, 8);
        stp_step_turn(step);
    }
}
