// SPDX-License-Identifier: Apache-2.0
// Steps: the launches of a plan and their arguments, as lower() functions build them (ops/lower.h).
#include <assert.h>
#include <stdlib.h>

#include "device/worksize.h"
#include "run/plan.h"

// The step that a builder function writes to after a failure.
static struct stp_step *broken_step(struct stp_plan *plan)
{
    plan->unused_step.plan = plan;
    return &plan->unused_step;
}


struct stp_step *stp_plan_step(struct stp_plan *plan, const struct stp_node *node, const char *program,
                               const char *options, const char *kernel)
{
    if (plan->status != STP_OK)
        return broken_step(plan);
    struct stp_step **grown = stp_grow(plan->steps, (size_t)plan->n_steps, &plan->cap_steps, sizeof *grown);
    if (!grown) {
        stp_plan_out_of_memory(plan);
        return broken_step(plan);
    }
    plan->steps = grown;
    struct stp_step *step = stp_arena_alloc(&plan->arena, sizeof *step);
    char *copy = stp_arena_string(&plan->arena, options, strlen(options));
    if (!step || !copy) {
        stp_plan_out_of_memory(plan);
        return broken_step(plan);
    }
    *step = (struct stp_step){.plan = plan,
                              .node = node,
                              .program = program,
                              .options = copy,
                              .name = kernel,
                              .dimensions = 1,
                              .global = {1, 1, 1},
                              .local = {1, 1, 1}};
    plan->steps[plan->n_steps++] = step;
    return step;
}

static struct stp_arg *add_arg(struct stp_step *step, enum stp_arg_kind kind)
{
    if (step->plan->status != STP_OK)
        return &step->plan->unused_arg;
    if (step->n_args == STP_STEP_MAX_ARGS) {
        step->plan->status = stp_fail(stp_plan_context(step->plan), STP_ERROR_DEVICE, "internal: too many arguments");
        return &step->plan->unused_arg;
    }
    struct stp_arg *arg = &step->args[step->n_args++];
    arg->kind = kind;
    return arg;
}

static void add_slot_arg(struct stp_step *step, int slot)
{
    struct stp_plan *plan = step->plan;
    struct stp_arg *arg = add_arg(step, STP_ARG_SLOT);
    arg->slot = slot;
    if (plan->status != STP_OK)
        return;
    int now = plan->n_steps - 1;
    assert(step == plan->steps[now]); // places were asked for after the step was added: see stp_plan_step()
    struct stp_slot *s = &plan->slots[slot];
    s->first = now < s->first ? now : s->first;
    s->last = now > s->last ? now : s->last;
}

void stp_step_read(struct stp_step *step, int slot)
{
    add_slot_arg(step, slot);
}

void stp_step_write(struct stp_step *step, int slot)
{
    add_slot_arg(step, slot);
}

void stp_step_turn(struct stp_step *step)
{
    add_slot_arg(step, step->plan->turn);
    stp_step_size(step, 1, (size_t[]){stp_worksize_turns(&step->plan->device->limits)}, (size_t[]){1});
}

static void add_bytes(struct stp_step *step, const void *bytes, size_t size)
{
    struct stp_arg *arg = add_arg(step, STP_ARG_BYTES);
    arg->size = size;
    memcpy(arg->bytes, bytes, size);
}

void stp_step_int(struct stp_step *step, int32_t value)
{
    add_bytes(step, &value, sizeof value);
}

void stp_step_uint(struct stp_step *step, uint32_t value)
{
    add_bytes(step, &value, sizeof value);
}

void stp_step_float(struct stp_step *step, float value)
{
    add_bytes(step, &value, sizeof value);
}

void stp_step_ints(struct stp_step *step, const int64_t *values, int count)
{
    int32_t ints[16];
    assert(count <= (int)STP_LENGTH(ints));
    for (int i = 0; i < count; i++)
        ints[i] = stp_plan_i32(step->plan, step->node, values[i]);
    add_bytes(step, ints, (size_t)count * sizeof *ints);
}

void stp_step_local(struct stp_step *step, size_t bytes)
{
    add_arg(step, STP_ARG_LOCAL)->size = bytes;
}

void stp_step_out_rows(struct stp_step *step, const struct stp_rows *rows)
{
    stp_step_read(step, rows->rows);
    stp_step_read(step, rows->count);
    stp_step_int(step, stp_plan_i32(step->plan, step->node, rows->sites));
}

void stp_step_in_rows(struct stp_step *step, const struct stp_rows *rows)
{
    stp_step_read(step, rows->inverse);
    stp_step_read(step, rows->count);
    stp_step_int(step, stp_plan_i32(step->plan, step->node, rows->sites));
}

void stp_step_in_place(struct stp_step *step, int out, int in)
{
    int reads = 0;
    for (int a = 0; a < step->n_args; a++)
        reads += step->args[a].kind == STP_ARG_SLOT && step->args[a].slot == in;
    // An operand that is read in two ways is not read before it is written.
    if (step->plan->status == STP_OK && reads == 1)
        step->plan->slots[out].in_place = in;
}

void stp_step_size(struct stp_step *step, int dimensions, const size_t *global, const size_t *local)
{
    step->dimensions = dimensions;
    memcpy(step->global, global, (size_t)dimensions * sizeof *global);
    memcpy(step->local, local, (size_t)dimensions * sizeof *local);
}

void stp_step_stride(struct stp_step *step, int64_t items)
{
    struct stp_worksize size = stp_worksize_stride(&step->plan->device->limits, items);
    stp_step_size(step, 1, &size.global, &size.local);
}

int32_t stp_plan_i32(struct stp_plan *plan, const struct stp_node *node, int64_t value)
{
    if (value >= INT32_MIN && value <= INT32_MAX)
        return (int32_t)value;
    if (plan->status == STP_OK)
        plan->status = node ? stp_fail_node(stp_plan_context(plan), STP_ERROR_UNSUPPORTED, node,
                                            "a size of %lld is beyond 2^31", (long long)value)
                            : stp_fail(stp_plan_context(plan), STP_ERROR_UNSUPPORTED, "a size of %lld is beyond 2^31",
                                       (long long)value);
    return 0;
}
