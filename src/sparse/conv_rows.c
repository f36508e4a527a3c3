// SPDX-License-Identifier: Apache-2.0
// Conv on the device: one implicit GEMM over rows, all sites or listed ones:
// cl/conv_rows.cl for CPUs, cl/conv_tile.cl for the rest.
#include <stdio.h>

#include "base/parallel.h"
#include "device/worksize.h"
#include "graph/instance.h"
#include "ops/conv.h"
#include "ops/tail.h"
#include "ops/winograd.h"
#include "sparse/conv_rows.h"
#include "sparse/lower_sparse.h"

// Packing ------------------------------------------------------------------------------------------------------------

struct packing {
    const struct stp_value *w; // [oc][icg][taps]
    int64_t groups, ocg, icg, taps, columns;
};

static int64_t panels_per_group(const struct packing *p)
{
    return stp_div_up(p->ocg, p->columns);
}

struct destination {
    const struct packing *packing;
    float *floats;
};

// [tap][ic][columns] of one panel
static void pack_panel(void *user, int64_t i)
{
    const struct packing *p = ((const struct destination *)user)->packing;
    int64_t group = i / panels_per_group(p), first = i % panels_per_group(p) * p->columns;
    int64_t columns = stp_min64(p->columns, p->ocg - first);
    float *to = ((const struct destination *)user)->floats + i * p->taps * p->icg * p->columns;
    for (int64_t tap = 0; tap < p->taps; tap++)
        for (int64_t ic = 0; ic < p->icg; ic++, to += p->columns)
            for (int64_t n = 0; n < columns; n++) {
                int64_t oc = group * p->ocg + first + n;
                to[n] = stp_weight_at(p->w, oc, (oc * p->icg + ic) * p->taps + tap);
            }
}

// → [group][panel][tap][ic][columns], zeros beyond the group's output channels (the destination is zeroed)
static void pack_conv_weights(void *destination, const void *user)
{
    struct destination to = {.packing = user, .floats = destination};
    stp_parallel(to.packing->groups * panels_per_group(to.packing), pack_panel, &to);
}

// Steps --------------------------------------------------------------------------------------------------------------

static void add_size(struct stp_step *step, const struct stp_conv_job *job, const struct stp_place *y)
{
    const struct stp_window *w = &job->window;
    const int64_t numbers[16] = {job->x->dims[2], job->x->dims[3],        y->dims[2],   y->dims[3],
                                 w->kernel[0],    w->kernel[1],           w->stride[0], w->stride[1],
                                 w->dilation[0],  w->dilation[1],         w->pad[0],    w->pad[1],
                                 job->x->dims[1], job->groups * job->ocg, job->groups,  job->flags};
    stp_step_ints(step, numbers, 16);
}

int64_t stp_conv_expected(const struct stp_rows *rows)
{
    return rows->all ? rows->sites : rows->sites / 3;
}

struct stp_conv_variant stp_conv_variant(const struct stp_conv_choice *choice, const struct stp_conv_shape *shape)
{
    struct stp_conv_variant v;
    if (!choice->local.across) {
        const struct stp_tile tile = choice->tile;
        v = (struct stp_conv_variant){.kernel = "conv_rows", .columns = tile.vec * tile.vecs, .block = tile.block};
        snprintf(v.options, sizeof v.options, "-DALIGNED=%d -DTILE_M=%d -DVEC=%d -DVECS=%d",
                 shape->columns % tile.vec == 0, tile.rows, tile.vec, tile.vecs);
        return v;
    }
    const struct stp_local_tile tile = choice->local;
    size_t across = (size_t)tile.across, down = (size_t)tile.down;
    v = (struct stp_conv_variant){.kernel = "conv_tile",
                                  .columns = tile.across * tile.columns,
                                  .global = {tile.groups * across, down},
                                  .local = {across, down}};
    snprintf(v.options, sizeof v.options, "-DLX=%d -DLY=%d -DRM=%d -DRN=%d -DKC=%d -DAHEAD=%d -DPIECE=%d -DUNROLL=%d -DALIGNED=%d",
             tile.across, tile.down, tile.rows, tile.columns, tile.depth, tile.ahead, tile.piece, tile.unroll, shape->columns % 4 == 0);
    return v;
}

