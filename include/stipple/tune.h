// SPDX-License-Identifier: Apache-2.0
// Tuning: finding out how a device computes a model's convolutions fastest, and keeping it for every later session on such a device.
//
// What is chosen: tile sizes and their order, vector width, work-group size and number, unrolling, Winograd's algorithm where a model
// allows it. Results are kept in the cache's database (cache.h) by device, kernels and class of shapes (row counts by powers of two), and
// used by every session that is prepared afterwards, in this process and others. They change no exact result by a bit. Where nothing is
// kept (STIPPLE_CACHE=off) they last as long as the device is open.
#ifndef STIPPLE_TUNE_H
#define STIPPLE_TUNE_H

#include <stdbool.h>
#include <stddef.h>

#include <stipple/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stp_tune_progress {
    const char *what;    // one line, no newline: what is being tried
    size_t done, total;  // trials; `total` grows where neighbours of something good are worth a try
    double gain;         // share of the convolutions' time that is saved so far, 0 … 1
    double seconds_left; // until all is tried or the budget is spent, estimated
} stp_tune_progress;

// False: stop, and keep what was found.
typedef bool (*stp_tune_fn)(void *user, const stp_tune_progress *progress);

typedef struct stp_tune_params {
    double seconds;       // budget; 0: 120. What has begun is finished, one trial at least, and the best compared once more: some seconds, or a
                          // dozen runs
    bool all;             // also try what an estimate says cannot win
    stp_tune_fn progress; // NULL: none
    void *progress_user;
} stp_tune_params;

#define stp_tune_params(...) (&(stp_tune_params){__VA_ARGS__})

// What was found. Thread-safety: read-only after creation; any thread.
typedef struct stp_tuning stp_tuning;

// A class of convolutions. Strings are the tuning's.
typedef struct stp_tuned_class {
    const char *shape;          // "conv groups 1 channels 64 taps 9 columns 64 rows 4096 winograd 1"
    const char *before, *after; // "rows 12 vec 16 vecs 2 block 16"; the same text: nothing faster was found
    size_t nodes;               // of the model that belong to it
    double before_ms, after_ms; // least time of a run that they took together, without and with what tuning found
    size_t tried;               // ways of computing it, at this time or before
} stp_tuned_class;

// Tunes the device of `session` for its model at its present inputs, as `params` of the session say (dense, exact), and keeps the result.
// Every candidate is held against the reference on small problems in a child process first, so that a driver that crashes or hangs costs
// that candidate, with a warning; then it takes turns with what is used without tuning. Trials are kept as well: after an interruption, or
// a kill, the next call goes on where this one stopped. The session gives back its memory first, and is prepared anew when it runs next. On success *out is the caller's
// (stp_tuning_destroy). Errors: those of stp_session_run().
STP_API stp_status stp_session_tune(stp_tuning **out, stp_session *session, const stp_tune_params *params);
STP_API void stp_tuning_destroy(stp_tuning **tuning);
STP_API size_t stp_tuning_count(const stp_tuning *tuning);
// NULL beyond the end; those that take most time first.
STP_API const stp_tuned_class *stp_tuning_get(const stp_tuning *tuning, size_t index);
// Whole runs, least times: without and with what was found. Either pointer may be NULL.
STP_API void stp_tuning_run_ms(const stp_tuning *tuning, double *before, double *after);
// All that was worth a try was tried: the next call would find nothing to do.
STP_API bool stp_tuning_is_complete(const stp_tuning *tuning);

// A network for those who tune without a model of their own, for stp_model_load_memory(): convolutions as residual networks for photos of
// height × width pixels have them, dense, masked and depthwise; input "x" [1, 3, height, width]. Its weights are noise. The bytes are the
// caller's (stp_tuning_free). Errors: invalid argument (less than 32 pixels, or more than 16384), out of memory.
STP_API stp_status stp_tuning_usual_model(void **bytes, size_t *size, stp_context *context, int height, int width);

// All results in the cache, of every device, as lines of text, the caller's (stp_tuning_free). Errors: I/O (nothing is kept).
STP_API stp_status stp_tuning_export(char **out, stp_context *context);
STP_API void stp_tuning_free(void *bytes);

typedef struct stp_tuning_import {
    size_t taken;   // new, or better than what was there
    size_t known;   // no better than what was there
    size_t foreign; // for the kernels of another version of stipple
} stp_tuning_import;
// Adds what such a text holds; `name` is what errors call it. It is verified when it is first used, on the device that it is for. Errors:
// invalid argument (a line is none of an export's: nothing is taken; the message names the line), I/O (nothing is kept).
STP_API stp_status stp_tuning_import_text(stp_tuning_import *out, stp_context *context, const char *text, size_t size, const char *name);

// Forgets what was found on such a device, trials too. Errors: I/O (nothing is kept, or it cannot be written).
STP_API stp_status stp_tuning_reset(stp_device *device);

#ifdef __cplusplus
}
#endif
#endif
