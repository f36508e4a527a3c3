// SPDX-License-Identifier: Apache-2.0
// stipple run: a model on photos or tensors.
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
    "usage: stipple run MODEL [PHOTO|FOLDER]... [options]\n"
    "\n"
    "Runs an ONNX model (- for standard input) on PNG or JPEG photos, on every photo of a folder, or on tensors.\n"
    "\n"
    "  --input NAME=FILE   set an input from a .npy file or an ONNX TensorProto (.pb); may be repeated\n"
    "  --output DIR        write every output as DIR/NAME.npy, and the overlay of a model that segments as\n"
    "                      DIR/overlay.png\n"
    "  --masks DIR         write every sampling mask as DIR/NAME.png (DIR/NAME_I.png for image I of several), and as\n"
    "                      DIR/heat.png the photo under a heat map of how often each place was sampled\n"
    "  --seed N            set the input 'seed', which decides what is sampled\n"
    "  --device D          index, name or part of it, platform, platform/device, gpu or cpu (see: stipple devices)\n"
    "  --dense             compute every site: the same answer, without the saving\n"
    "  --exact             keep to the documented order of arithmetic everywhere\n"
    "  --runs N            run N more times and tell the times\n"
    "  --json              print one JSON object\n" STP_COMMON_HELP "\n"
    "With several photos each gets a folder below DIR, named after the photo without its extension, and the JSON\n"
    "object holds a list 'runs' of what one photo would print.\n";

// Options ------------------------------------------------------------------------------------------------------------

enum { INPUT = 256, OUTPUT, MASKS, SEED, DEVICE, DENSE, EXACT, RUNS, JSON };

// A whole decimal number within `least` … `most`.
static bool parse_number(int64_t *out, const char *text, int64_t least, int64_t most)
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

static int set_option(struct stp_run *run, int option, char **argv)
{
    int64_t runs = 0;
    switch (option) {
    case INPUT: run->inputs[run->n_inputs++] = (struct stp_run_input){.argument = optarg}; break;
    case OUTPUT: run->output = optarg; break;
    case MASKS: run->masks = optarg; break;
    case DEVICE: run->device_name = optarg; break;
    case DENSE: run->dense = true; break;
    case EXACT: run->exact = true; break;
    case JSON: run->json = true; break;
    case SEED:
        if (!parse_number(&run->seed, optarg, INT64_MIN, INT64_MAX))
            return stp_tool_usage(run->tool, "run", "--seed %s is not an integer of 64 bits", optarg);
        run->has_seed = true;
        break;
    case RUNS:
        if (!parse_number(&runs, optarg, 1, 1000000))
            return stp_tool_usage(run->tool, "run", "--runs %s is not a number from 1 to 1000000", optarg);
        run->runs = (int)runs;
        break;
    default: return stp_tool_option(run->tool, option, argv, "run", help);
    }
    return -1;
}

// -1 to go on, else the exit status. Afterwards argv[optind] is the model.
static int parse_options(struct stp_run *run, int argc, char **argv)
{
    static const struct option options[] = {
        {"input", required_argument, NULL, INPUT},
        {"output", required_argument, NULL, OUTPUT},
        {"masks", required_argument, NULL, MASKS},
        {"seed", required_argument, NULL, SEED},
        {"device", required_argument, NULL, DEVICE},
        {"dense", no_argument, NULL, DENSE},
        {"exact", no_argument, NULL, EXACT},
        {"runs", required_argument, NULL, RUNS},
        {"json", no_argument, NULL, JSON},
        STP_COMMON_LONG,
        {0},
    };
    run->inputs = calloc((size_t)argc + 1, sizeof *run->inputs);
    if (!run->inputs) {
        stp_error_set(&run->tool->error, "out of memory");
        return stp_tool_failure(run->tool);
    }
    run->device_name = getenv("STIPPLE_DEVICE");
    int option, status = -1;
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1)
        status = set_option(run, option, argv);
    if (status < 0 && optind == argc)
        return stp_tool_usage(run->tool, "run", "run needs a MODEL");
    return status;
}

// Running ------------------------------------------------------------------------------------------------------------

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void on_progress(void *user, const char *what, size_t done, size_t total)
{
    stp_tool_progress(user, "%zu/%zu %s", done, total, what);
}

static bool succeeded(struct stp_run *run, stp_status status)
{
    return status == STP_OK || stp_error_library(&run->tool->error, run->tool->context, NULL);
}

