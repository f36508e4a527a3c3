// SPDX-License-Identifier: Apache-2.0
// A plan: an instance lowered to steps over slots on one device, its memory laid out, its kernels made. Running it enqueues.
#ifndef STP_RUN_PLAN_H
#define STP_RUN_PLAN_H

#include <stipple/session.h>

#include "graph/instance.h"
#include "ops/lower.h"
#include "ops/tail.h"

enum { STP_STEP_MAX_ARGS = 24 };

enum stp_arg_kind { STP_ARG_SLOT, STP_ARG_BYTES, STP_ARG_LOCAL };

struct stp_arg {
    enum stp_arg_kind kind;
    int slot;
    size_t size;      // BYTES, LOCAL
    char bytes[64];   // BYTES
};

struct stp_step {
    struct stp_plan *plan;
    const struct stp_node *node; // NULL: inputs and outputs
    const char *program, *options, *name;
    struct stp_arg args[STP_STEP_MAX_ARGS];
    int n_args;
    int dimensions;
    size_t global[3], local[3];
    cl_kernel kernel;
    double ms; // of the last run, with profiling
    cl_event event;
};

struct stp_slot {
    size_t bytes;
    int first, last; // steps that name it; first > last: none
    int in_place;    // slot whose memory it may take over, or -1
    bool constant;   // `memory` belongs to the session's constants
    size_t offset;   // within its chunk of the arena
    int chunk;
    int part;        // the slot that the sub-buffer was made for: itself, or one that lives at another time
    int busy;        // scratch
    cl_mem memory;   // set before the memory plan: a buffer of its own; else a sub-buffer of a chunk
};

// A device constant of the session: weights, tables.
struct stp_constant {
    const void *key;
    int variant;
    size_t bytes;
    cl_mem memory;
};

struct stp_constants {
    struct stp_constant *items;
    size_t count, capacity;
    size_t bytes; // of all
};

// A graph input or output on the device: `slot` holds it in ONNX's order.
struct stp_port {
    const struct stp_value *value;
    int slot;
    size_t bytes;
    bool mapped; // outputs: in memory that host and device share, mapped instead of read
    cl_mem staging; // of other outputs: host memory that the device can write, mapped; NULL where it cannot be had
    cl_event event; // of the last run's transfer, with profiling
};

struct stp_list {
    int region;
    struct stp_rows rows;
};

// A convolution, and how it is computed.
struct stp_plan_conv {
    const struct stp_node *node;
    struct stp_conv_shape shape;
    struct stp_conv_choice choice;
};

struct stp_plan {
    struct stp_device *device;
    struct stp_constants *constants;
    struct stp_instance *instance;
    struct stp_arena arena;
    stp_status status; // the first failure sticks
    bool poison, exact;

    struct stp_step **steps;
    int n_steps;
    size_t cap_steps;
    struct stp_slot *slots;
    int n_slots;
    size_t cap_slots;
    int turn; // slot of stp_step_turn()
    struct stp_place **places;    // per value; NULL until asked for
    struct stp_tail *tails;       // per node
    struct stp_projection *projections; // per node
    const struct stp_tuned_table *tuned; // NULL: the device's
    struct stp_plan_conv *convs;         // in the order in which they were lowered
    int n_convs;
    struct stp_list *lists;       // per region number; region 0 is not one
    int n_lists;

    struct stp_port *inputs, *outputs; // per graph input (slot −1: not used on the device) and output
    struct stp_port *masks;            // kept for report.c: first those to report (Sample's outputs, mask inputs)
    int n_masks, n_reported;

    // What builder functions give after a failure.
    struct stp_step unused_step;
    struct stp_arg unused_arg;
    struct stp_place nowhere;

    cl_mem *chunks;
    size_t *chunk_bytes;
    int n_chunks;
    size_t arena_bytes;
    size_t read_bytes; // of files, for constants, since they were last forgotten
};

// Takes the instance over in every case. `progress` may be NULL. `tuned` says how convolutions are computed, NULL: as the device's tuning.
stp_status stp_plan_create(struct stp_plan **out, struct stp_device *device, struct stp_constants *constants,
                           struct stp_instance *instance, const stp_session_params *params, const struct stp_tuned_table *tuned);
void stp_plan_destroy(struct stp_plan **plan);
// Accepts a pointer to NULL.
void stp_plan_drop_event(cl_event *event);

// Of a node of the graph, among its nodes.
int stp_plan_position(const struct stp_plan *plan, const struct stp_node *node);

// Records a failure of the plan's own bookkeeping, unless it failed before.
void stp_plan_out_of_memory(struct stp_plan *plan);

// ports.c: uploads before all other steps; what an output needs, as soon as `value` is computed (NULL: the outputs that are left);
// masks; then the slots of all these are kept alive.
void stp_plan_inputs(struct stp_plan *plan);
void stp_plan_outputs(struct stp_plan *plan, const struct stp_value *value);
void stp_plan_masks(struct stp_plan *plan);
void stp_plan_keep_ports(struct stp_plan *plan);

// slots.c: the model's files leave this process's memory, until they are read again.
void stp_plan_forget_files(struct stp_plan *plan);

// memory.c: offsets by lifetime, chunks, sub-buffers.
stp_status stp_plan_allocate(struct stp_plan *plan);

void stp_constants_release(struct stp_constants *constants);

#endif
