// SPDX-License-Identifier: Apache-2.0
#include "tune/candidates.h"

#include <math.h>
#include <stdlib.h>

// How much slower than the best an estimate may be and still have a chance: it knows no caches.
static const double chance = 1.3;

bool stp_same_choice(const struct stp_conv_choice *a, const struct stp_conv_choice *b)
{
    const struct stp_local_tile *l = &a->local, *m = &b->local;
    const struct stp_tile *s = &a->tile, *t = &b->tile;
    return a->winograd == b->winograd && s->rows == t->rows && s->vec == t->vec && s->vecs == t->vecs && s->block == t->block &&
           l->across == m->across && l->down == m->down && l->columns == m->columns && l->rows == m->rows && l->depth == m->depth &&
           l->ahead == m->ahead && l->piece == m->piece && l->unroll == m->unroll && l->groups == m->groups;
}

// Estimates ----------------------------------------------------------------------------------------------------------

// Computed over needed.
static double waste(int64_t needed, int64_t tile)
{
    needed = stp_max64(1, needed);
    return (double)(stp_div_up(needed, tile) * tile) / (double)needed;
}

static double estimate_tile(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_conv_choice *choice)
{
    // 32 registers come with vectors of 16 floats. Two loads go with two fma; four cycles pass until a sum can be added to.
    enum { LATENCY = 8 };
    const struct stp_tile *tile = &choice->tile;
    const int wide = (int)stp_max64(1, tile->vec / (int)stp_max64(1, limits->vector_width)); // registers of a vector
    const int registers = limits->vector_width >= 16 ? 32 : 16, sums = tile->rows * tile->vecs * wide;
    const int loads = tile->rows + tile->vecs * wide, held = sums + tile->vecs * wide + 1;
    const int64_t rows = choice->winograd ? shape->winograd_tiles : shape->rows;
    double cost = fmax(sums, fmax(loads, LATENCY)) / sums;
    if (held > registers)
        cost *= 1 + 0.1 * (held - registers);
    if (tile->vec * 2 <= (int)limits->vector_width)
        cost *= limits->vector_width / (double)tile->vec;
    cost *= waste(rows, tile->rows) * waste(shape->columns, tile->vec * tile->vecs);
    // 36 products instead of 144, and a good third of what that saves for transforming inputs and outputs.
    return choice->winograd ? cost * 36 / 144 * (double)(rows * 16) / (double)shape->rows + 0.3 : cost;
}

static double estimate_local(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_local_tile *tile)
{
    // Registers that an item of a GPU can have without leaving others idle.
    enum { REGISTERS = 128 };
    const int sums = tile->rows * tile->columns;
    const double loads = (double)(tile->rows + tile->columns) / sums, held = sums + (tile->rows + tile->columns) * (double)tile->unroll;
    const int64_t height = tile->down * tile->rows, width = tile->across * tile->columns;
    const int64_t count = shape->groups * stp_div_up(shape->rows, height) * stp_div_up(shape->columns, width);
    double cost = 1 + loads / 2;
    if (held > REGISTERS)
        cost *= 1.5;
    if (count < (int64_t)limits->compute_units)
        cost *= (double)limits->compute_units / (double)count;
    return cost * waste(shape->rows, height) * waste(shape->columns, width);
}

double stp_candidates_estimate(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_conv_choice *choice)
{
    return limits->is_cpu ? estimate_tile(limits, shape, choice) : estimate_local(limits, shape, &choice->local);
}

// Lists --------------------------------------------------------------------------------------------------------------

struct list {
    struct stp_candidates *out;
    const struct stp_limits *limits;
    const struct stp_conv_shape *shape;
    double costs[STP_MOST_CANDIDATES];
};

// Sorted by cost; without room, the dearest goes.
static void add(struct list *list, const struct stp_conv_choice *choice)
{
    struct stp_candidates *out = list->out;
    if (!stp_worksize_conv_fits(list->limits, list->shape, choice))
        return;
    for (size_t i = 0; i < out->count; i++)
        if (stp_same_choice(&out->items[i], choice))
            return;
    const double cost = stp_candidates_estimate(list->limits, list->shape, choice);
    size_t at = out->count;
    if (out->count < STP_MOST_CANDIDATES)
        out->count++;
    else if (list->costs[--at] <= cost)
        return;
    for (; at > 0 && list->costs[at - 1] > cost; at--) {
        out->items[at] = out->items[at - 1];
        list->costs[at] = list->costs[at - 1];
    }
    out->items[at] = *choice;
    list->costs[at] = cost;
}

