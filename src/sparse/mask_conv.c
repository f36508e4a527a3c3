// SPDX-License-Identifier: Apache-2.0
// Mask convolutions on the device: a projection of x to (output channel, tap) columns, shared by all that read x,
// then each one's sum over its taps (cl/masks.cl).
#include <stdio.h>

#include "ops/sample.h"
#include "ops/tail.h"
#include "sparse/conv_rows.h"
#include "sparse/lower_sparse.h"

enum { MOST_PROJECTED = 8 };

// Mask convolutions that read one tensor are projected together, in groups of so many.
struct projected {
    int count;
    const struct stp_node *nodes[MOST_PROJECTED];
    int64_t columns; // of all: (node, output channel, tap)
    int64_t channels;
};

// Packing ------------------------------------------------------------------------------------------------------------

// Where the file has the weights of a column: channel ic's at first + ic · step.
struct column {
    const struct stp_value *w;
    int64_t oc, first, step;
};

static float column_at(const struct column *column, int64_t ic)
{
    return stp_weight_at(column->w, column->oc, column->first + ic * column->step);
}

static struct column find_column(const struct projected *all, int64_t column)
{
    int i = 0;
    int64_t taps, count;
    for (;; i++) {
        const int64_t *dims = all->nodes[i]->inputs[1]->dims;
        taps = dims[2] * dims[3];
        count = dims[0] * taps;
        if (column < count)
            break;
        column -= count;
    }
    int64_t oc = column / taps;
    return (struct column){all->nodes[i]->inputs[1], oc, oc * all->channels * taps + column % taps, taps};
}

struct panels {
    const struct projected *all;
    int64_t width;
};

// → [panel][ic][width]
static void pack_panels(void *destination, const void *user)
{
    const struct panels *panels = user;
    const struct projected *all = panels->all;
    for (int64_t p = 0; p < all->columns; p++) {
        struct column column = find_column(all, p);
        float *to = (float *)destination + p / panels->width * all->channels * panels->width + p % panels->width;
        for (int64_t ic = 0; ic < all->channels; ic++)
            to[ic * panels->width] = column_at(&column, ic);
    }
}

// The variant of the constant is the panels' width.
static int packed(struct stp_plan *plan, const struct projected *all, int64_t width)
{
    struct panels panels = {all, width};
    size_t floats = (size_t)(stp_div_up(all->columns, width) * all->channels * width);
    return stp_plan_constant(plan, all->nodes[0], (int)width, floats * sizeof(float), pack_panels, &panels);
}

// Steps --------------------------------------------------------------------------------------------------------------

// Those that read x and have no projection yet.
static struct projected find_projected(struct stp_plan *plan, const struct stp_value *x)
{
    struct projected all = {.channels = stp_plan_tensor(plan, x)->dims[1]};
    const struct stp_graph *graph = stp_plan_graph(plan);
    for (int n = 0; n < graph->n_nodes && all.count < MOST_PROJECTED; n++) {
        const struct stp_node *other = graph->nodes[n];
        if (!other->is_mask_conv || other->inputs[0] != x)
            continue;
        const struct stp_projection *part = stp_plan_projection(plan, other);
        if (!part || part->columns)
            continue;
        const int64_t *w = other->inputs[1]->dims;
        all.nodes[all.count++] = other;
        all.columns += w[0] * w[2] * w[3];
    }
    return all;
}

// A slot for x's rows projected, [rows][columns] or, `by_column`, [columns][rows]; every reader learns where its columns lie.
static int place_projection(struct stp_plan *plan, const struct projected *all, const struct stp_place *x,
                            bool by_column)
{
    int slot = stp_plan_temp(plan, (size_t)(x->rows.sites * all->columns) * sizeof(float));
    int64_t first = 0;
    for (int i = 0; i < all->count; i++) {
        const int64_t *w = all->nodes[i]->inputs[1]->dims;
        struct stp_projection *part = stp_plan_projection(plan, all->nodes[i]);
        if (part)
            *part = (struct stp_projection){.slot = slot,
                                            .columns = all->columns,
                                            .first = first,
                                            .row_step = by_column ? 1 : all->columns,
                                            .column_step = by_column ? x->rows.sites : 1};
        first += w[0] * w[2] * w[3];
    }
    return slot;
}

