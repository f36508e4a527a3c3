// SPDX-License-Identifier: Apache-2.0
#include "run/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/worksize.h"
#include "graph/op.h"
#include "ops/registry.h"
#include "sparse/lists.h"

// The step that a builder function writes to after a failure.
static struct stp_step *broken_step(struct stp_plan *plan)
{
    static struct stp_step unused;
    unused.plan = plan;
    return &unused;
}

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

// Position of a node of the graph.
static int position_of(const struct stp_plan *plan, const struct stp_node *node)
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
    return &plan->tails[position_of(plan, node)];
}

struct stp_projection *stp_plan_projection(struct stp_plan *plan, const struct stp_node *node)
{
    return plan->status == STP_OK ? &plan->projections[position_of(plan, node)] : NULL;
}

static void out_of_memory(struct stp_plan *plan)
{
    if (plan->status == STP_OK)
        plan->status = stp_fail(stp_plan_context(plan), STP_ERROR_OUT_OF_MEMORY, "out of memory while planning");
}

// Slots --------------------------------------------------------------------------------------------------------------

static int add_slot(struct stp_plan *plan, size_t bytes)
{
    if (plan->n_slots == plan->cap_slots) {
        int capacity = plan->cap_slots ? plan->cap_slots * 2 : 256;
        struct stp_slot *grown = realloc(plan->slots, (size_t)capacity * sizeof *grown);
        if (!grown) {
            out_of_memory(plan);
            return 0; // slot 0 always exists: the plan makes it first
        }
        plan->slots = grown;
        plan->cap_slots = capacity;
    }
    plan->slots[plan->n_slots] = (struct stp_slot){.bytes = bytes ? bytes : 1, .first = INT32_MAX, .last = -1, .in_place = -1};
    return plan->n_slots++;
}

int stp_plan_temp(struct stp_plan *plan, size_t bytes)
{
    return add_slot(plan, bytes);
}

static struct stp_constant *find_constant(struct stp_constants *constants, const void *key, int variant)
{
    for (size_t i = 0; i < constants->count; i++)
        if (constants->items[i].key == key && constants->items[i].variant == variant)
            return &constants->items[i];
    return NULL;
}

static struct stp_constant *make_constant(struct stp_plan *plan, const void *key, int variant, size_t bytes,
                                          void (*pack)(void *, const void *), const void *user)
{
    struct stp_constants *constants = plan->constants;
    if (constants->count == constants->capacity) {
        size_t capacity = constants->capacity ? constants->capacity * 2 : 64;
        struct stp_constant *grown = realloc(constants->items, capacity * sizeof *grown);
        if (!grown) {
            out_of_memory(plan);
            return NULL;
        }
        constants->items = grown;
        constants->capacity = capacity;
    }
    void *host = calloc(1, bytes ? bytes : 1);
    if (!host) {
        plan->status = stp_fail_memory(stp_plan_context(plan), bytes, "weights");
        return NULL;
    }
    pack(host, user);
    struct stp_constant constant = {.key = key, .variant = variant, .bytes = bytes};
    plan->status = stp_device_buffer(plan->device, bytes ? bytes : 1, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, host,
                                     "weights", &constant.memory);
    free(host);
    if (plan->status != STP_OK)
        return NULL;
    constants->bytes += bytes;
    constants->items[constants->count] = constant;
    return &constants->items[constants->count++];
}

int stp_plan_constant(struct stp_plan *plan, const void *key, int variant, size_t bytes,
                      void (*pack)(void *destination, const void *user), const void *user)
{
    if (plan->status != STP_OK)
        return 0;
    struct stp_constant *constant = find_constant(plan->constants, key, variant);
    if (constant && constant->bytes != bytes) {
        plan->status = stp_fail(stp_plan_context(plan), STP_ERROR_DEVICE, "internal: one constant in two sizes");
        return 0;
    }
    if (!constant)
        constant = make_constant(plan, key, variant, bytes, pack, user);
    if (!constant)
        return 0;
    for (int s = 0; s < plan->n_slots; s++)
        if (plan->slots[s].constant && plan->slots[s].memory == constant->memory)
            return s;
    int slot = add_slot(plan, bytes);
    if (plan->status == STP_OK) {
        plan->slots[slot].constant = true;
        plan->slots[slot].memory = constant->memory;
    }
    return slot;
}