static void prune(struct list *list, double best, bool all)
{
    size_t *count = &list->out->count;
    while (!all && *count && list->costs[*count - 1] > chance * best)
        --*count;
}

static void add_tiles(struct list *list)
{
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16};
    const struct stp_limits *limits = list->limits;
    const int vec = limits->vector_width >= 16 ? 16 : limits->vector_width >= 8 || limits->is_cpu ? 8 : 4;
    for (int winograd = 0; winograd <= 1; winograd++)
        for (size_t r = 0; r < STP_LENGTH(rows); r++)
            for (int vecs = 1; vecs <= 4; vecs++)
                for (int v = vec; v >= 4; v /= 2)
                    add(list, &(struct stp_conv_choice){.winograd = winograd,
                                                        .tile = {.rows = rows[r], .vec = v, .vecs = vecs, .block = 8}});
}

static void add_local_tiles(struct list *list)
{
    static const int sides[][2] = {{16, 16}, {16, 8}, {8, 16}, {8, 8}, {32, 8}, {8, 4}, {4, 4}, {4, 2}, {2, 1}, {1, 1}}, depths[] = {1, 4, 8, 16, 32};
    const int piece = list->shape->channels % 4 == 0 ? 4 : 1;
    for (size_t s = 0; s < STP_LENGTH(sides); s++)
        for (int columns = 2; columns <= 8; columns *= 2)
            for (int rows = 2; rows <= 8; rows *= 2)
                for (size_t d = 0; d < STP_LENGTH(depths); d++)
                    add(list, &(struct stp_conv_choice){.local = {.across = sides[s][0],
                                                                  .down = sides[s][1],
                                                                  .columns = columns,
                                                                  .rows = rows,
                                                                  .depth = depths[d],
                                                                  .ahead = 1,
                                                                  .piece = piece,
                                                                  .unroll = (int)stp_min64(depths[d], 4),
                                                                  .groups = list->limits->compute_units * (size_t)8}});
}

void stp_candidates_core(struct stp_candidates *out, const struct stp_limits *limits, const struct stp_conv_shape *shape, bool all)
{
    struct list list = {out, limits, shape, {0}};
    out->count = 0;
    if (limits->is_cpu)
        add_tiles(&list);
    else
        add_local_tiles(&list);
    prune(&list, out->count ? list.costs[0] : 0, all);
}

static void add_near_tiles(struct list *list, const struct stp_conv_choice *choice)
{
    for (int step = -1; step <= 1; step += 2) {
        struct stp_conv_choice near = *choice;
        near.tile.rows += step;
        add(list, &near);
        near = *choice;
        near.tile.vecs += step;
        add(list, &near);
        if (choice->winograd)
            continue; // it has no blocks
        near = *choice;
        near.tile.block = step < 0 ? choice->tile.block / 2 : choice->tile.block * 2;
        add(list, &near);
    }
}

static void add_near_local_tiles(struct list *list, const struct stp_conv_choice *choice)
{
    for (int twice = 0; twice <= 1; twice++) {
        for (int field = 0; field < 6; field++) {
            struct stp_conv_choice near = *choice;
            int *const fields[] = {&near.local.across, &near.local.down,  &near.local.columns,
                                   &near.local.rows,   &near.local.depth, &near.local.unroll};
            *fields[field] = twice ? *fields[field] * 2 : *fields[field] / 2;
            add(list, &near);
        }
        struct stp_conv_choice near = *choice;
        near.local.groups = twice ? near.local.groups * 2 : near.local.groups / 2;
        add(list, &near);
    }
    struct stp_conv_choice near = *choice;
    near.local.ahead = 3 - near.local.ahead;
    add(list, &near);
}

void stp_candidates_near(struct stp_candidates *out, const struct stp_limits *limits, const struct stp_conv_shape *shape,
                         const struct stp_conv_choice *choice, bool all)
{
    struct list list = {out, limits, shape, {0}};
    out->count = 0;
    if (limits->is_cpu)
        add_near_tiles(&list, choice);
    else
        add_near_local_tiles(&list, choice);
    prune(&list, stp_candidates_estimate(limits, shape, choice), all);
}
