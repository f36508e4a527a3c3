// SPDX-License-Identifier: Apache-2.0
// Conv on the device: one implicit GEMM over rows, all sites or listed ones:
// cl/conv_rows.cl for CPUs, cl/conv_tile.cl for the rest. A mask convolution is a pointwise one
// to (output channel, tap) columns, then a sum over taps (cl/mask_conv.cl).
#include <stdio.h>

#include "device/worksize.h"
#include "graph/instance.h"
#include "ops/conv.h"
#include "ops/tail.h"
#include "sparse/lower_sparse.h"

// Bits of conv_rows' flags
enum { SAME_ROWS = 1, HAS_BIAS = 2, HAS_IDENTITY = 4, IDENTITY_ROWS = 8, RELU = 16 };

// Packing ------------------------------------------------------------------------------------------------------------

struct packing {
    const float *w; // [oc][icg][taps], as in the file; may be unaligned
    int64_t groups, ocg, icg, taps, columns;
};

static int64_t panels_per_group(const struct packing *p)
{
    return stp_div_up(p->ocg, p->columns);
}

// → [group][panel][tap][ic][columns], zeros beyond the group's output channels (the destination is zeroed)
static void pack_conv_weights(void *destination, const void *user)
{
    const struct packing *p = user;
    float *to = destination;
    for (int64_t g = 0; g < p->groups; g++)
        for (int64_t panel = 0; panel < panels_per_group(p); panel++)
            for (int64_t tap = 0; tap < p->taps; tap++)
                for (int64_t ic = 0; ic < p->icg; ic++, to += p->columns)
                    for (int64_t n = 0; n < p->columns && panel * p->columns + n < p->ocg; n++) {
                        int64_t oc = g * p->ocg + panel * p->columns + n;
                        to[n] = stp_float_at(p->w, (oc * p->icg + ic) * p->taps + tap);
                    }
}

enum { MOST_PROJECTED = 8 };

// Mask convolutions that read one tensor are projected together, in groups of so many.
struct projected {
    int count;
    const struct stp_node *nodes[MOST_PROJECTED];
    int64_t columns; // of all: (node, output channel, tap)
    int64_t panel;   // columns of a panel
};

// Their one tap reads the site itself → [panel][ic][panel columns]
static void pack_mask_weights(void *destination, const void *user)
{
    const struct projected *all = user;
    int64_t column = 0;
    for (int i = 0; i < all->count; i++) {
        const struct stp_value *w = all->nodes[i]->inputs[1];
        struct packing p = {.w = w->data, .ocg = w->dims[0], .icg = w->dims[1], .taps = w->dims[2] * w->dims[3]};
        for (int64_t n = 0; n < p.ocg * p.taps; n++, column++)
            for (int64_t ic = 0; ic < p.icg; ic++)
                ((float *)destination)[(column / all->panel * p.icg + ic) * all->panel + column % all->panel] =
                    stp_float_at(p.w, (n / p.taps * p.icg + ic) * p.taps + n % p.taps);
    }
}

// Steps --------------------------------------------------------------------------------------------------------------

struct job {
    const struct stp_node *node;
    struct stp_window window;
    const struct stp_place *x, *y;
    int64_t groups, icg, ocg;
    int flags;
    int bias, identity; // slots
};

static void add_size(struct stp_step *step, const struct job *job, const struct stp_place *y)
{
    const struct stp_window *w = &job->window;
    const int64_t numbers[16] = {job->x->dims[2], job->x->dims[3], y->dims[2],          y->dims[3],
                                 w->kernel[0],    w->kernel[1],    w->stride[0],        w->stride[1],
                                 w->dilation[0],  w->dilation[1],  w->pad[0],           w->pad[1],
                                 job->x->dims[1], job->groups * job->ocg, job->groups,  job->flags};
    stp_step_ints(step, numbers, 16);
}

// The kernel that computes a job on this device, and the columns for which its weights are packed.
struct variant {
    const char *kernel;
    char options[96];
    int64_t columns;
    int dimensions;
    size_t global[2], local[2];
};

