// SPDX-License-Identifier: Apache-2.0
#include "run/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/ahead.h"
#include "device/cache.h"
#include "device/tuned.h"
#include "graph/op.h"

stp_context *stp_plan_context(struct stp_plan *plan)
{
    return plan->device->context;
}

const struct stp_device *stp_plan_device(struct stp_plan *plan)
{
    return plan->device;
}

const stp_tensor *stp_plan_tensor(struct stp_plan *plan, const struct stp_value *value)
{
    return &plan->instance->tensors[value->id];
}

const struct stp_graph *stp_plan_graph(struct stp_plan *plan)
{
    return plan->instance->graph;
}

int stp_plan_position(const struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_graph *graph = plan->instance->graph;
    int n = 0;
    while (n < graph->n_nodes && graph->nodes[n] != node)
        n++;
    assert(n < graph->n_nodes);
    return n;
}

const struct stp_tail *stp_plan_tail(struct stp_plan *plan, const struct stp_node *node)
{
    return &plan->tails[stp_plan_position(plan, node)];
}

struct stp_projection *stp_plan_projection(struct stp_plan *plan, const struct stp_node *node)
{
    return plan->status == STP_OK ? &plan->projections[stp_plan_position(plan, node)] : NULL;
}

struct stp_conv_choice stp_plan_choose(struct stp_plan *plan, const struct stp_node *node, const struct stp_conv_shape *shape)
{
    const struct stp_conv_choice choice = plan->tuned ? stp_tuned_choose(plan->tuned, &plan->device->limits, shape)
                                                      : stp_device_choice(plan->device, shape);
    if (plan->status == STP_OK && plan->n_convs < plan->instance->graph->n_nodes)
        plan->convs[plan->n_convs++] = (struct stp_plan_conv){node, *shape, choice};
    return choice;
}

bool stp_plan_may_reorder(const struct stp_plan *plan, const struct stp_node *node)
{
    return !plan->exact && plan->instance->may_reorder[stp_plan_position(plan, node)];
}

// Lowering -----------------------------------------------------------------------------------------------------------

// Known on the host, so that nothing has to run for it.
static bool is_host_node(const struct stp_plan *plan, const struct stp_node *node)
{
    for (int o = 0; o < node->n_outputs; o++)
        if (node->outputs[o] && !plan->instance->tensors[node->outputs[o]->id].data)
            return false;
    return true;
}

static void lower_node(struct stp_plan *plan, int position)
{
    const struct stp_node *node = plan->instance->graph->nodes[position];
    if (is_host_node(plan, node))
        return;
    const struct stp_op *op = plan->instance->ops[position];
    stp_status status = op->lower(plan, node);
    if (plan->status == STP_OK)
        plan->status = status;
    // At once, while it is in cache, and so that its other form can die.
    const struct stp_tail *tail = &plan->tails[position];
    for (int o = 0; o < node->n_outputs; o++) {
        const struct stp_value *value = o ? node->outputs[o] : tail->output;
        if (value)
            stp_plan_outputs(plan, value);
    }
}

static void lower_all(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    int *anchor = stp_arena_array(&plan->arena, (size_t)graph->n_nodes, sizeof *anchor);
    if (!anchor) {
        stp_plan_out_of_memory(plan);
        return;
    }
    for (int n = 0; n < graph->n_nodes; n++)
        anchor[n] = n;
    for (int n = 0; n < graph->n_nodes; n++)
        if (!plan->tails[n].swallowed)
            anchor[plan->tails[n].last] = n;
    for (int i = 0; i < graph->n_nodes && plan->status == STP_OK; i++) {
        int n = plan->instance->order[i];
        bool put_off = !plan->tails[n].swallowed && plan->tails[n].last != n;
        bool in_between = plan->tails[n].swallowed && anchor[n] == n;
        if (!put_off && !in_between)
            lower_node(plan, anchor[n]);
    }
}

static void describe(struct stp_ahead_kernel *out, const struct stp_step *step)
{
    size_t used = 0;
    *out = (struct stp_ahead_kernel){.program = step->program, .options = step->options, .kernel = step->name};
    memcpy(out->local, step->local, sizeof out->local);
    for (int a = 0; a < step->n_args && used < sizeof out->arguments; a++) {
        const struct stp_arg *arg = &step->args[a];
        char *to = out->arguments + used;
        size_t room = sizeof out->arguments - used;
        int written = 0;
        switch (arg->kind) {
        case STP_ARG_SLOT: written = snprintf(to, room, "b "); break;
        case STP_ARG_BYTES: written = snprintf(to, room, "%zu ", arg->size); break;
        case STP_ARG_LOCAL: written = snprintf(to, room, "l%zu ", arg->size); break;
        }
        used += (size_t)written;
    }
}

static bool is_listed(const struct stp_ahead_kernel *kernels, size_t count, const struct stp_step *step)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(kernels[i].program, step->program) && !strcmp(kernels[i].options, step->options) &&
            !strcmp(kernels[i].kernel, step->name) && !memcmp(kernels[i].local, step->local, sizeof step->local))
            return true;
    return false;
}

