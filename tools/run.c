// SPDX-License-Identifier: Apache-2.0
// stipple run: a model on photos or tensors.
#include "run.h"

#include <getopt.h>
#include <stdlib.h>

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

enum { OUTPUT = STP_OPTION_OWN, MASKS, DENSE };

static int set_option(struct stp_run *run, int option, char **argv)
{
    switch (option) {
    case OUTPUT: run->output = optarg; return -1;
    case MASKS: run->masks = optarg; return -1;
    case DENSE: run->dense = true; return -1;
    default: return stp_job_option(run, option, argv, help);
    }
}

// -1 to go on, else the exit status. Afterwards argv[optind] is the model.
static int parse_options(struct stp_run *run, int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, OUTPUT},
        {"masks", required_argument, NULL, MASKS},
        {"dense", no_argument, NULL, DENSE},
        STP_JOB_LONG,
        STP_COMMON_LONG,
        {0},
    };
    int option, status = stp_job_begin(run, argc);
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1)
        status = set_option(run, option, argv);
    return status;
}

// Running ------------------------------------------------------------------------------------------------------------

static bool run_once(struct stp_run *run, struct stp_shot *shot)
{
    return stp_job_ok(run, stp_session_run(run->session)) &&
           stp_job_ok(run, stp_session_get_stats(run->session, &shot->stats));
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
    stp_job_sort(shot->warm_ms, run->runs);
    return true;
}

static bool measure(struct stp_run *run, struct stp_shot *shot)
{
    if (!stp_job_ok(run, stp_session_prepare(run->session)) ||
        !stp_job_ok(run, stp_session_get_stats(run->session, &shot->stats)))
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
    int status = stp_job_photos(run, argc, argv);
    if (status < 0 && !stp_photos_check_stems(&run->photos, &run->tool->error))
        status = stp_tool_failure(run->tool);
    status = status < 0 ? stp_job_model(run) : status;
    return status >= 0 || stp_save_check(run) ? status : stp_tool_failure(run->tool);
}

static int execute(struct stp_run *run)
{
    if (!stp_job_open(run) || !stp_job_session(run, &run->session, run->dense, false) || !stp_feed_set(run))
        return stp_tool_failure(run->tool);
    cJSON *object = run->json ? stp_json_object(NULL, NULL) : NULL;
    if (!shoot_all(run, object)) {
        cJSON_Delete(object);
        fflush(stdout); // what earlier photos gave stands before the message
        return stp_tool_failure(run->tool);
    }
    return object ? stp_json_print(run->tool, object) : stp_tool_printed(run->tool);
}

int stp_verb_run(struct stp_tool *tool, int argc, char **argv)
{
    struct stp_run run = {.tool = tool, .verb = "run"};
    int status = parse_options(&run, argc, argv);
    status = status < 0 ? load(&run, argc, argv) : status;
    status = status < 0 ? execute(&run) : status;
    stp_job_end(&run);
    return status;
}