static void pack_zeros(void *destination, const void *user)
{
    (void)destination;
    (void)user;
}

int stp_plan_zeros(struct stp_plan *plan, size_t count)
{
    // In powers of two, so that a few buffers serve all.
    static const char key;
    int power = 8;
    while (((size_t)1 << power) < count)
        power++;
    return stp_plan_constant(plan, &key, power, sizeof(float) << power, pack_zeros, NULL);
}

void stp_constants_release(struct stp_constants *constants)
{
    for (size_t i = 0; i < constants->count; i++)
        clReleaseMemObject(constants->items[i].memory);
    free(constants->items);
    *constants = (struct stp_constants){0};
}

// Places -------------------------------------------------------------------------------------------------------------

static void storage_dims(int rank, const int64_t *dims, int64_t *storage)
{
    memcpy(storage, dims, (size_t)rank * sizeof *dims);
    if (rank == 4) {
        storage[1] = dims[2];
        storage[2] = dims[3];
        storage[3] = dims[1];
    }
}

struct constant_source {
    const stp_tensor *tensor;
};

// Row-major N×C×H×W → N×H×W×C; other ranks as they are.
static void pack_storage(void *destination, const void *user)
{
    const stp_tensor *t = ((const struct constant_source *)user)->tensor;
    size_t size = stp_dtype_size(t->dtype);
    int64_t count = stp_tensor_elements(t);
    if (t->rank != 4) {
        memcpy(destination, t->data, (size_t)count * size);
        return;
    }
    int64_t channels = t->dims[1], sites = t->dims[2] * t->dims[3];
    for (int64_t i = 0; i < count; i++) {
        int64_t n = i / (channels * sites), c = i / sites % channels, s = i % sites;
        memcpy((char *)destination + (size_t)((n * sites + s) * channels + c) * size,
               (const char *)t->data + (size_t)i * size, size);
    }
}

// A value that is known on the host under these sizes only: a buffer of the plan's own.
static int add_known(struct stp_plan *plan, const stp_tensor *t, size_t bytes)
{
    int slot = add_slot(plan, bytes);
    void *host = malloc(bytes ? bytes : 1);
    if (!host) {
        out_of_memory(plan);
    } else if (plan->status == STP_OK) {
        pack_storage(host, &(struct constant_source){t});
        plan->status = stp_device_buffer(plan->device, bytes ? bytes : 1, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, host,
                                         "a known value", &plan->slots[slot].memory);
    }
    free(host);
    return slot;
}

const struct stp_place *stp_plan_place(struct stp_plan *plan, const struct stp_value *value)
{
    struct stp_place **place = &plan->places[value->id];
    if (*place)
        return *place;
    *place = stp_arena_alloc(&plan->arena, sizeof **place);
    static struct stp_place nowhere;
    if (!*place) {
        out_of_memory(plan);
        return &nowhere;
    }
    const stp_tensor *t = stp_plan_tensor(plan, value);
    struct stp_place *p = *place;
    p->dtype = t->dtype;
    p->rank = t->rank;
    memcpy(p->dims, t->dims, sizeof p->dims);
    storage_dims(t->rank, t->dims, p->storage);
    int64_t elements = stp_tensor_elements(t), last = t->rank ? p->storage[t->rank - 1] : 1;
    p->rows = stp_plan_rows(plan, plan->instance->region[value->id], last ? elements / last : 0);
    size_t bytes = (size_t)elements * stp_dtype_size(t->dtype);
    stp_tensor constant = stp_value_tensor(value);
    if (stp_value_is_constant(value))
        p->slot = stp_plan_constant(plan, value, 0, bytes, pack_storage, &(struct constant_source){&constant});
    else if (t->data && !value->is_input)
        p->slot = add_known(plan, t, bytes);
    else
        p->slot = add_slot(plan, bytes);
    return p;
}

