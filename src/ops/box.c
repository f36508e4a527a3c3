// SPDX-License-Identifier: Apache-2.0
#include "ops/box.h"

#include <stdio.h>

#include "device/worksize.h"
#include "graph/op.h"

// Building -----------------------------------------------------------------------------------------------------------

// Storage order of rank 4.
static const int nhwc[] = {0, 2, 3, 1};

void stp_place_strides(const struct stp_place *place, int64_t *strides)
{
    int64_t step = 1;
    for (int i = place->rank - 1; i >= 0; i--) {
        strides[place->rank == 4 ? nhwc[i] : i] = step;
        step *= place->storage[i];
    }
}

struct stp_box stp_box_of(const struct stp_place *out, enum stp_box_function function)
{
    struct stp_box box = {.function = function, .rank = out->rank, .out = {.place = out, .slot = out->slot}};
    memcpy(box.dims, out->dims, sizeof box.dims);
    stp_place_strides(out, box.out.strides);
    return box;
}

struct stp_box_operand *stp_box_operand(struct stp_box *box, const struct stp_place *place)
{
    struct stp_box_operand *operand = &box->in[box->n++];
    operand->place = place;
    operand->slot = place->slot;
    int64_t strides[STP_MAX_RANK];
    stp_place_strides(place, strides);
    for (int i = 0; i < place->rank; i++)
        if (place->dims[i] != 1)
            operand->strides[box->rank - place->rank + i] = strides[i];
    return operand;
}

// Axes ---------------------------------------------------------------------------------------------------------------

enum { OPERANDS = 4, OUT = 3 }; // a, b, c and the output

// A box with its axes in storage order, as few as do; the last one is the columns.
struct axes {
    int rank;
    int64_t dims[STP_MAX_RANK];
    int64_t strides[OPERANDS][STP_MAX_RANK];
    int64_t run; // 0, or what the columns were before they were cut: the axis before the last counts the pieces
};

static const struct stp_box_operand *operand_of(const struct stp_box *box, int i)
{
    return i == OUT ? &box->out : &box->in[i];
}

// An axis that continues the axis before it, for all operands, becomes part of it.
static void append_axis(struct axes *axes, int64_t size, const int64_t *strides, bool may_join)
{
    bool joins = may_join && axes->rank > 0;
    for (int i = 0; i < OPERANDS; i++)
        joins = joins && axes->strides[i][axes->rank - 1] == strides[i] * size;
    int axis = joins ? axes->rank - 1 : axes->rank++;
    axes->dims[axis] = joins ? axes->dims[axis] * size : size;
    for (int i = 0; i < OPERANDS; i++)
        axes->strides[i][axis] = strides[i];
}

// `packed`: the rows are sites, so the channels stay by themselves.
static struct axes find_axes(const struct stp_box *box, bool packed)
{
    struct axes axes = {0};
    for (int i = 0; i < box->rank; i++) {
        int axis = box->rank == 4 ? nhwc[i] : i;
        bool channels = packed && i == box->rank - 1;
        int64_t strides[OPERANDS];
        for (int o = 0; o < OPERANDS; o++)
            strides[o] = operand_of(box, o)->strides[axis];
        if (box->dims[axis] != 1 || channels)
            append_axis(&axes, box->dims[axis], strides, !channels);
    }
    if (axes.rank == 0)
        append_axis(&axes, 1, (const int64_t[OPERANDS]){0}, false);
    return axes;
}

// Cuts long columns into pieces, so that there are rows to share out.
static void cut_columns(struct axes *axes)
{
    const int64_t most = 1024;
    int last = axes->rank - 1;
    if (axes->dims[last] <= most || axes->rank == STP_MAX_RANK)
        return;
    axes->run = axes->dims[last];
    axes->dims[last] = stp_div_up(axes->run, most);
    axes->dims[axes->rank] = most;
    for (int i = 0; i < OPERANDS; i++) {
        axes->strides[i][axes->rank] = axes->strides[i][last];
        axes->strides[i][last] *= most;
    }
    axes->rank++;
}

