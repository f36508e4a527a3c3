// SPDX-License-Identifier: Apache-2.0
// stipple bench: how long a model takes, sparse and dense, and why.
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: stipple bench MODEL [PHOTO|FOLDER]... [options]\n"
    "\n"
    "Measures how long an ONNX model (- for standard input) takes on PNG or JPEG photos, on every photo of a folder, or\n"
    "on tensors: computed at the sampled sites, and with every site computed (as 'stipple run --dense' does). Each mode\n"
    "warms up with one run, whose outputs must be the same to the bit; then the two take turns, run by run.\n"
    "\n"
    "  --input NAME=FILE   set an input from a .npy file or an ONNX TensorProto (.pb); may be repeated\n"
    "  --runs N            time N runs of each mode (10)\n"
    "  --layers            tell the time of each layer too, from N more runs of each mode\n"
    "  --seed N            set the input 'seed', which decides what is sampled\n"
    "  --device D          index, name or part of it, platform, platform/device, gpu or cpu (see: stipple devices)\n"
    "  --exact             keep to the documented order of arithmetic everywhere\n"
    "  --json              print one JSON object: that of 'stipple run --json', whose 'ms' holds the time to load only\n"
    "                      and whose 'macs' and 'memory' are the sparse runs'; the rest under 'sparse' and 'dense'\n"
    "  --csv               print a table with a heading: a row per run (photo, mode, run, ms); with --layers a row per\n"
    "                      layer instead\n" STP_COMMON_HELP "\n"
    "A time is that from inputs in host memory to all outputs in host memory. A multiply-accumulate that was done counts\n"
    "as two operations in GFLOP/s; interpolation does not count, except in its own layer. GB/s is what the kernels must\n"
    "at least move, each element once. Both are also told as shares of what the device was measured to reach, once\n"
    "'stipple devices --measure' has measured it. The theoretical factor is the multiply-accumulates of the network\n"
    "without mask convolutions over those done.\n"
    "\n"
    "With several photos (their masks differ) each gets a line, and the means follow; the JSON object holds a list 'runs'\n"
    "of what one photo would print, and 'mean'.\n";

// Options ------------------------------------------------------------------------------------------------------------

enum { LAYERS = STP_OPTION_OWN, CSV };

static int set_option(struct stp_bench *bench, int option, char **argv)
{
    switch (option) {
    case LAYERS: bench->layers = true; return -1;
    case CSV: bench->csv = true; return -1;
    default: return stp_job_option(&bench->run, option, argv, help);
    }
}

// -1 to go on, else the exit status. Afterwards argv[optind] is the model.
static int parse_options(struct stp_bench *bench, int argc, char **argv)
{
    static const struct option options[] = {
        {"layers", no_argument, NULL, LAYERS}, {"csv", no_argument, NULL, CSV}, STP_JOB_LONG, STP_COMMON_LONG, {0}};
    int option, status = stp_job_begin(&bench->run, argc);
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1)
        status = set_option(bench, option, argv);
    if (status < 0 && bench->csv && bench->run.json)
        return stp_tool_usage(bench->run.tool, "bench", "--json and --csv cannot go together");
    return status;
}

// Measuring ----------------------------------------------------------------------------------------------------------

void stp_bench_progress(struct stp_bench *bench, const struct stp_bench_take *take, const char *what, int index)
{
    struct stp_tool *tool = bench->run.tool;
    if (bench->n_takes > 1)
        stp_tool_progress(tool, "photo %td of %zu, %s %d of %d", take - bench->takes + 1, bench->n_takes, what, index,
                          bench->run.runs);
    else
        stp_tool_progress(tool, "%s %d of %d", what, index, bench->run.runs);
}

static stp_session *session_of(struct stp_bench *bench, int mode)
{
    return mode == STP_SPARSE ? bench->run.session : bench->run.twin;
}

bool stp_bench_pair(struct stp_bench *bench, double ms[STP_MODES])
{
    for (int mode = 0; mode < STP_MODES; mode++) {
        double start = stp_job_now_ms();
        if (!stp_job_ok(&bench->run, stp_session_run(session_of(bench, mode))))
            return false;
        ms[mode] = stp_job_now_ms() - start;
    }
    return true;
}

