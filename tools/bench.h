// SPDX-License-Identifier: Apache-2.0
// The state of `stipple bench`, and its parts: bench.c measures, bench_tell.c tells, bench_layers.c does both for layers.
#ifndef STP_BENCH_H
#define STP_BENCH_H

#include "run.h"

enum { STP_SPARSE, STP_DENSE, STP_MODES };
extern const char *const stp_bench_modes[STP_MODES]; // their names

// What is told of each mode: of one photo, or the mean over several.
enum stp_bench_figure {
    STP_COMPILE_MS,
    STP_FIRST_MS, // the warm-up
    STP_MIN_MS,   // over the runs that count, as the next three
    STP_MEDIAN_MS,
    STP_MEAN_MS,
    STP_MAX_MS,
    STP_MACS,  // done
    STP_BYTES, // that kernels must at least move (stp_session_node)
    STP_ARENA_BYTES,
    STP_WEIGHT_BYTES,
    STP_FIGURES
};

// One photo, or the inputs alone.
struct stp_bench_take {
    struct stp_shot shot; // of the sparse session; the image is freed
    double figures[STP_MODES][STP_FIGURES];
    double *ms[STP_MODES]; // run.runs values, in the order of the runs
    double theoretical, factor,
        factor_median; // dense over sparse: MACs as SPEC.md counts (NaN: none done), least and median times
    cJSON *object;     // what is told, with --json
};

struct stp_bench {
    struct stp_run run; // its session is sparse, its twin dense
    bool layers, csv;
    stp_device_speed speed; // zeros: never measured
    struct stp_bench_take *takes;
    size_t n_takes;
    cJSON *object; // with --json
    FILE *rows;    // with --csv: gathered here, printed at the end
};

// bench.c
// Runs both sessions once, the sparse one first.
bool stp_bench_pair(struct stp_bench *bench, double ms[STP_MODES]);
// Says how far it is, where a terminal looks on: `what` "run", number `index` of run.runs, of a photo.
void stp_bench_progress(struct stp_bench *bench, const struct stp_bench_take *take, const char *what, int index);

// bench_tell.c
bool stp_bench_tell(struct stp_bench *bench, struct stp_bench_take *take); // right after it was measured
void stp_bench_tell_all(struct stp_bench *bench);                          // after the last one
void stp_bench_csv_text(FILE *file, const char *text);                     // in quotes; NULL: an empty field

// bench_layers.c
// Runs every photo again in sessions that record times, and tells them by layer.
bool stp_bench_layers(struct stp_bench *bench);

#endif