static struct variant choose_variant(const struct stp_limits *limits, int64_t columns)
{
    struct variant v;
    if (limits->is_cpu) {
        struct stp_tile tile = stp_worksize_conv_rows(limits, columns);
        v = (struct variant){.kernel = "conv_rows", .columns = tile.vec * tile.vecs, .dimensions = 1,
                             .global = {tile.groups, 1}, .local = {1, 1}};
        snprintf(v.options, sizeof v.options, "-DTILE_M=%d -DVEC=%d -DVECS=%d", tile.rows, tile.vec, tile.vecs);
        return v;
    }
    struct stp_local_tile tile = stp_worksize_conv_tile(limits, columns);
    size_t side = (size_t)tile.side;
    v = (struct variant){.kernel = "conv_tile", .columns = tile.side * tile.each, .dimensions = 2,
                         .global = {tile.groups * side, side}, .local = {side, side}};
    snprintf(v.options, sizeof v.options, "-DL=%d -DRM=%d -DRN=%d -DKC=%d", tile.side, tile.each, tile.each, tile.depth);
    return v;
}

static void add_conv_rows(struct stp_plan *plan, const struct job *job, const struct variant *variant, int weights, int out,
                          const struct stp_place *y)
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
    if (job->flags & IDENTITY_ROWS)
        stp_step_in_place(step, out, job->identity);
    add_size(step, job, y);
    stp_step_size(step, variant->dimensions, variant->global, variant->local);
}

static int pack(struct stp_plan *plan, const struct job *job, int64_t columns)
{
    const struct stp_value *w = job->node->inputs[1];
    struct packing p = {.w = w->data,
                        .groups = job->groups,
                        .ocg = job->ocg,
                        .icg = job->icg,
                        .taps = job->window.kernel[0] * job->window.kernel[1],
                        .columns = columns};
    size_t bytes = (size_t)(p.groups * panels_per_group(&p) * p.taps * p.icg * p.columns) * sizeof(float);
    // The variant tells how the weights are laid out.
    return stp_plan_constant(plan, w, (int)columns, bytes, pack_conv_weights, &p);
}

// Mask convolutions: the projection of x, shared by all that read it, then each one's sum over its taps -----------------

// Those that read x and have no projection yet.
static struct projected find_projected(struct stp_plan *plan, const struct stp_value *x)
{
    struct projected all = {0};
    const struct stp_graph *graph = stp_plan_graph(plan);
    for (int n = 0; n < graph->n_nodes && all.count < MOST_PROJECTED; n++) {
        const struct stp_node *other = graph->nodes[n];
        const struct stp_projection *part = stp_plan_projection(plan, other);
        if (!other->is_mask_conv || other->inputs[0] != x || !part || part->columns)
            continue;
        const int64_t *w = other->inputs[1]->dims;
        all.nodes[all.count++] = other;
        all.columns += w[0] * w[2] * w[3];
    }
    return all;
}

static int pack_projected(struct stp_plan *plan, struct projected *all, int64_t panel)
{
    int64_t panels = stp_div_up(all->columns, panel), channels = all->nodes[0]->inputs[1]->dims[1];
    all->panel = panel;
    return stp_plan_constant(plan, all->nodes[0], (int)panel, (size_t)(panels * channels * panel) * sizeof(float),
                             pack_mask_weights, all);
}

// A slot for x's rows projected; every reader learns where its columns lie.
static int place_projection(struct stp_plan *plan, const struct projected *all, const struct stp_place *x)
{
    int slot = stp_plan_temp(plan, (size_t)(x->rows.sites * all->columns) * sizeof(float));
    int64_t first = 0;
    for (int i = 0; i < all->count; i++) {
        const int64_t *w = all->nodes[i]->inputs[1]->dims;
        struct stp_projection *part = stp_plan_projection(plan, all->nodes[i]);
        if (part)
            *part = (struct stp_projection){.slot = slot, .columns = all->columns, .first = first};
        first += w[0] * w[2] * w[3];
    }
    return slot;
}

