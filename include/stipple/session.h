// SPDX-License-Identifier: Apache-2.0
// A session runs a model on a device: set inputs, run, read outputs.
#ifndef STIPPLE_SESSION_H
#define STIPPLE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stipple/context.h>
#include <stipple/device.h>
#include <stipple/model.h>
#include <stipple/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

// Called while the session prepares or compiles: `done` of `total` steps, and what is being done. One line, no newline.
typedef void (*stp_progress_fn)(void *user, const char *what, size_t done, size_t total);

typedef struct stp_session_params {
    bool dense;               // compute every site of every tensor
    bool exact;               // forbid every reordering of arithmetic, also where no Sample lies downstream
    bool profile;             // record a time per kernel (stp_session_kernel)
    bool poison;              // fill every buffer with NaN before each run, so that reading an uncomputed row shows
    stp_progress_fn progress; // NULL: none
    void *progress_user;
} stp_session_params;

#define stp_session_params(...) (&(stp_session_params){__VA_ARGS__})

// Thread-safety: as its context.
typedef struct stp_session stp_session;

// `params` may be NULL. The model and the device must outlive the session. Nothing is compiled yet: sizes are not known.
STP_API stp_status stp_session_create(stp_session **out, stp_model *model, stp_device *device,
                                      const stp_session_params *params);
STP_API void stp_session_destroy(stp_session **session);

// Copies `tensor` (type and rank must be the input's, fixed dimensions equal). The input keeps its value over runs until it
// is set again. A mask input (replay) must hold only 0 and 1. Errors: invalid argument, naming the input.
STP_API stp_status stp_session_set_input(stp_session *session, const char *name, const stp_tensor *tensor);

// Plans, allocates and compiles for the inputs' present shapes; stp_session_run() does it too where it is needed.
// On a CPU child processes (stipple-probe) may compile as well; they end with the first run, or with the device.
STP_API stp_status stp_session_prepare(stp_session *session);

// Runs and waits until all outputs are in host memory.
STP_API stp_status stp_session_run(stp_session *session);

// A view of output `index` of the last run: owned by the session, valid until the next run or set_input.
// Errors: invalid argument (no such output, nothing has run).
STP_API stp_status stp_session_output(stp_session *session, size_t index, stp_tensor *out);

// A sampling mask of the last run: what a Sample node drew, or a graph input that is used as a mask.
typedef struct stp_session_mask {
    const char *node;    // the Sample node's name, or the input's
    int64_t batch, height, width;
    double sampled;      // share of sites that are 1
    const uint8_t *data; // batch × height × width, 0 or 1; owned by the session, valid until the next run
} stp_session_mask;
STP_API size_t stp_session_mask_count(const stp_session *session);
STP_API stp_status stp_session_mask_get(stp_session *session, size_t index, stp_session_mask *out);

// Multiply-accumulates of the last run, counted as SPEC.md says.
typedef struct stp_session_macs {
    double dense;         // the same network without mask convolutions, every site
    double done;          // what ran, mask convolutions included
    double masks;         // of `done`: mask convolutions
    double interpolation; // kept taps × channels × interpolated sites
} stp_session_macs;

typedef struct stp_session_stats {
    stp_session_macs macs;
    double prepare_ms;   // planning and compiling, 0 if nothing had to be prepared
    double run_ms;       // the last run: from inputs in host memory to all outputs in host memory
    double device_ms;    // of it: from the first kernel's start to the last one's end, by the device's clock; 0: not told
    size_t arena_bytes;  // device memory for activations and lists
    size_t weight_bytes; // device memory for weights
} stp_session_stats;
// After stp_session_prepare() or a run; before a run, `macs`, `run_ms` and `device_ms` are 0. Errors: invalid argument (not prepared).
STP_API stp_status stp_session_get_stats(stp_session *session, stp_session_stats *out);

// What a node did in the last run. Strings are the session's, valid until it is prepared or run again.
typedef struct stp_session_node {
    const char *name, *op;
    const char *kernel;  // variant; NULL if the node runs as part of another step, on the host, or not at all (another view)
    const char *options; // macros that the variant was built with; NULL without one
    const char *part_of; // the node whose kernel computes this one, where `kernel` is NULL, or the first half of it (a mask
                         // convolution's products, which are summed over taps later); else NULL
    double macs;  // done MACs of a convolution or Gemm; of an Interpolate its own, which stats.macs.done leaves out; else 0
    double bytes; // what its kernel must at least move: see below
    double ms;    // with params.profile; else 0
    double rows;  // computed sites
} stp_session_node;
// `bytes` is found from the plan and the row counts of the last run. Each element that the kernel has use for is counted once
// when read and once when written, whatever is read again or held by a cache: of each input the rows (sites with all their
// channels) that the computed sites read; constants in the file's size, not as they are packed; the rows written. What runs
// in a tail counts with the kernel that runs it: of a residual its rows, of intermediate values nothing. The products of a
// mask convolution count where they are written and where they are read. Row numbers, lists, and the last entry (lists, and
// the change of layout of inputs and outputs) do not count. 0 where the node has no kernel of its own.
STP_API size_t stp_session_node_count(const stp_session *session);
STP_API stp_status stp_session_node_get(stp_session *session, size_t index, stp_session_node *out);

// A kernel or a transfer of the last run, with params.profile: in the order in which they were queued. Strings are the session's, valid
// until it is prepared or run again.
typedef struct stp_session_event {
    const char *name; // kernel, "write" (an input) or "read" (an output, also where it is mapped)
    const char *node; // the node that the kernel computes, or the input or output; "" for lists and changes of layout
    bool is_transfer;
    double bytes; // of a transfer; else 0
    double queued_ms, submitted_ms, started_ms, ended_ms; // since the first one was queued, by the device's clock
} stp_session_event;
STP_API size_t stp_session_event_count(const stp_session *session);
// Errors: invalid argument (no such event, nothing has run).
STP_API stp_status stp_session_event_get(stp_session *session, size_t index, stp_session_event *out);

#ifdef __cplusplus
}
#endif
#endif