void stp_conv_add(struct stp_plan *plan, const struct stp_conv_job *job, const struct stp_conv_variant *variant,
                  int weights, int out, const struct stp_place *y)
{
    int zeros = stp_plan_zeros(plan, (size_t)(job->x->dims[1] * job->window.kernel[1]));
    struct stp_step *step = stp_plan_step(plan, job->node, variant->kernel, variant->options, variant->kernel);
    stp_step_read(step, job->x->slot);
    stp_step_in_rows(step, &job->x->rows);
    stp_step_read(step, weights);
    stp_step_read(step, job->bias);
    stp_step_read(step, job->identity);
    stp_step_read(step, zeros);
    stp_step_write(step, out);
    stp_step_out_rows(step, &y->rows);
    if (job->flags & STP_CONV_IDENTITY_ROWS)
        stp_step_in_place(step, out, job->identity);
    add_size(step, job, y);
    if (stp_plan_device(plan)->limits.is_cpu) {
        stp_step_turn(step);
        stp_step_int(step, variant->block);
    } else {
        stp_step_size(step, 2, variant->global, variant->local);
    }
}

static int pack(struct stp_plan *plan, const struct stp_conv_job *job, int64_t columns)
{
    const struct stp_value *w = job->node->inputs[1];
    struct packing p = {.w = w,
                        .groups = job->groups,
                        .ocg = job->ocg,
                        .icg = job->icg,
                        .taps = job->window.kernel[0] * job->window.kernel[1],
                        .columns = columns};
    size_t bytes = (size_t)(p.groups * panels_per_group(&p) * p.taps * p.icg * p.columns) * sizeof(float);
    // The variant tells how the weights are laid out.
    return stp_plan_constant(plan, w, (int)columns, bytes, pack_conv_weights, &p);
}

stp_status stp_lower_conv(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_tail *tail = stp_plan_tail(plan, node);
    const stp_tensor *w = stp_plan_tensor(plan, node->inputs[1]);
    const struct stp_value *bias = node->n_inputs > 2 ? node->inputs[2] : NULL;
    struct stp_conv_job job = {.node = node,
                               .window = stp_conv_window(node, stp_plan_tensor(plan, node->inputs[0]), w),
                               .x = stp_plan_place(plan, node->inputs[0]),
                               .y = stp_plan_place(plan, tail->output)};
    job.groups = job.x->dims[1] / w->dims[1];
    job.icg = w->dims[1];
    job.ocg = w->dims[0] / job.groups;
    if (!job.y->rows.sites || !job.y->dims[1])
        return STP_OK;
    job.bias = job.identity = stp_plan_zeros(plan, 1);
    if (bias) {
        job.bias = stp_plan_place(plan, bias)->slot;
        job.flags |= STP_CONV_HAS_BIAS;
    }
    if (tail->identity) {
        const struct stp_place *identity = stp_plan_place(plan, tail->identity);
        job.identity = identity->slot;
        job.flags |= STP_CONV_HAS_IDENTITY | (identity->rows.list == job.y->rows.list ? STP_CONV_IDENTITY_ROWS : 0);
    }
    if (tail->relu)
        job.flags |= STP_CONV_RELU;
    if (stp_conv_is_pointwise(node) && job.x->rows.list == job.y->rows.list)
        job.flags |= STP_CONV_SAME_ROWS;
    if (node->is_mask_conv) {
        stp_lower_mask_conv(plan, &job);
        return STP_OK;
    }
    const struct stp_conv_shape shape = {.groups = job.groups,
                                         .channels = job.icg,
                                         .taps = w->dims[2] * w->dims[3],
                                         .columns = job.ocg,
                                         .rows = stp_conv_expected(&job.y->rows),
                                         .winograd_tiles = stp_winograd_tiles(plan, &job)};
    const struct stp_conv_choice choice = stp_plan_choose(plan, node, &shape);
    if (choice.winograd) {
        stp_winograd_add(plan, &job, &choice.tile, pack(plan, &job, choice.tile.vec * choice.tile.vecs));
        return STP_OK;
    }
    const struct stp_conv_variant variant = stp_conv_variant(&choice, &shape);
    stp_conv_add(plan, &job, &variant, pack(plan, &job, variant.columns), job.y->slot, job.y);
    return STP_OK;
}