// The node's projection, made here when the first of its readers is lowered, unless whoever computed x made it in passing.
static struct stp_projection project(struct stp_plan *plan, const struct job *job)
{
    const struct stp_projection *known;
    while ((known = stp_plan_projection(plan, job->node)) && !known->columns) {
        struct projected all = find_projected(plan, job->node->inputs[0]);
        struct variant variant = choose_variant(&stp_plan_device(plan)->limits, all.columns);
        int weights = pack_projected(plan, &all, variant.columns);
        struct job pointwise = *job;
        pointwise.window = (struct stp_window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
        pointwise.ocg = all.columns;
        pointwise.flags = SAME_ROWS;
        add_conv_rows(plan, &pointwise, &variant, weights, place_projection(plan, &all, job->x), job->x);
    }
    return known ? *known : (struct stp_projection){0};
}

struct stp_passing stp_project_in_passing(struct stp_plan *plan, const struct stp_value *x)
{
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    struct projected all = find_projected(plan, x);
    struct stp_passing passing = {.weights = stp_plan_zeros(plan, 1), .slot = stp_plan_temp(plan, 1)};
    if (!limits->is_cpu || !all.count)
        return passing;
    struct stp_tile tile = stp_worksize_conv_rows(limits, all.columns);
    if (all.columns > tile.vec * tile.vecs)
        return passing;
    return (struct stp_passing){.tile = tile,
                                .weights = pack_projected(plan, &all, tile.vec * tile.vecs),
                                .slot = place_projection(plan, &all, stp_plan_place(plan, x)),
                                .columns = all.columns};
}

static void lower_mask_conv(struct stp_plan *plan, const struct job *job)
{
    struct stp_projection part = project(plan, job);
    struct stp_step *step = stp_plan_step(plan, job->node, "mask_conv", "", "mask_conv");
    stp_step_read(step, part.slot);
    stp_step_in_rows(step, &job->x->rows);
    stp_step_read(step, job->bias);
    stp_step_write(step, job->y->slot);
    stp_step_out_rows(step, &job->y->rows);
    const struct stp_window *w = &job->window;
    const int64_t numbers[16] = {job->x->dims[2], job->x->dims[3],       job->y->dims[2], job->y->dims[3],
                                 w->kernel[0],    w->kernel[1],          w->stride[0],    w->stride[1],
                                 w->dilation[0],  w->dilation[1],        w->pad[0],       w->pad[1],
                                 job->ocg,        job->flags & HAS_BIAS, part.columns,    part.first};
    stp_step_ints(step, numbers, 16);
    stp_step_stride(step, job->y->rows.sites);
}

stp_status stp_lower_conv(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_tail *tail = stp_plan_tail(plan, node);
    const stp_tensor *w = stp_plan_tensor(plan, node->inputs[1]);
    const struct stp_value *bias = node->n_inputs > 2 ? node->inputs[2] : NULL;
    struct job job = {.node = node,
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
        job.flags |= HAS_BIAS;
    }
    if (tail->identity) {
        const struct stp_place *identity = stp_plan_place(plan, tail->identity);
        job.identity = identity->slot;
        job.flags |= HAS_IDENTITY | (identity->rows.list == job.y->rows.list ? IDENTITY_ROWS : 0);
    }
    if (tail->relu)
        job.flags |= RELU;
    if (stp_conv_is_pointwise(node) && job.x->rows.list == job.y->rows.list)
        job.flags |= SAME_ROWS;
    if (node->is_mask_conv) {
        lower_mask_conv(plan, &job);
        return STP_OK;
    }
    struct variant variant = choose_variant(&stp_plan_device(plan)->limits, job.ocg);
    add_conv_rows(plan, &job, &variant, pack(plan, &job, variant.columns), job.y->slot, job.y);
    return STP_OK;
}