// Where kernels take long to compile, on CPUs, other processes help.
static void compile_ahead(struct stp_plan *plan)
{
    size_t count = 0, missing = 0;
    if (!plan->device->limits.is_cpu || !stp_cache_keeps(stp_device_cache(plan->device)))
        return;
    struct stp_ahead_kernel *kernels = stp_arena_array(&plan->arena, (size_t)plan->n_steps, sizeof *kernels);
    for (int i = 0; kernels && i < plan->n_steps; i++) {
        if (!is_listed(kernels, count, plan->steps[i]))
            describe(&kernels[count++], plan->steps[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (!stp_device_has_program(plan->device, kernels[i].program, kernels[i].options))
            kernels[missing++] = kernels[i];
    stp_ahead_start(plan->device, kernels, missing);
}

static stp_status make_kernels(struct stp_plan *plan, const stp_session_params *params)
{
    for (int i = 0; i < plan->n_steps; i++) {
        struct stp_step *step = plan->steps[i];
        if (params->progress)
            params->progress(params->progress_user, step->name, (size_t)i, (size_t)plan->n_steps);
        STP_TRY(stp_device_kernel(plan->device, step->program, step->options, step->name, &step->kernel));
        for (int a = 0; a < step->n_args; a++) {
            const struct stp_arg *arg = &step->args[a];
            const void *value = arg->kind == STP_ARG_SLOT    ? (const void *)&plan->slots[arg->slot].memory
                                : arg->kind == STP_ARG_BYTES ? (const void *)arg->bytes
                                                             : NULL;
            size_t size = arg->kind == STP_ARG_SLOT ? sizeof(cl_mem) : arg->size;
            STP_TRY(stp_cl_check(plan->device, clSetKernelArg(step->kernel, (cl_uint)a, size, value), "clSetKernelArg"));
        }
    }
    if (params->progress)
        params->progress(params->progress_user, "kernels ready", (size_t)plan->n_steps, (size_t)plan->n_steps);
    return STP_OK;
}

// A buffer of the plan's own: launches follow one another, so one serves them all.
static void add_turn(struct stp_plan *plan)
{
    size_t bytes = stp_worksize_turn_bytes(&plan->device->limits);
    plan->turn = stp_plan_temp(plan, bytes);
    if (plan->status == STP_OK)
        plan->status = stp_device_buffer(plan->device, bytes, CL_MEM_READ_WRITE, NULL, "counters", &plan->slots[plan->turn].memory);
}

stp_status stp_plan_create(struct stp_plan **out, struct stp_device *device, struct stp_constants *constants,
                           struct stp_instance *instance, const stp_session_params *params, const struct stp_tuned_table *tuned)
{
    *out = NULL;
    const struct stp_graph *graph = instance->graph;
    struct stp_plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        stp_instance_destroy(&instance);
        return stp_fail_memory(device->context, sizeof *plan, "a plan");
    }
    plan->device = device;
    plan->constants = constants;
    plan->instance = instance;
    plan->poison = params->poison;
    plan->exact = params->exact;
    plan->tuned = tuned;
    stp_plan_temp(plan, 1);
    add_turn(plan);
    plan->places = stp_arena_array(&plan->arena, (size_t)graph->n_values, sizeof *plan->places);
    plan->lists = stp_arena_array(&plan->arena, (size_t)instance->n_regions, sizeof *plan->lists);
    plan->projections = stp_arena_array(&plan->arena, (size_t)graph->n_nodes, sizeof *plan->projections);
    plan->n_lists = instance->n_regions;
    plan->convs = stp_arena_array(&plan->arena, (size_t)graph->n_nodes, sizeof *plan->convs);
    plan->inputs = stp_arena_array(&plan->arena, (size_t)graph->n_inputs, sizeof *plan->inputs);
    plan->outputs = stp_arena_array(&plan->arena, (size_t)graph->n_outputs, sizeof *plan->outputs);
    if (!plan->places || !plan->lists || !plan->projections || !plan->convs || !plan->inputs || !plan->outputs)
        stp_plan_out_of_memory(plan);
    stp_plan_forget_files(plan); // what loading has read
    if (plan->status == STP_OK)
        stp_plan_find_tails(plan);
    if (plan->status == STP_OK)
        stp_plan_inputs(plan);
    if (plan->status == STP_OK)
        lower_all(plan);
    stp_plan_forget_files(plan); // the weights are on the device now
    if (plan->status == STP_OK)
        stp_plan_outputs(plan, NULL);
    if (plan->status == STP_OK)
        stp_plan_masks(plan);
    if (plan->status == STP_OK) {
        stp_plan_keep_ports(plan);
        plan->status = stp_plan_allocate(plan);
    }
    if (plan->status == STP_OK)
        compile_ahead(plan);
    if (plan->status == STP_OK)
        plan->status = make_kernels(plan, params);
    stp_status status = plan->status;
    if (status == STP_OK)
        *out = plan;
    else
        stp_plan_destroy(&plan);
    return status;
}

void stp_plan_drop_event(cl_event *event)
{
    if (*event)
        clReleaseEvent(*event);
    *event = NULL;
}

void stp_plan_destroy(struct stp_plan **out)
{
    if (!out || !*out)
        return;
    struct stp_plan *plan = *out;
    for (int i = 0; i < plan->n_steps; i++) {
        stp_plan_drop_event(&plan->steps[i]->event);
        if (plan->steps[i]->kernel)
            clReleaseKernel(plan->steps[i]->kernel);
    }
    for (int i = 0; plan->inputs && i < plan->instance->graph->n_inputs; i++)
        stp_plan_drop_event(&plan->inputs[i].event);
    for (int i = 0; plan->outputs && i < plan->instance->graph->n_outputs; i++)
        stp_plan_drop_event(&plan->outputs[i].event);
    for (int s = 0; s < plan->n_slots; s++)
        if (plan->slots[s].memory && !plan->slots[s].constant)
            clReleaseMemObject(plan->slots[s].memory);
    for (int c = 0; c < plan->n_chunks; c++)
        if (plan->chunks[c])
            clReleaseMemObject(plan->chunks[c]);
    free(plan->chunks);
    free(plan->chunk_bytes);
    free(plan->slots);
    free(plan->steps);
    stp_instance_destroy(&plan->instance);
    stp_arena_free(&plan->arena);
    free(plan);
    *out = NULL;
}
