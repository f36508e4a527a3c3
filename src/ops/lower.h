// SPDX-License-Identifier: Apache-2.0
// From nodes to kernel launches: what an operator's lower() sees of a plan. A plan is a list of steps (one kernel launch
// each) over slots (device buffers). A slot lives from the first step that names it to the last; the memory plan follows
// from that alone. Failures stick to the plan: a builder function may be called after one and does nothing.
#ifndef STP_OPS_LOWER_H
#define STP_OPS_LOWER_H

#include "device/worksize.h"
#include "graph/graph.h"

struct stp_plan;
struct stp_step;

// Which sites of a tensor exist on the device. A site is (n·H + y)·W + x.
// Packed: row r of the buffer holds site rows[r] for r < count[0]; inverse[site] is the row, or −1.
// All sites (also when a list has become the identity): row = site, and count[0] == sites; then kernels must not read rows or
// inverse. `count` is always a valid buffer, so `count[0] < sites` is the test for a list on the device.
struct stp_rows {
    bool all;
    int rows, inverse, count; // slots
    int64_t sites;            // N·H·W
    int list;                 // number of the list within the plan, −1 for all: equal numbers are the same rows
};

// How a value lies on the device. Rank 4 is stored N×H×W×C (storage dims), every other rank row-major; float32, int32, int64, bool (one byte).
struct stp_place {
    int slot;
    stp_dtype dtype;
    int rank;
    int64_t dims[STP_MAX_RANK];    // logical (ONNX's order)
    int64_t storage[STP_MAX_RANK]; // the same in storage order, slowest first
    struct stp_rows rows;          // rank 4; otherwise all, sites = product of all dims but the last
};

// The first half of mask convolutions (sparse/mask_conv.c): columns `first` … of the slot's `columns`, 0 until they are made. Rows and
// columns lie so many floats apart.
struct stp_projection {
    int slot;
    int64_t columns, first, row_step, column_step;
    const struct stp_node *with; // in whose launch they are summed up: the node itself or another; NULL: not yet
};
// The node's entry, to be read and written; NULL after a failure.
struct stp_projection *stp_plan_projection(struct stp_plan *plan, const struct stp_node *node);

const struct stp_graph *stp_plan_graph(struct stp_plan *plan);
stp_context *stp_plan_context(struct stp_plan *plan);
const struct stp_device *stp_plan_device(struct stp_plan *plan);
// How a convolution of that shape is computed there, tuned or not; noted for the tuner.
struct stp_conv_choice stp_plan_choose(struct stp_plan *plan, const struct stp_node *node, const struct stp_conv_shape *shape);

// Whether the node's arithmetic may be done in another order than the documented one (SPEC.md, Exactness).
bool stp_plan_may_reorder(const struct stp_plan *plan, const struct stp_node *node);

// The shape (and host-known data) of a value of the graph under the plan's input sizes.
const stp_tensor *stp_plan_tensor(struct stp_plan *plan, const struct stp_value *value);
// Where a value lies. A constant is uploaded (in storage order) on its first use; a value without a slot yet gets one.
const struct stp_place *stp_plan_place(struct stp_plan *plan, const struct stp_value *value);
// Whether the value is there before the next step: an input, a constant, known on the host, or what a step so far writes.
bool stp_plan_has(const struct stp_plan *plan, const struct stp_value *value);
// `value` is another name for the bytes of `of` (Identity, a Reshape that moves nothing).
void stp_plan_alias(struct stp_plan *plan, const struct stp_value *value, const struct stp_value *of);
// A slot in ONNX's order for the step that computes `value` (float32, all rows) to write as well; -1 unless it is an output of the graph
// that lies in another order on the device, which a step of its own would move.
int stp_plan_output_in_passing(struct stp_plan *plan, const struct stp_value *value);
// Scratch; lives as long as steps name it.
int stp_plan_temp(struct stp_plan *plan, size_t bytes);
// A constant of the session, made once per (key, variant) and kept over replanning: pack(destination, user) fills `bytes`.
int stp_plan_constant(struct stp_plan *plan, const void *key, int variant, size_t bytes,
                      void (*pack)(void *destination, const void *user), const void *user);
// A constant slot of at least `count` zero floats.
int stp_plan_zeros(struct stp_plan *plan, size_t count);

// Ask for all places before adding a step: a place may need a list, whose steps come first.
// A launch of `kernel` in cl/PROGRAM.cl built with `options` (both copied; options hold enumerated macros and numbers only). Never
// NULL. Arguments are given in the kernel's order.
struct stp_step *stp_plan_step(struct stp_plan *plan, const struct stp_node *node, const char *program, const char *options,
                               const char *kernel);
void stp_step_read(struct stp_step *step, int slot);  // __global const T *
void stp_step_write(struct stp_step *step, int slot); // __global T *
void stp_step_int(struct stp_step *step, int32_t value);
void stp_step_uint(struct stp_step *step, uint32_t value);
void stp_step_float(struct stp_step *step, float value);
void stp_step_ints(struct stp_step *step, const int64_t *values, int count); // int8 or int16 by value; stp_plan_i32() each
void stp_step_local(struct stp_step *step, size_t bytes);                    // __local T *
// (rows, count, sites): the rows a step writes. `__global const int *rows, __global const int *count, int sites`
void stp_step_out_rows(struct stp_step *step, const struct stp_rows *rows);
// (inverse, count, sites): the rows a step reads. `__global const int *inverse, __global const int *count, int sites`
void stp_step_in_rows(struct stp_step *step, const struct stp_rows *rows);
// The step reads each element of `in` before it writes the same element of `out`, and from no other work-item: if `in` dies here, the
// two may share memory. After the arguments; without effect where the step has `in` as another operand too.
void stp_step_in_place(struct stp_step *step, int out, int in);
// `__global int *turn`, and the size: for kernels whose groups take their work in turns (cl/numerics.cl).
void stp_step_turn(struct stp_step *step);
void stp_step_size(struct stp_step *step, int dimensions, const size_t *global, const size_t *local);

// 1-D launch for `items` independent pieces of work, with a kernel that strides: for (i = get_global_id(0); i < items; i +=
// get_global_size(0)). The sizes follow from the device's limits (device/worksize.h).
void stp_step_stride(struct stp_step *step, int64_t items);

// Checked narrowing for kernel arguments: an error that names the node if the value does not fit.
int32_t stp_plan_i32(struct stp_plan *plan, const struct stp_node *node, int64_t value);

#endif
