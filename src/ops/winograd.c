// SPDX-License-Identifier: Apache-2.0
#include "ops/winograd.h"

#include <stdio.h>

#include "base/parallel.h"

// Numbers per tile and channel.
enum { POINTS = 36, OUTPUT = 4 };

// Packing ------------------------------------------------------------------------------------------------------------

struct packing {
    const struct stp_value *w; // [oc][ic][9]
    int64_t ic, columns;
};

struct destination {
    const struct packing *packing;
    float *floats;
};

// G·g: along one axis, of three numbers that lie `step` apart to six. Lavin and Gray, arXiv 1509.09308.
static void transform(const double *g, int step, double *to, int to_step)
{
    const double even = g[0] + g[2 * step], middle = g[step];
    const double far = g[0] + 4 * g[2 * step];
    to[0] = g[0] / 4;
    to[to_step] = -(even + middle) / 6;
    to[2 * to_step] = -(even - middle) / 6;
    to[3 * to_step] = (far + 2 * middle) / 24;
    to[4 * to_step] = (far - 2 * middle) / 24;
    to[5 * to_step] = g[2 * step];
}

// [point][ic][columns] of one panel
static void pack_panel(void *user, int64_t panel)
{
    const struct packing *p = ((const struct destination *)user)->packing;
    float *to = ((const struct destination *)user)->floats + panel * POINTS * p->ic * p->columns;
    for (int64_t n = 0; n < p->columns; n++)
        for (int64_t ic = 0; ic < p->ic; ic++) {
            int64_t oc = panel * p->columns + n;
            double g[9], half_way[18], u[POINTS];
            for (int tap = 0; tap < 9; tap++)
                g[tap] = (double)stp_weight_at(p->w, oc, (oc * p->ic + ic) * 9 + tap);
            for (int x = 0; x < 3; x++)
                transform(g + x, 3, half_way + x, 3);
            for (int y = 0; y < 6; y++)
                transform(half_way + 3 * y, 1, u + 6 * y, 1);
            for (int i = 0; i < POINTS; i++)
                to[(i * p->ic + ic) * p->columns + n] = (float)u[i];
        }
}

// → [panel][point][ic][columns]
static void pack_weights(void *destination, const void *user)
{
    const struct packing *packing = user;
    struct destination to = {.packing = packing, .floats = destination};
    stp_parallel(packing->w->dims[0] / packing->columns, pack_panel, &to);
}

// Steps --------------------------------------------------------------------------------------------------------------

static int64_t tiles_along(const struct stp_conv_job *job, int axis)
{
    return stp_div_up(job->y->dims[2 + axis], OUTPUT);
}

bool stp_winograd_suits(struct stp_plan *plan, const struct stp_conv_job *job)
{
    const struct stp_window *w = &job->window;
    for (int a = 0; a < 2; a++)
        if (w->kernel[a] != 3 || w->stride[a] != 1 || w->dilation[a] != 1)
            return false;
    const int64_t tiles = job->x->dims[0] * tiles_along(job, 0) * tiles_along(job, 1);
    return job->groups == 1 && stp_plan_may_reorder(plan, job->node) &&
           stp_worksize_winograd_wins(&stp_plan_device(plan)->limits, job->icg, job->ocg, job->y->rows.sites, tiles);
}

void stp_winograd_add(struct stp_plan *plan, const struct stp_conv_job *job)
{
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    const struct stp_value *w = job->node->inputs[1];
    const int64_t ic = job->icg, oc = job->ocg, tiles_y = tiles_along(job, 0), tiles_x = tiles_along(job, 1);
    const int64_t tiles = job->x->dims[0] * tiles_y * tiles_x;
    const struct stp_tile tile = stp_worksize_winograd_tile(limits, ic, oc, tiles);
    const int64_t batch = stp_worksize_winograd_batch(&tile, ic, oc, tiles);
    const struct packing packing = {.w = w, .ic = ic, .columns = tile.vec * tile.vecs};
    const size_t point = (size_t)ic * sizeof(float) * POINTS;
    // The variant: negative, so that it differs from that of another layout.
    int weights = stp_plan_constant(plan, w, -(int)packing.columns, (size_t)oc * point, pack_weights, &packing);
    int transformed = stp_plan_temp(plan, (size_t)batch * point);
    int zeros = stp_plan_zeros(plan, (size_t)ic);
    char options[96];
    snprintf(options, sizeof options, "-DTILE_M=%d -DVEC=%d -DVECS=%d", tile.rows, tile.vec, tile.vecs);
    for (int64_t first = 0; first < tiles; first += batch) {
        const int64_t count = stp_min64(batch, tiles - first);
        struct stp_step *step = stp_plan_step(plan, job->node, "winograd", options, "winograd_input");
        stp_step_read(step, job->x->slot);
        stp_step_read(step, zeros);
        stp_step_write(step, transformed);
        const int64_t in[8] = {job->x->dims[2], job->x->dims[3], tiles_y, tiles_x, job->window.pad[0], job->window.pad[1], ic, 0};
        stp_step_int(step, stp_plan_i32(plan, job->node, first));
        stp_step_int(step, stp_plan_i32(plan, job->node, count));
        stp_step_ints(step, in, 8);
        stp_step_turn(step);

        step = stp_plan_step(plan, job->node, "winograd", options, "winograd_output");
        stp_step_read(step, transformed);
        stp_step_read(step, weights);
        stp_step_read(step, job->bias);
        stp_step_read(step, job->identity);
        stp_step_write(step, job->y->slot);
        if (job->flags & STP_CONV_IDENTITY_ROWS)
            stp_step_in_place(step, job->y->slot, job->identity);
        stp_step_int(step, stp_plan_i32(plan, job->node, first));
        stp_step_int(step, stp_plan_i32(plan, job->node, count));
        const int64_t out[8] = {job->y->dims[2], job->y->dims[3], tiles_y, tiles_x, ic, oc, job->flags, 0};
        stp_step_ints(step, out, 8);
        stp_step_turn(step);
    }
}
