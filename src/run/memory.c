// SPDX-License-Identifier: Apache-2.0
// The memory plan: every slot gets an offset in one arena such that slots which live at the same time do not overlap. The arena is
// one buffer, or several where the device does not allow one so large. Largest first, each at the lowest place that is free. Where parts of a
// buffer must not overlap (struct stp_limits), slots share a part or lie apart, which takes more memory.
#include <stdlib.h>

#include "run/plan.h"

struct order {
    const struct stp_slot *slots;
    int slot;
};

static bool needs_memory(const struct stp_slot *slot)
{
    return !slot->memory && slot->last >= 0 && slot->in_place < 0;
}

// Decides which slots take over the memory of one that dies where they begin: in_place becomes that slot, which lives on for both,
// or -1. In slot order, so that a chain of them ends at its first.
static void share_slots(struct stp_plan *plan)
{
    for (int s = 0; s < plan->n_slots; s++) {
        struct stp_slot *slot = &plan->slots[s];
        if (slot->in_place < 0)
            continue;
        const struct stp_slot *source = &plan->slots[slot->in_place];
        int number = source->in_place < 0 ? slot->in_place : source->in_place;
        struct stp_slot *root = &plan->slots[number];
        if (plan->poison || slot->in_place > s || slot->memory || root->memory || source->last != slot->first ||
            root->bytes != slot->bytes) {
            slot->in_place = -1;
            continue;
        }
        slot->in_place = number;
        root->last = slot->last;
    }
}