static void add_project(struct stp_plan *plan, const struct stp_conv_job *job, const struct projected *all,
                        struct stp_projection_tile tile)
{
    int vector = stp_worksize_vector(&stp_plan_device(plan)->limits);
    char options[128];
    snprintf(options, sizeof options, "-DBOX_H=1 -DBOX_W=1 -DALIGNED=%d -DVEC=%d -DWIDE=4 -DCOLUMNS=%d -DPANELS=%d -DFLAGS=0",
             all->channels % vector == 0, vector, tile.width, tile.panels);
    struct stp_step *step = stp_plan_step(plan, job->node, "interpolate", options, "project");
    stp_step_read(step, job->x->slot);
    stp_step_read(step, packed(plan, all, tile.width));
    stp_step_write(step, place_projection(plan, all, job->x, true));
    stp_step_out_rows(step, &job->x->rows);
    stp_step_int(step, stp_plan_i32(plan, job->node, all->channels));
    stp_step_int(step, (int32_t)all->columns);
    stp_step_turn(step);
}

// The node's projection, made here when the first of its readers is lowered, unless whoever computed x made it in passing.
static struct stp_projection project(struct stp_plan *plan, const struct stp_conv_job *job)
{
    const struct stp_projection *known;
    while ((known = stp_plan_projection(plan, job->node)) && !known->columns) {
        struct projected all = find_projected(plan, job->node->inputs[0]);
        struct stp_projection_tile tile = stp_worksize_projection(&stp_plan_device(plan)->limits, all.columns);
        if (tile.width) {
            add_project(plan, job, &all, tile);
            continue;
        }
        const struct stp_conv_shape shape = {
            .groups = 1, .channels = all.channels, .taps = 1, .columns = all.columns, .rows = stp_conv_expected(&job->x->rows)};
        const struct stp_conv_choice choice = stp_plan_choose(plan, job->node, &shape);
        const struct stp_conv_variant variant = stp_conv_variant(&choice, &shape);
        struct stp_conv_job pointwise = *job;
        pointwise.window = (struct stp_window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
        pointwise.ocg = all.columns;
        pointwise.flags = STP_CONV_SAME_ROWS;
        stp_conv_add(plan, &pointwise, &variant, packed(plan, &all, variant.columns),
                     place_projection(plan, &all, job->x, false), job->x);
    }
    return known ? *known : (struct stp_projection){0};
}

struct stp_passing stp_project_in_passing(struct stp_plan *plan, const struct stp_value *x)
{
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    struct projected all = find_projected(plan, x);
    struct stp_projection_tile tile = {0};
    if (all.count)
        tile = stp_worksize_projection(limits, all.columns);
    if (!tile.width)
        return (struct stp_passing){.weights = stp_plan_zeros(plan, 1), .slot = stp_plan_temp(plan, 1)};
    return (struct stp_passing){.tile = tile,
                                .weights = packed(plan, &all, tile.width),
                                .slot = place_projection(plan, &all, stp_plan_place(plan, x), true),
                                .columns = all.columns};
}

static bool is_same_window(const struct stp_window *a, const struct stp_window *b)
{
    return !memcmp(a, b, sizeof *a); // int64_t alone
}

static bool is_same_shape(const stp_tensor *t, const struct stp_place *place)
{
    return t->rank == place->rank && !memcmp(t->dims, place->dims, (size_t)t->rank * sizeof *t->dims);
}

// Whether an identity is there, with the rows of y.
static bool is_ready(struct stp_plan *plan, const struct stp_value *identity, const struct stp_place *y)
{
    return stp_plan_has(plan, identity) && stp_plan_place(plan, identity)->rows.list == y->rows.list;
}

// Another mask that is drawn from the same products, those in `slot`, in the same way but for bias, identity, stream and columns, and that has
// not been drawn: one launch does for both.
static const struct stp_node *find_second(struct stp_plan *plan, const struct stp_conv_job *job, int slot)
{
    const struct stp_graph *graph = stp_plan_graph(plan);
    const struct stp_node *sample = stp_plan_tail(plan, job->node)->sample;
    for (int n = 0; n < graph->n_nodes && sample; n++) {
        const struct stp_node *other = graph->nodes[n];
        if (!other->is_mask_conv || other->inputs[0] != job->node->inputs[0])
            continue;
        const struct stp_projection *part = stp_plan_projection(plan, other);
        if (!part || part->slot != slot || part->with)
            continue;
        const struct stp_tail *tail = stp_plan_tail(plan, other);
        const struct stp_window window =
            stp_conv_window(other, stp_plan_tensor(plan, other->inputs[0]), stp_plan_tensor(plan, other->inputs[1]));
        if (!tail->sample || tail->sample->inputs[1] != sample->inputs[1] || !is_same_window(&window, &job->window) ||
            !is_same_shape(stp_plan_tensor(plan, tail->output), job->y))
            continue;
        const struct stp_sample_params *a = sample->params, *b = tail->sample->params;
        const struct stp_value *bias = other->n_inputs > 2 ? other->inputs[2] : NULL;
        bool alike = a->stochastic == b->stochastic && a->grid == b->grid && !bias == !(job->flags & STP_CONV_HAS_BIAS) &&
                     !tail->identity == !(job->flags & STP_CONV_HAS_IDENTITY);
        if (alike && (!bias || stp_value_is_constant(bias)) && (!tail->identity || is_ready(plan, tail->identity, job->y)))
            return other;
    }
    return NULL;
}

// What the second of a launch has of its own. Without one: what the first has, which the kernel does not look at then.
struct second {
    int bias, identity, out; // slots
    uint32_t stream;
    int64_t first;
};

static struct second take_second(struct stp_plan *plan, const struct stp_conv_job *job, const struct stp_node *other)
{
    if (!other)
        return (struct second){job->bias, job->identity, job->y->slot, 0, 0};
    struct stp_projection *part = stp_plan_projection(plan, other);
    const struct stp_tail *tail = stp_plan_tail(plan, other);
    const struct stp_sample_params *params = tail->sample->params;
    struct second second = {.bias = job->bias,
                            .identity = job->identity,
                            .out = stp_plan_place(plan, tail->output)->slot,
                            .stream = (uint32_t)params->stream,
                            .first = part ? part->first : 0};
    if (job->flags & STP_CONV_HAS_BIAS)
        second.bias = stp_plan_place(plan, other->inputs[2])->slot;
    if (tail->identity)
        second.identity = stp_plan_place(plan, tail->identity)->slot;
    if (part)
        part->with = job->node;
    return second;
}

void stp_lower_mask_conv(struct stp_plan *plan, const struct stp_conv_job *job)
{
    struct stp_projection part = project(plan, job), *own = stp_plan_projection(plan, job->node);
    if (!own || part.with)
        return;
    own->with = job->node;
    const struct stp_node *sample = stp_plan_tail(plan, job->node)->sample;
    const struct stp_sample_params *params = sample ? sample->params : NULL;
    const struct stp_place *seed = sample ? stp_plan_place(plan, sample->inputs[1]) : NULL;
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    const struct stp_window *w = &job->window;
    enum { MOST_KNOWN = 25 };
    bool is_known = !limits->is_cpu && w->kernel[0] * w->kernel[1] <= MOST_KNOWN;
    char options[64];
    snprintf(options, sizeof options, "-DVEC=%d -DSTRIDE=%d -DKH=%d -DKW=%d", stp_worksize_vector(limits), !limits->is_cpu,
             is_known ? (int)w->kernel[0] : 0, is_known ? (int)w->kernel[1] : 0);
    const struct stp_node *other = find_second(plan, job, part.slot);
    const struct second second = take_second(plan, job, other);
    struct stp_step *step = stp_plan_step(plan, job->node, "masks", options, "mask_conv");
    stp_step_read(step, part.slot);
    stp_step_in_rows(step, &job->x->rows);
    stp_step_read(step, job->bias);
    stp_step_read(step, job->identity);
    stp_step_read(step, seed ? seed->slot : stp_plan_zeros(plan, 1));
    stp_step_int(step, seed ? stp_plan_i32(plan, sample, seed->dims[0]) : 0);
    stp_step_write(step, job->y->slot);
    stp_step_out_rows(step, &job->y->rows);
    stp_step_int(step, stp_plan_i32(plan, job->node, part.column_step));
    stp_step_int(step, params ? params->stochastic : 0);
    stp_step_uint(step, params ? (uint32_t)params->stream : 0);
    stp_step_int(step, params ? (int32_t)params->grid : 0);
    const int64_t numbers[16] = {job->x->dims[2], job->x->dims[3],
                                 job->y->dims[2], job->y->dims[3],
                                 w->kernel[0],    w->kernel[1],
                                 w->stride[0],    w->stride[1],
                                 w->dilation[0],  w->dilation[1],
                                 w->pad[0],       w->pad[1],
                                 job->ocg,        job->flags | (sample ? STP_CONV_SAMPLE : 0),
                                 part.first,      part.row_step};
    stp_step_ints(step, numbers, 16);
    stp_step_read(step, second.bias);
    stp_step_read(step, second.identity);
    stp_step_write(step, second.out);
    stp_step_uint(step, second.stream);
    stp_step_int(step, stp_plan_i32(plan, job->node, second.first));
    const struct stp_worksize items = stp_worksize_stride(limits, job->y->rows.sites);
    stp_step_size(step, 2, (size_t[]){items.global, other ? 2 : 1}, (size_t[]){items.local, 1});
}