// Whether two numbers have the same bits; all NaNs are one.
static bool same_number(const stp_tensor *a, const stp_tensor *b, int64_t index)
{
    size_t size = stp_dtype_size(a->dtype), offset = (size_t)index * size;
    const char *left = (const char *)a->data + offset, *right = (const char *)b->data + offset;
    if (!memcmp(left, right, size))
        return true;
    return a->dtype == STP_F32 && isnan(((const float *)a->data)[index]) && isnan(((const float *)b->data)[index]);
}

// Sparse equals dense, always (SPEC.md): if not, the times say nothing.
static bool compare_outputs(struct stp_bench *bench)
{
    struct stp_run *run = &bench->run;
    for (size_t i = 0; i < stp_model_output_count(run->loaded.model); i++) {
        stp_tensor sparse, dense;
        if (!stp_job_ok(run, stp_session_output(run->session, i, &sparse)) ||
            !stp_job_ok(run, stp_session_output(run->twin, i, &dense)))
            return false;
        int64_t count = stp_tensor_elements(&sparse);
        for (int64_t e = 0; e < count; e++)
            if (!same_number(&sparse, &dense, e))
                return stp_error_set(
                    &run->tool->error,
                    "output '%s' differs at element %lld between the sparse and the dense run: a bug of "
                    "stipple or of the device's driver",
                    stp_model_output(run->loaded.model, i)->name, (long long)e);
    }
    return true;
}

// Figures that are known after the warm-up.
static bool describe(struct stp_bench *bench, struct stp_bench_take *take)
{
    for (int mode = 0; mode < STP_MODES; mode++) {
        stp_session *session = session_of(bench, mode);
        double *figures = take->figures[mode];
        stp_session_stats stats;
        if (!stp_job_ok(&bench->run, stp_session_get_stats(session, &stats)))
            return false;
        figures[STP_MACS] = stats.macs.done;
        figures[STP_ARENA_BYTES] = (double)stats.arena_bytes;
        figures[STP_WEIGHT_BYTES] = (double)stats.weight_bytes;
        for (size_t i = 0; i < stp_session_node_count(session); i++) {
            stp_session_node node;
            if (!stp_job_ok(&bench->run, stp_session_node_get(session, i, &node)))
                return false;
            figures[STP_BYTES] += node.bytes;
        }
        if (mode == STP_SPARSE)
            take->shot.stats = stats;
    }
    return true;
}

static bool warm_up(struct stp_bench *bench, struct stp_bench_take *take)
{
    for (int mode = 0; mode < STP_MODES; mode++) {
        stp_session_stats stats;
        if (!stp_job_ok(&bench->run, stp_session_prepare(session_of(bench, mode))) ||
            !stp_job_ok(&bench->run, stp_session_get_stats(session_of(bench, mode), &stats)))
            return false;
        take->figures[mode][STP_COMPILE_MS] = stats.prepare_ms;
    }
    stp_tool_progress(bench->run.tool, "warming up");
    double ms[STP_MODES];
    if (!stp_bench_pair(bench, ms) || !compare_outputs(bench) || !describe(bench, take))
        return false;
    for (int mode = 0; mode < STP_MODES; mode++)
        take->figures[mode][STP_FIRST_MS] = ms[mode];
    return true;
}

static bool summarise(struct stp_bench *bench, struct stp_bench_take *take)
{
    int runs = bench->run.runs;
    double *ascending = calloc((size_t)runs, sizeof *ascending);
    if (!ascending)
        return stp_error_set(&bench->run.tool->error, "out of memory");
    for (int mode = 0; mode < STP_MODES; mode++) {
        double *figures = take->figures[mode], sum = 0;
        memcpy(ascending, take->ms[mode], (size_t)runs * sizeof *ascending);
        stp_job_sort(ascending, runs);
        for (int i = 0; i < runs; i++)
            sum += ascending[i];
        figures[STP_MIN_MS] = ascending[0];
        figures[STP_MEDIAN_MS] = stp_job_median(ascending, runs);
        figures[STP_MEAN_MS] = sum / runs;
        figures[STP_MAX_MS] = ascending[runs - 1];
    }
    free(ascending);
    const stp_session_macs *macs = &take->shot.stats.macs;
    const double *sparse = take->figures[STP_SPARSE], *dense = take->figures[STP_DENSE];
    take->theoretical = macs->done > 0 ? macs->dense / macs->done : NAN;
    take->factor = dense[STP_MIN_MS] / sparse[STP_MIN_MS];
    take->factor_median = dense[STP_MEDIAN_MS] / sparse[STP_MEDIAN_MS];
    return true;
}