// Steps --------------------------------------------------------------------------------------------------------------

// Bits of the kernel's flags
enum { A_ROWS = 1, A_INVERSE = 8 }; // those of b and c follow that of a

static int type_number(const struct stp_place *place)
{
    return place->dtype == STP_F32 ? 1 : place->dtype == STP_I32 ? 2 : place->dtype == STP_I64 ? 3 : 4;
}

// The columns to s7, the axes before them to s0 …, fastest first.
static void add_axes(struct stp_step *step, const struct axes *axes, const int64_t *values, int beyond)
{
    int64_t numbers[8];
    for (int i = 0; i < 7; i++)
        numbers[i] = i < axes->rank - 1 ? values[axes->rank - 2 - i] : beyond;
    numbers[7] = values[axes->rank - 1];
    stp_step_ints(step, numbers, 8);
}

// −1: an operand lies in rows that the kernel cannot find.
static int find_flags(const struct stp_box *box)
{
    int flags = 0;
    for (int i = 0; i < box->n; i++) {
        const struct stp_rows *rows = &box->in[i].place->rows;
        if (rows->all)
            continue;
        if (rows->list == box->out.place->rows.list)
            flags |= A_ROWS << i;
        else if (i == 0 && box->function == STP_BOX_SELECT)
            flags |= A_INVERSE;
        else
            return -1;
    }
    return flags;
}

static void add_step(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box, const struct axes *axes,
                     int flags)
{
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    const struct stp_box_operand *a = &box->in[0], *b = box->n > 1 ? &box->in[1] : a, *c = box->n > 2 ? &box->in[2] : a;
    const struct stp_place *out = box->out.place;
    int64_t rows = 1;
    for (int i = 0; i < axes->rank - 1; i++)
        rows *= axes->dims[i];
    struct stp_rows_size size = stp_worksize_rows(limits, rows, axes->dims[axes->rank - 1]);
    char options[64];
    snprintf(options, sizeof options, "-DA=%d -DC=%d -DOUT=%d -DVEC=%d", type_number(a->place), type_number(c->place),
             type_number(out), stp_worksize_vector(limits));
    struct stp_step *step = stp_plan_step(plan, node, "box", options, "box");
    stp_step_read(step, a->slot);
    stp_step_in_rows(step, &a->place->rows);
    stp_step_read(step, b->slot);
    stp_step_read(step, c->slot);
    stp_step_write(step, box->out.slot);
    stp_step_out_rows(step, &out->rows);
    add_axes(step, axes, axes->dims, 1);
    for (int i = 0; i < OPERANDS; i++)
        add_axes(step, axes, axes->strides[i], 0);
    const int64_t numbers[8] = {box->function, flags, rows, size.block, axes->run, a->start, box->out.start};
    stp_step_ints(step, numbers, 8);
    stp_step_size(step, 2, size.global, size.local);
}

stp_status stp_box_lower(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box)
{
    for (int i = 0; i < box->rank; i++)
        if (box->dims[i] == 0)
            return STP_OK;
    int flags = find_flags(box);
    if (flags < 0)
        return stp_fail_node(stp_plan_context(plan), STP_ERROR_DEVICE, node, "internal: an operand lies in rows of another list");
    bool packed = flags || !box->out.place->rows.all;
    struct axes axes = find_axes(box, packed);
    if (!packed)
        cut_columns(&axes);
    add_step(plan, node, box, &axes, flags);
    return STP_OK;
}

stp_status stp_lower_same(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_place *from = stp_plan_place(plan, node->inputs[0]), *to = stp_plan_place(plan, node->outputs[0]);
    if (from->rows.list == to->rows.list) {
        stp_plan_alias(plan, node->outputs[0], node->inputs[0]);
        return STP_OK;
    }
    struct stp_box box = stp_box_of(to, STP_BOX_COPY);
    stp_box_operand(&box, from);
    return stp_box_lower(plan, node, &box);
}
