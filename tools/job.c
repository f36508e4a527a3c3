// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

// Options ------------------------------------------------------------------------------------------------------------

bool stp_job_number(int64_t *out, const char *text, int64_t least, int64_t most)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool starts = (*text >= '0' && *text <= '9') || *text == '-';
    if (!starts || *end || errno || value < least || value > most)
        return false;
    *out = value;
    return true;
}

int stp_job_begin(struct stp_run *run, int argc)
{
    run->inputs = calloc((size_t)argc + 1, sizeof *run->inputs);
    if (!run->inputs) {
        stp_error_set(&run->tool->error, "out of memory");
        return stp_tool_failure(run->tool);
    }
    run->device_name = getenv("STIPPLE_DEVICE");
    return -1;
}

int stp_job_option(struct stp_run *run, int option, char **argv, const char *help)
{
    int64_t runs = 0;
    switch (option) {
    case STP_OPTION_INPUT: run->inputs[run->n_inputs++] = (struct stp_run_input){.argument = optarg}; break;
    case STP_OPTION_DEVICE: run->device_name = optarg; break;
    case STP_OPTION_EXACT: run->exact = true; break;
    case STP_OPTION_JSON: run->json = true; break;
    case STP_OPTION_SEED:
        if (!stp_job_number(&run->seed, optarg, INT64_MIN, INT64_MAX))
            return stp_tool_usage(run->tool, run->verb, "--seed %s is not an integer of 64 bits", optarg);
        run->has_seed = true;
        break;
    case STP_OPTION_RUNS:
        if (!stp_job_number(&runs, optarg, 1, 1000000))
            return stp_tool_usage(run->tool, run->verb, "--runs %s is not a number from 1 to 1000000", optarg);
        run->runs = (int)runs;
        break;
    default: return stp_tool_option(run->tool, option, argv, run->verb, help);
    }
    return -1;
}

// From arguments to a fed session ------------------------------------------------------------------------------------

int stp_job_photos(struct stp_run *run, int argc, char **argv)
{
    if (optind == argc)
        return stp_tool_usage(run->tool, run->verb, "%s needs a MODEL", run->verb);
    run->model_path = argv[optind];
    bool ok = stp_tool_begin(run->tool) &&
              stp_photos_find(&run->photos, argv + optind + 1, (size_t)(argc - optind - 1), &run->tool->error);
    return ok ? -1 : stp_tool_failure(run->tool);
}

static void *load_model(void *run_)
{
    struct stp_run *run = run_;
    return stp_loaded_open(&run->loaded, run->tool, run->model_path) ? run : NULL;
}

// With a context of its own. What goes wrong here does so again, and is told, when the device is opened.
static void load_drivers(void)
{
    stp_context *context;
    stp_device_list *list;
    if (stp_context_create(&context, NULL) == STP_OK && stp_device_list_create(&list, context, false) == STP_OK)
        stp_device_list_destroy(&list);
    stp_context_destroy(&context);
}

// The model is read while the OpenCL drivers are loaded, which takes as long. Those on the main thread: LLVM sets up signal
// handling for the thread that it is loaded on.
static bool load_with_drivers(struct stp_run *run)
{
    pthread_t thread;
    void *loaded;
    if (pthread_create(&thread, NULL, load_model, run))
        return load_model(run);
    load_drivers();
    return pthread_join(thread, &loaded) == 0 && loaded;
}

int stp_job_model(struct stp_run *run)
{
    double start = stp_job_now_ms();
    if (!load_with_drivers(run))
        return stp_tool_failure(run->tool);
    run->load_ms = stp_job_now_ms() - start;
    int status = stp_feed_metadata(run);
    return status < 0 ? stp_feed_read(run) : status;
}

bool stp_job_open(struct stp_run *run)
{
    return stp_job_ok(run, stp_device_open(&run->device, run->tool->context, run->device_name));
}

static void on_progress(void *user, const char *what, size_t done, size_t total)
{
    stp_tool_progress(user, "%zu/%zu %s", done, total, what);
}

bool stp_job_session(struct stp_run *run, stp_session **out, bool dense, bool profile)
{
    const stp_session_params params = {
        .dense = dense, .exact = run->exact, .profile = profile, .progress = on_progress, .progress_user = run->tool};
    return stp_job_ok(run, stp_session_create(out, run->loaded.model, run->device, &params));
}

bool stp_job_fed(struct stp_run *run, bool profile)
{
    struct stp_shot shot = {.source = run->photos.count ? run->photos.items : NULL};
    const bool ok = stp_job_session(run, &run->session, run->dense, profile) && stp_feed_set(run) &&
                    (!run->photo_port || stp_feed_photo(run, &shot));
    stp_image_free(&shot.image);
    return ok;
}

void stp_job_end(struct stp_run *run)
{
    stp_session_destroy(&run->twin);
    stp_session_destroy(&run->session);
    stp_device_destroy(&run->device);
    stp_loaded_close(&run->loaded);
    stp_photos_free(&run->photos);
    for (size_t i = 0; i < run->n_inputs; i++)
        free(run->inputs[i].tensor.data);
    free(run->inputs);
    cJSON_Delete(run->labels);
}

// Small things -------------------------------------------------------------------------------------------------------

bool stp_job_ok(struct stp_run *run, stp_status status)
{
    return status == STP_OK || stp_error_library(&run->tool->error, run->tool->context, NULL);
}

double stp_job_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void stp_job_sort(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
}

double stp_job_median(const double *ascending, int count)
{
    return (ascending[count / 2] + ascending[(count - 1) / 2]) / 2;
}
