// SPDX-License-Identifier: Apache-2.0
#include "ops/box.h"

#include <stdio.h>

#include "graph/op.h"

// Building -----------------------------------------------------------------------------------------------------------

void stp_place_strides(const struct stp_place *place, int64_t *strides)
{
    static const int nhwc[] = {0, 2, 3, 1};
    int64_t step = 1;
    for (int i = place->rank - 1; i >= 0; i--) {
        strides[place->rank == 4 ? nhwc[i] : i] = step;
        step *= place->storage[i];
    }
}

struct stp_box stp_box_of(const struct stp_place *out, const char *function)
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

// Options ------------------------------------------------------------------------------------------------------------

static const char *type_name(const struct stp_box_operand *operand)
{
    switch (operand->place->dtype) {
    case STP_F32: return operand->moved ? "int" : "float";
    case STP_I32: return "int";
    case STP_I64: return "long";
    default: return "uchar";
    }
}

// The i-th operand; those that the function does not take are the first one again.
static const struct stp_box_operand *operand_of(const struct stp_box *box, int i)
{
    return i < box->n ? &box->in[i] : &box->in[0];
}

static int block_size(struct stp_plan *plan)
{
    // A CPU's core takes a run of memory at a time, a GPU's neighbouring work-items take neighbouring elements.
    return stp_plan_device(plan)->limits.is_cpu ? 256 : 1;
}

static int write_options(char *text, size_t size, struct stp_plan *plan, const struct stp_box *box, int rank)
{
    const char *a = type_name(operand_of(box, 0));
    const char *twin = !strcmp(a, "int") ? " -DUT=uint" : !strcmp(a, "long") ? " -DUT=ulong" : "";
    return snprintf(text, size, "-DTA=%s -DTB=%s -DTC=%s -DTO=%s%s -DF=%s -DRANK=%d -DBLOCK=%d", a,
                    type_name(operand_of(box, 1)), type_name(operand_of(box, 2)), type_name(&box->out), twin,
                    box->function, rank, block_size(plan));
}

static void add_slots(struct stp_step *step, const struct stp_box *box)
{
    for (int i = 0; i < 3; i++)
        stp_step_read(step, operand_of(box, i)->slot);
    stp_step_write(step, box->out.slot);
}

// Box ----------------------------------------------------------------------------------------------------------------

// A box with its axes in storage order, as few as do.
struct merged {
    int rank;
    int64_t dims[STP_MAX_RANK];
    int64_t strides[4][STP_MAX_RANK]; // of the operands and the output
};

// Appends an axis; one that continues the axis before it, for all operands, becomes part of it.
static void merge_axis(struct merged *m, int64_t size, const int64_t *strides)
{
    if (size == 1)
        return;
    bool joins = m->rank > 0;
    for (int i = 0; i < 4; i++)
        joins = joins && m->strides[i][m->rank - 1] == strides[i] * size;
    int axis = joins ? m->rank - 1 : m->rank++;
    m->dims[axis] = joins ? m->dims[axis] * size : size;
    for (int i = 0; i < 4; i++)
        m->strides[i][axis] = strides[i];
}

static struct merged merge(const struct stp_box *box)
{
    static const int nhwc[] = {0, 2, 3, 1};
    struct merged m = {0}, padded = {0};
    for (int i = 0; i < box->rank; i++) {
        int axis = box->rank == 4 ? nhwc[i] : i;
        merge_axis(&m, box->dims[axis],
                   (const int64_t[]){operand_of(box, 0)->strides[axis], operand_of(box, 1)->strides[axis],
                                     operand_of(box, 2)->strides[axis], box->out.strides[axis]});
    }
    padded.rank = m.rank <= 2 ? 2 : m.rank <= 4 ? 4 : 8;
    int pad = padded.rank - m.rank;
    for (int axis = 0; axis < padded.rank; axis++) {
        padded.dims[axis] = axis < pad ? 1 : m.dims[axis - pad];
        for (int i = 0; i < 4; i++)
            padded.strides[i][axis] = axis < pad ? 0 : m.strides[i][axis - pad];
    }
    return padded;
}

static void add_ints(struct stp_step *step, struct stp_plan *plan, const struct stp_node *node, const int64_t *values, int count)
{
    int32_t narrow[8];
    for (int i = 0; i < count; i++)
        narrow[i] = stp_plan_i32(plan, node, values[i]);
    stp_step_ints(step, narrow, count);
}