static bool measure(struct stp_bench *bench, struct stp_bench_take *take)
{
    struct stp_run *run = &bench->run;
    for (int mode = 0; mode < STP_MODES; mode++)
        if (!(take->ms[mode] = calloc((size_t)run->runs, sizeof *take->ms[mode])))
            return stp_error_set(&run->tool->error, "out of memory");
    if (!warm_up(bench, take))
        return false;
    for (int i = 0; i < run->runs; i++) {
        double ms[STP_MODES];
        stp_bench_progress(bench, take, "run", i + 1);
        if (!stp_bench_pair(bench, ms))
            return false;
        for (int mode = 0; mode < STP_MODES; mode++)
            take->ms[mode][i] = ms[mode];
    }
    stp_tool_progress_end(run->tool);
    return summarise(bench, take);
}

static bool measure_all(struct stp_bench *bench)
{
    struct stp_run *run = &bench->run;
    for (size_t i = 0; i < bench->n_takes; i++) {
        struct stp_bench_take *take = bench->takes + i;
        take->shot.source = run->photos.count ? run->photos.items + i : NULL;
        bool ok = !take->shot.source || stp_feed_photo(run, &take->shot);
        stp_image_free(&take->shot.image);
        if (!ok || !measure(bench, take) || !stp_bench_tell(bench, take))
            return false;
    }
    stp_bench_tell_all(bench);
    return !bench->layers || stp_bench_layers(bench);
}

// Verb ---------------------------------------------------------------------------------------------------------------

static bool execute(struct stp_bench *bench)
{
    struct stp_run *run = &bench->run;
    bench->n_takes = run->photos.count ? run->photos.count : 1;
    bench->takes = calloc(bench->n_takes, sizeof *bench->takes);
    if (!bench->takes)
        return stp_error_set(&run->tool->error, "out of memory");
    return stp_job_open(run) && stp_job_ok(run, stp_device_get_speed(run->device, &bench->speed)) &&
           stp_job_session(run, &run->session, false, false) && stp_job_session(run, &run->twin, true, false) &&
           stp_feed_set(run) && measure_all(bench);
}

// Prints what was gathered, if it all went well.
static int finish(struct stp_bench *bench, bool ok, char **rows)
{
    struct stp_tool *tool = bench->run.tool;
    if (bench->rows) {
        bool gathered = !ferror(bench->rows);
        gathered = !fclose(bench->rows) && *rows && gathered;
        if (!gathered && ok)
            ok = stp_error_set(&tool->error, "out of memory");
    }
    if (ok && bench->object)
        return stp_json_print(tool, bench->object);
    cJSON_Delete(bench->object);
    if (!ok) {
        fflush(stdout); // what earlier photos gave stands before the message
        return stp_tool_failure(tool);
    }
    if (bench->rows)
        fputs(*rows, stdout);
    return stp_tool_printed(tool);
}

static int bench_model(struct stp_bench *bench)
{
    char *rows = NULL;
    size_t size;
    bool ok = true;
    bench->object = bench->run.json ? stp_json_object(NULL, NULL) : NULL;
    if (bench->csv && !(bench->rows = open_memstream(&rows, &size)))
        ok = stp_error_set(&bench->run.tool->error, "out of memory");
    int status = finish(bench, ok && execute(bench), &rows);
    free(rows);
    return status;
}

int stp_verb_bench(struct stp_tool *tool, int argc, char **argv)
{
    struct stp_bench bench = {.run = {.tool = tool, .verb = "bench", .runs = 10}};
    int status = parse_options(&bench, argc, argv);
    status = status < 0 ? stp_job_photos(&bench.run, argc, argv) : status;
    status = status < 0 ? stp_job_model(&bench.run) : status;
    status = status < 0 ? bench_model(&bench) : status;
    for (size_t i = 0; i < bench.n_takes && bench.takes; i++)
        for (int mode = 0; mode < STP_MODES; mode++)
            free(bench.takes[i].ms[mode]);
    free(bench.takes);
    stp_job_end(&bench.run);
    return status;
}