static bool live_together(const struct stp_slot *a, const struct stp_slot *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static int larger_first(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    size_t p = x->slots[x->slot].bytes, q = y->slots[y->slot].bytes;
    return p != q ? (p < q ? 1 : -1) : x->slot - y->slot;
}

static int by_offset(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    size_t p = x->slots[x->slot].offset, q = y->slots[y->slot].offset;
    return p != q ? (p < q ? -1 : 1) : x->slot - y->slot;
}

// The lowest offset in `chunk` at which `slot` fits beside the `placed` ones; `neighbours` is scratch.
static size_t find_offset(const struct stp_plan *plan, const struct stp_slot *slot, int chunk, const struct order *placed,
                          int n_placed, struct order *neighbours)
{
    int count = 0;
    for (int i = 0; i < n_placed; i++) {
        const struct stp_slot *other = &plan->slots[placed[i].slot];
        if (other->chunk == chunk && (plan->poison || plan->device->limits.apart || live_together(slot, other)))
            neighbours[count++] = placed[i];
    }
    qsort(neighbours, (size_t)count, sizeof *neighbours, by_offset);
    size_t at = 0, align = plan->device->limits.base_align;
    for (int i = 0; i < count; i++) {
        const struct stp_slot *other = &plan->slots[neighbours[i].slot];
        if (other->offset >= at && other->offset - at >= slot->bytes)
            break;
        size_t end = (other->offset + other->bytes + align - 1) / align * align;
        at = end > at ? end : at;
    }
    return at;
}

// The smallest part that is free while `slot` lives, as the number of the slot that it was made for, or −1. All are large enough.
static int find_part(struct stp_plan *plan, const struct stp_slot *slot, const struct order *placed, int n_placed)
{
    for (int i = 0; i < n_placed; i++) {
        const struct stp_slot *other = &plan->slots[placed[i].slot];
        if (live_together(slot, other))
            plan->slots[other->part].busy = n_placed;
    }
    for (int i = n_placed - 1; i >= 0; i--)
        if (plan->slots[placed[i].slot].part == placed[i].slot && plan->slots[placed[i].slot].busy != n_placed)
            return placed[i].slot;
    return -1;
}

static stp_status add_chunk(struct stp_plan *plan)
{
    size_t *bytes = realloc(plan->chunk_bytes, (size_t)(plan->n_chunks + 1) * sizeof *bytes);
    if (!bytes)
        return stp_fail_memory(plan->device->context, sizeof *bytes, "the memory plan");
    plan->chunk_bytes = bytes;
    plan->chunk_bytes[plan->n_chunks++] = 0;
    return STP_OK;
}

static stp_status place_slots(struct stp_plan *plan, struct order *order, int count, struct order *neighbours)
{
    const struct stp_limits *limits = &plan->device->limits;
    for (int i = 0; i < count; i++) {
        struct stp_slot *slot = &plan->slots[order[i].slot];
        if (slot->bytes > limits->max_allocation)
            return stp_fail(plan->device->context, STP_ERROR_OUT_OF_MEMORY,
                            "one tensor needs %.1f MiB, and %s allows buffers of at most %.1f MiB",
                            (double)slot->bytes / 0x1p20, plan->device->info.name, (double)limits->max_allocation / 0x1p20);
        int part = limits->apart && !plan->poison ? find_part(plan, slot, order, i) : -1;
        slot->part = part < 0 ? order[i].slot : part;
        for (int c = 0; part < 0; c++) {
            if (c == plan->n_chunks)
                STP_TRY(add_chunk(plan));
            size_t at = find_offset(plan, slot, c, order, i, neighbours);
            if (at + slot->bytes > limits->max_allocation)
                continue;
            slot->chunk = c;
            slot->offset = at;
            plan->chunk_bytes[c] = at + slot->bytes > plan->chunk_bytes[c] ? at + slot->bytes : plan->chunk_bytes[c];
            break;
        }
    }
    return STP_OK;
}

static stp_status make_buffers(struct stp_plan *plan)
{
    const struct stp_limits *limits = &plan->device->limits;
    for (int c = 0; c < plan->n_chunks; c++)
        plan->arena_bytes += plan->chunk_bytes[c];
    if (plan->arena_bytes + plan->constants->bytes > limits->global_memory)
        return stp_fail(plan->device->context, STP_ERROR_OUT_OF_MEMORY,
                        "the model needs %.1f MiB at this input size, and %s has %.1f MiB",
                        (double)(plan->arena_bytes + plan->constants->bytes) / 0x1p20, plan->device->info.name,
                        (double)limits->global_memory / 0x1p20);
    // Outputs are mapped where host and device share memory.
    cl_mem_flags flags = CL_MEM_READ_WRITE | (plan->device->info.unified_memory ? CL_MEM_ALLOC_HOST_PTR : 0);
    plan->chunks = calloc((size_t)plan->n_chunks + 1, sizeof *plan->chunks);
    if (!plan->chunks)
        return stp_fail_memory(plan->device->context, sizeof *plan->chunks, "the memory plan");
    for (int c = 0; c < plan->n_chunks; c++)
        STP_TRY(stp_device_buffer(plan->device, plan->chunk_bytes[c], flags, NULL, "activations", &plan->chunks[c]));
    for (int s = 0; s < plan->n_slots; s++) {
        struct stp_slot *slot = &plan->slots[s];
        if (!needs_memory(slot) || slot->part != s)
            continue;
        cl_buffer_region region = {slot->offset, slot->bytes};
        cl_int code;
        slot->memory = clCreateSubBuffer(plan->chunks[slot->chunk], CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
                                         &region, &code);
        STP_TRY(stp_cl_check(plan->device, code, "clCreateSubBuffer"));
    }
    for (int s = 0; s < plan->n_slots; s++) {
        struct stp_slot *slot = &plan->slots[s];
        if (!slot->memory && slot->last >= 0) {
            // Slots that take over memory come after the one it belongs to.
            slot->memory = plan->slots[slot->in_place >= 0 ? slot->in_place : slot->part].memory;
            STP_TRY(stp_cl_check(plan->device, clRetainMemObject(slot->memory), "clRetainMemObject"));
        }
    }
    return STP_OK;
}

// The most that the slots of one step hold together: no arena can be smaller.
static size_t least_bytes(const struct stp_plan *plan)
{
    size_t most = 0;
    for (int step = 0; step <= plan->n_steps; step++) {
        size_t live = 0;
        for (int s = 0; s < plan->n_slots; s++)
            if (needs_memory(&plan->slots[s]) && plan->slots[s].first <= step && step <= plan->slots[s].last)
                live += plan->slots[s].bytes;
        most = live > most ? live : most;
    }
    return most;
}

stp_status stp_plan_allocate(struct stp_plan *plan)
{
    struct order *order = calloc((size_t)plan->n_slots, 2 * sizeof *order);
    if (!order)
        return stp_fail_memory(plan->device->context, (size_t)plan->n_slots * sizeof *order, "the memory plan");
    int count = 0;
    share_slots(plan);
    size_t least = least_bytes(plan);
    for (int s = 0; s < plan->n_slots; s++)
        if (needs_memory(&plan->slots[s]))
            order[count++] = (struct order){plan->slots, s};
    qsort(order, (size_t)count, sizeof *order, larger_first);
    stp_status status = place_slots(plan, order, count, order + plan->n_slots);
    free(order);
    STP_TRY(status);
    STP_TRY(make_buffers(plan));
    stp_log(plan->device->context, STP_LOG_DEBUG, "activations: %zu bytes, of which one step holds up to %zu",
            plan->arena_bytes, least);
    return STP_OK;
}