static void lower_box(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box)
{
    static const char *const steps[] = {"AS", "BS", "CS", "OS"};
    struct merged m = merge(box);
    char options[256];
    int used = write_options(options, sizeof options, plan, box, m.rank);
    for (int i = 0; i < 4; i++) {
        int64_t stride = m.strides[i][m.rank - 1];
        if (stride == 0 || stride == 1)
            used += snprintf(options + used, sizeof options - (size_t)used, " -D%s=%d", steps[i], (int)stride);
    }
    struct stp_step *step = stp_plan_step(plan, node, "box", options, "box");
    add_slots(step, box);
    add_ints(step, plan, node, m.dims, m.rank);
    for (int i = 0; i < 4; i++)
        add_ints(step, plan, node, m.strides[i], m.rank);
    add_ints(step, plan, node,
             (const int64_t[]){operand_of(box, 0)->start, operand_of(box, 1)->start, operand_of(box, 2)->start, box->out.start}, 4);
    int64_t items = stp_div_up(m.dims[m.rank - 1], block_size(plan));
    for (int i = 0; i < m.rank - 1; i++)
        items *= m.dims[i];
    stp_step_int(step, stp_plan_i32(plan, node, items));
    stp_step_stride(step, items);
}

// Rows ---------------------------------------------------------------------------------------------------------------

// A_ROWS, B_ROWS, C_ROWS of cl/box.cl.
static int row_mode(const struct stp_box *box, const struct stp_box_operand *operand)
{
    return operand->place->rows.all ? 0 : operand->place->rows.list == box->out.place->rows.list ? 1 : 2;
}

static void add_layout(struct stp_step *step, struct stp_plan *plan, const struct stp_node *node,
                       const struct stp_box_operand *operand)
{
    int64_t per_row = operand->place->rank == 4 ? operand->place->storage[3] : 0;
    add_ints(step, plan, node,
             (const int64_t[]){operand->start, per_row, operand->strides[1], operand->strides[0], operand->strides[2],
                               operand->strides[3], 0, 0}, 8);
}

static stp_status lower_rows(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box)
{
    char options[256];
    int used = write_options(options, sizeof options, plan, box, 4);
    for (int i = 0; i < 3; i++) {
        int mode = row_mode(box, operand_of(box, i));
        if (mode == 2 && i > 0 && i < box->n)
            return stp_fail_node(stp_plan_context(plan), STP_ERROR_DEVICE, node, "internal: an operand lies in rows of another list");
        used += snprintf(options + used, sizeof options - (size_t)used, " -D%c_ROWS=%d", "ABC"[i], mode);
    }
    const struct stp_place *out = box->out.place;
    struct stp_step *step = stp_plan_step(plan, node, "box", options, "rows");
    add_slots(step, box);
    stp_step_out_rows(step, &out->rows);
    stp_step_in_rows(step, &box->in[0].place->rows);
    int64_t blocks = stp_div_up(box->dims[1], block_size(plan));
    add_ints(step, plan, node, (const int64_t[]){out->dims[2], out->dims[3], box->dims[1], blocks}, 4);
    for (int i = 0; i < 3; i++)
        add_layout(step, plan, node, operand_of(box, i));
    add_layout(step, plan, node, &box->out);
    stp_step_stride(step, out->rows.sites * blocks);
    return STP_OK;
}

static int64_t place_elements(const struct stp_place *place)
{
    int64_t count = 1;
    for (int i = 0; i < place->rank; i++)
        count *= place->dims[i];
    return count;
}

stp_status stp_box_lower(struct stp_plan *plan, const struct stp_node *node, const struct stp_box *box)
{
    bool all = box->out.place->rows.all;
    stp_plan_i32(plan, node, place_elements(box->out.place));
    for (int i = 0; i < box->rank; i++)
        if (box->dims[i] == 0)
            return STP_OK;
    for (int i = 0; i < 3; i++) {
        const struct stp_place *place = operand_of(box, i)->place;
        all = all && place->rows.all;
        stp_plan_i32(plan, node, place_elements(place)); // kernels count in int
    }
    if (all) {
        lower_box(plan, node, box);
        return STP_OK;
    }
    return lower_rows(plan, node, box);
}

stp_status stp_lower_same(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_place *from = stp_plan_place(plan, node->inputs[0]), *to = stp_plan_place(plan, node->outputs[0]);
    if (from->rows.list == to->rows.list) {
        stp_plan_alias(plan, node->outputs[0], node->inputs[0]);
        return STP_OK;
    }
    struct stp_box box = stp_box_of(to, "COPY");
    box.out.moved = stp_box_operand(&box, from)->moved = true;
    return stp_box_lower(plan, node, &box);
}