void stp_plan_alias(struct stp_plan *plan, const struct stp_value *value, const struct stp_value *of)
{
    int slot = stp_plan_place(plan, of)->slot;
    int spare = plan->n_slots;
    struct stp_place *place = (struct stp_place *)stp_plan_place(plan, value);
    if (plan->status != STP_OK)
        return;
    if (place->slot == spare && plan->n_slots == spare + 1)
        plan->n_slots--; // the slot made for it is not needed
    place->slot = slot;
}

// Steps --------------------------------------------------------------------------------------------------------------

struct stp_step *stp_plan_step(struct stp_plan *plan, const struct stp_node *node, const char *program,
                               const char *options, const char *kernel)
{
    if (plan->status != STP_OK)
        return broken_step(plan);
    if (plan->n_steps == plan->cap_steps) {
        int capacity = plan->cap_steps ? plan->cap_steps * 2 : 256;
        struct stp_step **grown = realloc(plan->steps, (size_t)capacity * sizeof *grown);
        if (!grown) {
            out_of_memory(plan);
            return broken_step(plan);
        }
        plan->steps = grown;
        plan->cap_steps = capacity;
    }
    struct stp_step *step = stp_arena_alloc(&plan->arena, sizeof *step);
    char *copy = stp_arena_string(&plan->arena, options, strlen(options));
    if (!step || !copy) {
        out_of_memory(plan);
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
    static struct stp_arg unused;
    if (step->plan->status != STP_OK)
        return &unused;
    if (step->n_args == STP_STEP_MAX_ARGS) {
        step->plan->status = stp_fail(stp_plan_context(step->plan), STP_ERROR_DEVICE, "internal: too many arguments");
        return &unused;
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

void stp_step_ints(struct stp_step *step, const int32_t *values, int count)
{
    add_bytes(step, values, (size_t)count * sizeof *values);
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

// Inputs and outputs ---------------------------------------------------------------------------------------------------

// Rank 4 with more than one channel and more than one site lies in another order on the device than in ONNX.
static bool needs_transpose(const stp_tensor *t)
{
    return t->rank == 4 && t->dims[1] > 1 && t->dims[2] * t->dims[3] > 1;
}

// `to` and `from` hold the same tensor, in ONNX's order and in storage order (`pack`), or the other way round.
static void add_transpose(struct stp_plan *plan, const stp_tensor *t, int to, int from, bool pack)
{
    char options[64];
    snprintf(options, sizeof options, "-DT=%s",
             t->dtype == STP_F32 || t->dtype == STP_I32 ? "int" : t->dtype == STP_I64 ? "long" : "uchar");
    struct stp_step *step = stp_plan_step(plan, NULL, "layout", options, pack ? "nchw_to_nhwc" : "nhwc_to_nchw");
    int64_t sites = t->dims[2] * t->dims[3];
    stp_step_read(step, from);
    stp_step_write(step, to);
    stp_step_int(step, stp_plan_i32(plan, NULL, t->dims[0]));
    stp_step_int(step, stp_plan_i32(plan, NULL, t->dims[1]));
    stp_step_int(step, stp_plan_i32(plan, NULL, sites));
    stp_step_stride(step, t->dims[0] * stp_div_up(sites, 16));
}

static void plan_inputs(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct stp_value *value = graph->inputs[i];
        const stp_tensor *t = stp_plan_tensor(plan, value);
        struct stp_port *port = &plan->inputs[i];
        *port = (struct stp_port){.value = value, .slot = -1};
        if (!value->readers && !value->is_output)
            continue;
        port->bytes = (size_t)stp_tensor_elements(t) * stp_dtype_size(t->dtype);
        port->slot = stp_plan_place(plan, value)->slot;
        if (needs_transpose(t)) {
            int staging = add_slot(plan, port->bytes);
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

// Where host and device share memory an output that is written anew anyway is written where the host can read it.
static void share_output(struct stp_plan *plan, struct stp_port *port)
{
    if (!plan->device->info.unified_memory || plan->poison || !port->bytes || plan->status != STP_OK)
        return;
    plan->status = stp_device_buffer(plan->device, port->bytes, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, NULL,
                                     "an output", &plan->slots[port->slot].memory);
    plan->arena_bytes += port->bytes;
    port->mapped = true;
}

static void plan_outputs(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    for (int i = 0; i < graph->n_outputs; i++) {
        const struct stp_value *value = graph->outputs[i];
        const stp_tensor *t = stp_plan_tensor(plan, value);
        struct stp_port *port = &plan->outputs[i];
        *port = (struct stp_port){.value = value, .slot = stp_plan_place(plan, value)->slot};
        port->bytes = (size_t)stp_tensor_elements(t) * stp_dtype_size(t->dtype);
        if (needs_transpose(t)) {
            int row_major = add_slot(plan, port->bytes);
            add_transpose(plan, t, row_major, port->slot, false);
            port->slot = row_major;
            share_output(plan, port);
        }
    }
}

static void add_mask(struct stp_plan *plan, const struct stp_value *value)
{
    for (int i = 0; i < plan->n_masks; i++)
        if (plan->masks[i].value == value)
            return;
    const stp_tensor *t = stp_plan_tensor(plan, value);
    plan->masks[plan->n_masks++] = (struct stp_port){.value = value,
                                                     .slot = stp_plan_place(plan, value)->slot,
                                                     .bytes = (size_t)stp_tensor_elements(t) * stp_dtype_size(t->dtype)};
}

// Sample's outputs, graph inputs that are masks, and what lists and interpolations rest on stay until they can be asked for.
static void plan_masks(struct stp_plan *plan)
{
    const struct stp_instance *instance = plan->instance;
    const struct stp_graph *graph = instance->graph;
    plan->masks = stp_arena_array(&plan->arena, (size_t)graph->n_values, sizeof *plan->masks);
    if (!plan->masks) {
        out_of_memory(plan);
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

static void keep_ports(struct stp_plan *plan)
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
}

static void lower_all(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    int *anchor = stp_arena_array(&plan->arena, (size_t)graph->n_nodes, sizeof *anchor);
    if (!anchor) {
        out_of_memory(plan);
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

stp_status stp_plan_create(struct stp_plan **out, struct stp_device *device, struct stp_constants *constants,
                           struct stp_instance *instance, const stp_session_params *params)
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
    plan->exact = params->exact;
    plan->poison = params->poison;
    add_slot(plan, 1);
    plan->places = stp_arena_array(&plan->arena, (size_t)graph->n_values, sizeof *plan->places);
    plan->lists = stp_arena_array(&plan->arena, (size_t)instance->n_regions, sizeof *plan->lists);
    plan->projections = stp_arena_array(&plan->arena, (size_t)graph->n_nodes, sizeof *plan->projections);
    plan->n_lists = instance->n_regions;
    plan->inputs = stp_arena_array(&plan->arena, (size_t)graph->n_inputs, sizeof *plan->inputs);
    plan->outputs = stp_arena_array(&plan->arena, (size_t)graph->n_outputs, sizeof *plan->outputs);
    if (!plan->places || !plan->lists || !plan->projections || !plan->inputs || !plan->outputs)
        out_of_memory(plan);
    if (plan->status == STP_OK)
        stp_plan_find_tails(plan);
    if (plan->status == STP_OK)
        plan_inputs(plan);
    if (plan->status == STP_OK)
        lower_all(plan);
    if (plan->status == STP_OK)
        plan_outputs(plan);
    if (plan->status == STP_OK)
        plan_masks(plan);
    if (plan->status == STP_OK) {
        keep_ports(plan);
        plan->status = stp_plan_allocate(plan);
    }
    if (plan->status == STP_OK)
        plan->status = make_kernels(plan, params);
    stp_status status = plan->status;
    if (status == STP_OK)
        *out = plan;
    else
        stp_plan_destroy(&plan);
    return status;
}

void stp_plan_destroy(struct stp_plan **out)
{
    if (!out || !*out)
        return;
    struct stp_plan *plan = *out;
    for (int i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i]->event)
            clReleaseEvent(plan->steps[i]->event);
        if (plan->steps[i]->kernel)
            clReleaseKernel(plan->steps[i]->kernel);
    }
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
