// SPDX-License-Identifier: Apache-2.0
// Slots: device buffers of a plan, the constants of the session among them, and where each value of the graph lies.
#include <stdlib.h>

#include "base/parallel.h"
#include "run/plan.h"
#include "sparse/lists.h"

void stp_plan_out_of_memory(struct stp_plan *plan)
{
    if (plan->status == STP_OK)
        plan->status = stp_fail(stp_plan_context(plan), STP_ERROR_OUT_OF_MEMORY, "out of memory while planning");
}

// Slots --------------------------------------------------------------------------------------------------------------

int stp_plan_temp(struct stp_plan *plan, size_t bytes)
{
    struct stp_slot *grown = stp_grow(plan->slots, (size_t)plan->n_slots, &plan->cap_slots, sizeof *grown);
    if (!grown) {
        stp_plan_out_of_memory(plan);
        return 0; // slot 0 always exists: the plan makes it first
    }
    plan->slots = grown;
    plan->slots[plan->n_slots] = (struct stp_slot){.bytes = bytes ? bytes : 1, .first = INT32_MAX, .last = -1, .in_place = -1};
    return plan->n_slots++;
}

static struct stp_constant *find_constant(struct stp_constants *constants, const void *key, int variant)
{
    for (size_t i = 0; i < constants->count; i++)
        if (constants->items[i].key == key && constants->items[i].variant == variant)
            return &constants->items[i];
    return NULL;
}

typedef void stp_pack_fn(void *destination, const void *user);

static stp_status pack_and_copy(struct stp_device *device, struct stp_constant *constant, stp_pack_fn *pack, const void *user)
{
    size_t bytes = constant->bytes ? constant->bytes : 1;
    void *host = calloc(1, bytes);
    if (!host)
        return stp_fail_memory(device->context, bytes, "weights");
    pack(host, user);
    stp_status status = stp_device_buffer(device, bytes, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, host, "weights",
                                          &constant->memory);
    free(host);
    return status;
}

// Bytes: of a constant that is worth a mapping; that one core clears at a time; of files that are read before they are forgotten.
enum { LARGE = 256 << 10, CLEARED = 1 << 20, READ = 16 << 20 };

struct clearing {
    char *memory;
    size_t bytes;
};

static void clear_part(void *user, int64_t part)
{
    const struct clearing *clearing = user;
    size_t first = (size_t)part * CLEARED, rest = clearing->bytes - first;
    memset(clearing->memory + first, 0, rest < CLEARED ? rest : CLEARED);
}

// In memory that host and device share: without a copy.
static stp_status pack_in_place(struct stp_device *device, struct stp_constant *constant, stp_pack_fn *pack, const void *user)
{
    cl_int code;
    STP_TRY(stp_device_buffer(device, constant->bytes, CL_MEM_READ_ONLY, NULL, "weights", &constant->memory));
    void *memory = clEnqueueMapBuffer(device->queue, constant->memory, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0,
                                      constant->bytes, 0, NULL, NULL, &code);
    STP_TRY(stp_cl_check(device, code, "clEnqueueMapBuffer"));
    struct clearing clearing = {.memory = memory, .bytes = constant->bytes};
    stp_parallel(stp_div_up((int64_t)constant->bytes, CLEARED), clear_part, &clearing);
    pack(memory, user);
    return stp_cl_check(device, clEnqueueUnmapMemObject(device->queue, constant->memory, memory, 0, NULL, NULL),
                        "clEnqueueUnmapMemObject");
}

void stp_plan_forget_files(struct stp_plan *plan)
{
    const struct stp_graph *graph = plan->instance->graph;
    stp_file_forget(&graph->file);
    for (int i = 0; i < graph->n_externals; i++)
        stp_file_forget(&graph->externals[i]);
    plan->read_bytes = 0;
}

static struct stp_constant *make_constant(struct stp_plan *plan, const void *key, int variant, size_t bytes,
                                          stp_pack_fn *pack, const void *user)
{
    struct stp_constants *constants = plan->constants;
    struct stp_constant *grown = stp_grow(constants->items, constants->count, &constants->capacity, sizeof *grown);
    if (!grown) {
        stp_plan_out_of_memory(plan);
        return NULL;
    }
    constants->items = grown;
    struct stp_constant constant = {.key = key, .variant = variant, .bytes = bytes};
    plan->status = plan->device->info.unified_memory && bytes >= LARGE
                       ? pack_in_place(plan->device, &constant, pack, user)
                       : pack_and_copy(plan->device, &constant, pack, user);
    if (plan->status != STP_OK) {
        if (constant.memory)
            clReleaseMemObject(constant.memory);
        return NULL;
    }
    constants->bytes += bytes;
    // What is on the device is not held in the host's memory too.
    plan->read_bytes += bytes;
    if (plan->read_bytes >= READ)
        stp_plan_forget_files(plan);
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
    int slot = stp_plan_temp(plan, bytes);
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
    const char *from = t->data;
    for (int64_t n = 0; n < t->dims[0]; n++)
        for (int64_t c = 0; c < channels; c++) {
            char *to = (char *)destination + (size_t)(n * sites * channels + c) * size;
            for (int64_t s = 0; s < sites; s++, from += size, to += (size_t)channels * size)
                memcpy(to, from, size);
        }
}

// A value that is known on the host under these sizes only: a buffer of the plan's own.
static int add_known(struct stp_plan *plan, const stp_tensor *t, size_t bytes)
{
    int slot = stp_plan_temp(plan, bytes);
    void *host = malloc(bytes ? bytes : 1);
    if (!host) {
        stp_plan_out_of_memory(plan);
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
    if (!*place) {
        stp_plan_out_of_memory(plan);
        return &plan->nowhere;
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
        p->slot = stp_plan_temp(plan, bytes);
    return p;
}

bool stp_plan_has(const struct stp_plan *plan, const struct stp_value *value)
{
    const struct stp_place *place = plan->places[value->id];
    return value->is_input || stp_value_is_constant(value) || plan->instance->tensors[value->id].data ||
           (place && plan->slots[place->slot].first <= plan->slots[place->slot].last);
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
