// SPDX-License-Identifier: Apache-2.0
// What goes into a plan and comes out of it: inputs, outputs, and the masks that can be asked for after a run.
#include <stdio.h>

#include "device/worksize.h"
#include "graph/infer.h"
#include "graph/op.h"
#include "ops/registry.h"
#include "run/plan.h"

// Rank 4 with more than one channel and more than one site lies in another order on the device than in ONNX.
static bool needs_transpose(const stp_tensor *t)
{
    return t->rank == 4 && t->dims[1] > 1 && t->dims[2] * t->dims[3] > 1;
}

// `to` and `from` hold the same tensor, in ONNX's order and in storage order (`pack`), or the other way round.
static void add_transpose(struct stp_plan *plan, const stp_tensor *t, int to, int from, bool pack)
{
    char options[64];
    bool words = t->dtype == STP_F32 || t->dtype == STP_I32;
    const struct stp_limits *limits = &plan->device->limits;
    int64_t sites = t->dims[2] * t->dims[3];
    struct stp_transpose_size size = stp_worksize_transpose(limits, t->dims[0], t->dims[1], sites);
    snprintf(options, sizeof options, "-DT=%s -DWORDS=%d -DVEC=%d -DSIDE=%d",
             words                 ? "int"
             : t->dtype == STP_I64 ? "long"
                                   : "uchar",
             words, stp_worksize_vector(limits), size.side);
    const char *kernel = size.side ? "transpose_tiles" : pack ? "nchw_to_nhwc" : "nhwc_to_nchw";
    struct stp_step *step = stp_plan_step(plan, NULL, "layout", options, kernel);
    bool by_sites = size.side && !pack; // transpose_tiles is told rows and columns
    stp_step_read(step, from);
    stp_step_write(step, to);
    stp_step_int(step, stp_plan_i32(plan, NULL, t->dims[0]));
    stp_step_int(step, stp_plan_i32(plan, NULL, by_sites ? sites : t->dims[1]));
    stp_step_int(step, stp_plan_i32(plan, NULL, by_sites ? t->dims[1] : sites));
    if (size.side)
        stp_step_size(step, 2, size.global, size.local);
    else
        stp_step_stride(step, t->dims[0] * stp_div_up(sites, pack ? 16 : 32));
}

void stp_plan_inputs(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct stp_value *value = graph->inputs[i];
        const stp_tensor *t = stp_plan_tensor(plan, value);
        struct stp_port *port = &plan->inputs[i];
        *port = (struct stp_port){.value = value, .slot = -1};
        if (!value->readers && !value->is_output)
            continue;
        port->bytes = stp_tensor_bytes(t);
        port->slot = stp_plan_place(plan, value)->slot;
        if (needs_transpose(t)) {
            int staging = stp_plan_temp(plan, port->bytes);
            add_transpose(plan, t, port->slot, staging, true);
            port->slot = staging;
        }
    }
}

// Live from before the first step, or beyond the last.
static void keep_input(struct stp_plan *plan, int slot)
{
    plan->slots[slot].first = 0;
    if (plan->slots[slot].last < 0)
        plan->slots[slot].last = 0;
}

static void keep_output(struct stp_plan *plan, int slot)
{
    plan->slots[slot].last = plan->n_steps;
    if (plan->slots[slot].first > plan->n_steps)
        plan->slots[slot].first = plan->n_steps;
}

static void set_output(struct stp_plan *plan, int index, int slot, size_t bytes)
{
    bool mapped = plan->device->info.unified_memory && bytes && !plan->slots[slot].memory;
    plan->outputs[index] = (struct stp_port){plan->instance->graph->outputs[index], slot, bytes, mapped};
}

static void add_output(struct stp_plan *plan, int index)
{
    const struct stp_value *value = plan->instance->graph->outputs[index];
    const stp_tensor *t = stp_plan_tensor(plan, value);
    int slot = stp_plan_place(plan, value)->slot;
    size_t bytes = stp_tensor_bytes(t);
    if (needs_transpose(t)) {
        int row_major = stp_plan_temp(plan, bytes);
        add_transpose(plan, t, row_major, slot, false);
        slot = row_major;
    }
    set_output(plan, index, slot, bytes);
}

int stp_plan_output_in_passing(struct stp_plan *plan, const struct stp_value *value)
{
    const struct stp_graph *graph = plan->instance->graph;
    const stp_tensor *t = stp_plan_tensor(plan, value);
    for (int i = 0; i < graph->n_outputs; i++) {
        if (graph->outputs[i] != value || plan->outputs[i].value || t->dtype != STP_F32 || !needs_transpose(t))
            continue;
        int slot = stp_plan_temp(plan, stp_tensor_bytes(t));
        set_output(plan, i, slot, stp_tensor_bytes(t));
        return slot;
    }
    return -1;
}

void stp_plan_outputs(struct stp_plan *plan, const struct stp_value *value)
{
    const struct stp_graph *graph = plan->instance->graph;
    for (int i = 0; i < graph->n_outputs; i++)
        if (!plan->outputs[i].value && (!value || graph->outputs[i] == value))
            add_output(plan, i);
}

static void add_mask(struct stp_plan *plan, const struct stp_value *value)
{
    for (int i = 0; i < plan->n_masks; i++)
        if (plan->masks[i].value == value)
            return;
    const stp_tensor *t = stp_plan_tensor(plan, value);
    plan->masks[plan->n_masks++] =
        (struct stp_port){.value = value, .slot = stp_plan_place(plan, value)->slot, .bytes = stp_tensor_bytes(t)};
}

// Sample's outputs, graph inputs that are masks, and what lists and interpolations rest on stay until they can be asked for.
void stp_plan_masks(struct stp_plan *plan)
{
    const struct stp_instance *instance = plan->instance;
    const struct stp_graph *graph = instance->graph;
    plan->masks = stp_arena_array(&plan->arena, (size_t)graph->n_values, sizeof *plan->masks);
    if (!plan->masks) {
        stp_plan_out_of_memory(plan);
        return;
    }
    for (int v = 0; v < graph->n_values; v++) {
        const struct stp_value *value = graph->values[v];
        bool sampled = value->producer && value->producer->op == &stp_op_Sample;
        if ((sampled || value->is_input) && stp_instance_is_mask(instance, value) && plan->places[v])
            add_mask(plan, value);
    }
    plan->n_reported = plan->n_masks;
    for (int r = 1; r < instance->n_regions; r++)
        if (instance->regions[r].kind == STP_SITES_LIST)
            add_mask(plan, graph->values[instance->regions[r].mask]);
    for (int n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n]->op == &stp_op_Interpolate)
            add_mask(plan, stp_instance_mask_source(instance, graph->nodes[n]->inputs[1]));
}

void stp_plan_keep_ports(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    for (int i = 0; i < graph->n_inputs; i++)
        if (plan->inputs[i].slot >= 0)
            keep_input(plan, plan->inputs[i].slot);
    for (int i = 0; i < graph->n_outputs; i++)
        keep_output(plan, plan->outputs[i].slot);
    for (int i = 0; i < plan->n_masks; i++)
        keep_output(plan, plan->masks[i].slot);
    for (int i = 1; i < plan->n_lists; i++)
        if (plan->lists[i].region)
            keep_output(plan, plan->lists[i].rows.count);
}