static bool run_once(struct stp_run *run, struct stp_shot *shot)
{
    return succeeded(run, stp_session_run(run->session)) &&
           succeeded(run, stp_session_get_stats(run->session, &shot->stats));
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static bool run_warm(struct stp_run *run, struct stp_shot *shot)
{
    shot->warm_ms = calloc((size_t)run->runs, sizeof *shot->warm_ms);
    if (!shot->warm_ms)
        return stp_error_set(&run->tool->error, "out of memory");
    for (int i = 0; i < run->runs; i++) {
        stp_tool_progress(run->tool, "run %d of %d", i + 1, run->runs);
        if (!run_once(run, shot))
            return false;
        shot->warm_ms[i] = shot->stats.run_ms;
    }
    qsort(shot->warm_ms, (size_t)run->runs, sizeof *shot->warm_ms, by_value);
    return true;
}

static bool measure(struct stp_run *run, struct stp_shot *shot)
{
    if (!succeeded(run, stp_session_prepare(run->session)) ||
        !succeeded(run, stp_session_get_stats(run->session, &shot->stats)))
        return false;
    shot->compile_ms = shot->stats.prepare_ms;
    stp_tool_progress(run->tool, "running");
    if (!run_once(run, shot))
        return false;
    shot->first_ms = shot->stats.run_ms;
    bool ok = !run->runs || run_warm(run, shot);
    stp_tool_progress_end(run->tool);
    return ok;
}

// One photo, or the inputs alone (`source` NULL), from its file to the results; `object` is NULL for people.
static bool shoot(struct stp_run *run, const struct stp_photo *source, cJSON *object)
{
    struct stp_shot shot = {.source = source};
    bool ok = (!source || stp_feed_photo(run, &shot)) && measure(run, &shot) && stp_report_check(run) &&
              stp_save(run, &shot) && (object ? stp_report_json(run, &shot, object) : stp_report_text(run, &shot));
    stp_image_free(&shot.image);
    free(shot.warm_ms);
    free(shot.overlay);
    return ok;
}

static bool shoot_all(struct stp_run *run, cJSON *object)
{
    if (run->photos.count <= 1)
        return shoot(run, run->photos.count ? run->photos.items : NULL, object);
    cJSON *runs = object ? stp_json_array(object, "runs") : NULL;
    for (size_t i = 0; i < run->photos.count; i++) {
        if (i && !object)
            putchar('\n');
        if (!shoot(run, run->photos.items + i, runs ? stp_json_object(runs, NULL) : NULL))
            return false;
    }
    return true;
}

// Verb ---------------------------------------------------------------------------------------------------------------

// What can be checked without a device: -1 to go on, else the exit status.
static int load(struct stp_run *run, int argc, char **argv)
{
    run->model_path = argv[optind];
    if (!stp_tool_begin(run->tool) ||
        !stp_photos_find(&run->photos, argv + optind + 1, (size_t)(argc - optind - 1), &run->tool->error))
        return stp_tool_failure(run->tool);
    double start = now_ms();
    if (!stp_loaded_open(&run->loaded, run->tool, run->model_path))
        return stp_tool_failure(run->tool);
    run->load_ms = now_ms() - start;
    int status = stp_feed_metadata(run);
    status = status < 0 ? stp_feed_read(run) : status;
    return status >= 0 || stp_save_check(run) ? status : stp_tool_failure(run->tool);
}

static int execute(struct stp_run *run)
{
    const stp_session_params params = {
        .dense = run->dense, .exact = run->exact, .progress = on_progress, .progress_user = run->tool};
    if (!succeeded(run, stp_device_open(&run->device, run->tool->context, run->device_name)) ||
        !succeeded(run, stp_session_create(&run->session, run->loaded.model, run->device, &params)) ||
        !stp_feed_set(run))
        return stp_tool_failure(run->tool);
    cJSON *object = run->json ? stp_json_object(NULL, NULL) : NULL;
    if (!shoot_all(run, object)) {
        cJSON_Delete(object);
        fflush(stdout); // what earlier photos gave stands before the message
        return stp_tool_failure(run->tool);
    }
    return object ? stp_json_print(run->tool, object) : stp_tool_printed(run->tool);
}

static void finish(struct stp_run *run)
{
    stp_session_destroy(&run->session);
    stp_device_destroy(&run->device);
    stp_loaded_close(&run->loaded);
    stp_photos_free(&run->photos);
    for (size_t i = 0; i < run->n_inputs; i++)
        free(run->inputs[i].tensor.data);
    free(run->inputs);
    cJSON_Delete(run->labels);
}

int stp_verb_run(struct stp_tool *tool, int argc, char **argv)
{
    struct stp_run run = {.tool = tool};
    int status = parse_options(&run, argc, argv);
    status = status < 0 ? load(&run, argc, argv) : status;
    status = status < 0 ? execute(&run) : status;
    finish(&run);
    return status;
}
