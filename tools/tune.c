// SPDX-License-Identifier: Apache-2.0
// stipple tune: how a device computes a model fastest.
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: stipple tune [MODEL [PHOTO]] [options]\n"
    "\n"
    "Finds out how the device computes the convolutions of an ONNX model (- for standard input) fastest: tile sizes and\n"
    "their order, vector width, work-groups, unrolling, Winograd's algorithm. The result is kept in the database that\n"
    "'stipple cache path' names, and every later run on such a device uses it, of any model that has such convolutions.\n"
    "No exact result changes by a bit. Without a PHOTO the model looks at a painted picture; without a MODEL a built-in\n"
    "network stands for what is usual, with pictures of 224x224 and 1344x800.\n"
    "\n"
    "  --budget SECONDS    how long to search (120); Ctrl-C ends it earlier; in both cases what was found is kept, and\n"
    "                      the next time the search goes on where it stopped\n"
    "  --all               try also what an estimate says cannot win\n"
    "  --dense             tune for 'stipple run --dense'\n"
    "  --exact             tune for 'stipple run --exact'\n"
    "  --device D          index, name or part of it, platform, platform/device, gpu or cpu (see: stipple devices)\n"
    "  --input NAME=FILE   set an input from a .npy file or an ONNX TensorProto (.pb); may be repeated\n"
    "  --seed N            set the input 'seed', which decides what is sampled\n"
    "  --json              print one JSON object\n"
    "\n"
    "Done in this order, with or without a MODEL:\n"
    "  --reset             forget what was found on the device\n"
    "  --import FILE       add what --export wrote, perhaps elsewhere (- for standard input): of two results for one\n"
    "                      device the faster stays; it is held against the reference before it is first used\n"
    "  --export FILE       write all results, of every device, as text (- for standard output), in the end\n" STP_COMMON_HELP "\n"
    "Each candidate is held against the reference on small problems, in a process of its own, since a driver may crash\n"
    "over it; then it takes turns with what is used without tuning. What is not faster by 1.5 % is not kept.\n";

struct tune {
    struct stp_run run;
    double budget; // seconds; 0: the library's
    bool all, reset;
    bool searches; // with a MODEL, or the built-in ones
    const char *import, *export;
};

// Options ------------------------------------------------------------------------------------------------------------

enum { BUDGET_S = 120 };
enum { BUDGET = STP_OPTION_OWN, ALL, DENSE, RESET, IMPORT, EXPORT };

static int set_budget(struct tune *tune, const char *text)
{
    int64_t seconds;
    if (!stp_job_number(&seconds, text, 1, 1000000))
        return stp_tool_usage(tune->run.tool, "tune", "--budget %s is not a number from 1 to 1000000", text);
    tune->budget = (double)seconds;
    return -1;
}

static int set_option(struct tune *tune, int option, char **argv)
{
    switch (option) {
    case BUDGET: return set_budget(tune, optarg);
    case ALL: tune->all = true; return -1;
    case DENSE: tune->run.dense = true; return -1;
    case RESET: tune->reset = true; return -1;
    case IMPORT: tune->import = optarg; return -1;
    case EXPORT: tune->export = optarg; return -1;
    default: return stp_job_option(&tune->run, option, argv, help);
    }
}

// -1 to go on, else the exit status. Afterwards argv[optind] is the model, if there is one.
static int parse_options(struct tune *tune, int argc, char **argv)
{
    static const struct option options[] = {
        {"budget", required_argument, NULL, BUDGET},
        {"all", no_argument, NULL, ALL},
        {"dense", no_argument, NULL, DENSE},
        {"reset", no_argument, NULL, RESET},
        {"import", required_argument, NULL, IMPORT},
        {"export", required_argument, NULL, EXPORT},
        {"input", required_argument, NULL, STP_OPTION_INPUT},
        {"seed", required_argument, NULL, STP_OPTION_SEED},
        {"device", required_argument, NULL, STP_OPTION_DEVICE},
        {"exact", no_argument, NULL, STP_OPTION_EXACT},
        {"json", no_argument, NULL, STP_OPTION_JSON},
        STP_COMMON_LONG,
        {0},
    };
    int option, status = stp_job_begin(&tune->run, argc);
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1)
        status = set_option(tune, option, argv);
    if (status >= 0)
        return status;
    const bool is_told = tune->export && !strcmp(tune->export, "-");
    tune->searches = optind < argc || (!tune->reset && !tune->import && !tune->export);
    if (is_told && (tune->run.json || tune->searches))
        return stp_tool_usage(tune->run.tool, "tune", "--export - writes to standard output, where %s goes",
                              tune->run.json ? "the JSON object" : "the report on a MODEL");
    if (optind == argc && (tune->run.n_inputs || tune->run.has_seed))
        return stp_tool_usage(tune->run.tool, "tune", "--input and --seed are for a MODEL");
    if (optind + 2 < argc)
        return stp_tool_usage(tune->run.tool, "tune", "tune takes one PHOTO");
    return -1;
}

// Results from and to files ------------------------------------------------------------------------------------------

static bool import_file(struct tune *tune, stp_tuning_import *counts)
{
    struct stp_tool *tool = tune->run.tool;
    const bool is_stdin = !strcmp(tune->import, "-");
    struct stp_bytes bytes;
    if (!(is_stdin ? stp_read_stdin(&bytes, &tool->error) : stp_read_file(&bytes, tune->import, &tool->error)))
        return false;
    const stp_status status = stp_tuning_import_text(counts, tool->context, bytes.data ? (const char *)bytes.data : "", bytes.size,
                                                     is_stdin ? "standard input" : tune->import);
    free(bytes.data);
    if (status != STP_OK)
        return stp_error_library(&tool->error, tool->context, NULL);
    if (counts->foreign)
        stp_tool_say(tool, STP_LOG_WARN, "%zu results are for the kernels of another version of stipple: not taken", counts->foreign);
    return true;
}

static bool export_file(struct tune *tune)
{
    struct stp_tool *tool = tune->run.tool;
    char *text;
    if (stp_tuning_export(&text, tool->context) != STP_OK)
        return stp_error_library(&tool->error, tool->context, NULL);
    const bool is_stdout = !strcmp(tune->export, "-");
    const bool ok = is_stdout ? fputs(text, stdout) >= 0 : stp_write_text(tune->export, text, &tool->error);
    stp_tuning_free(text);
    return ok || (is_stdout && stp_error_set(&tool->error, "cannot write to standard output: %s", strerror(errno)));
}

// Searching ----------------------------------------------------------------------------------------------------------

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

// A second Ctrl-C ends the process.
static void catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static bool on_progress(void *user, const stp_tune_progress *progress)
{
    enum { WIDTH = 20 };
    const int full = progress->total ? (int)(progress->done * WIDTH / progress->total) : 0;
    stp_tool_progress(user, "[%.*s%.*s] %zu/%zu, %.0f %% saved, %.0f s left: %s", full, "####################", WIDTH - full,
                      "....................", progress->done, progress->total, progress->gain * 100, progress->seconds_left,
                      progress->what);
    return !interrupted;
}

static void print_class(const stp_tuned_class *class)
{
    const double saved = class->before_ms > 0 ? 1 - class->after_ms / class->before_ms : 0;
    printf("%9.3f %9.3f %5.1f %%  %3zu  %5zu  %s\n", class->before_ms, class->after_ms, saved * 100, class->nodes, class->tried, class->shape);
    if (strcmp(class->before, class->after))
        printf("%45s%s → %s\n", "", class->before, class->after);
}

static void print_result(const struct tune *tune, const stp_tuning *tuning)
{
    double before, after;
    stp_report_model(&tune->run);
    puts("\n  default     tuned    saved nodes tried class of convolutions");
    for (size_t i = 0; i < stp_tuning_count(tuning); i++)
        print_class(stp_tuning_get(tuning, i));
    stp_tuning_run_ms(tuning, &before, &after);
    printf("\nrun      %.2f ms without tuning, %.2f ms with it (%.1f %% less); least times, as those above, in ms\n", before, after,
           (1 - after / before) * 100);
    if (!stp_tuning_is_complete(tuning))
        puts("stopped  before all was tried; the next time goes on from here");
}

static void tell_result(cJSON *object, const stp_tuning *tuning)
{
    double before, after;
    cJSON *classes = stp_json_array(object, "classes");
    for (size_t i = 0; i < stp_tuning_count(tuning); i++) {
        const stp_tuned_class *class = stp_tuning_get(tuning, i);
        cJSON *told = stp_json_object(classes, NULL);
        stp_json_text(told, "shape", class->shape);
        stp_json_integer(told, "nodes", (int64_t)class->nodes);
        stp_json_integer(told, "tried", (int64_t)class->tried);
        stp_json_text(told, "default", class->before);
        stp_json_text(told, "tuned", class->after);
        stp_json_number(told, "default_ms", class->before_ms);
        stp_json_number(told, "tuned_ms", class->after_ms);
    }
    stp_tuning_run_ms(tuning, &before, &after);
    stp_json_number(object, "default_ms", before);
    stp_json_number(object, "tuned_ms", after);
    stp_json_bool(object, "complete", stp_tuning_is_complete(tuning));
}

// Of the loaded model; what is told goes into `object`, or is printed.
static bool search(struct tune *tune, cJSON *object)
{
    struct stp_run *run = &tune->run;
    if (!stp_job_fed(run, false))
        return false;
    stp_tuning *tuning = NULL;
    const stp_tune_params params = {.seconds = tune->budget, .all = tune->all, .progress = on_progress, .progress_user = run->tool};
    const bool ok = stp_job_ok(run, stp_session_tune(&tuning, run->session, &params));
    stp_tool_progress_end(run->tool);
    if (ok && object)
        tell_result(object, tuning);
    else if (ok)
        print_result(tune, tuning);
    stp_tuning_destroy(&tuning);
    return ok;
}

// The built-in networks, for half of the time each.
static bool search_usual(struct tune *tune, cJSON *object)
{
    static const int sizes[][2] = {{224, 224}, {800, 1344}};
    struct stp_run *run = &tune->run;
    cJSON *models = object ? stp_json_array(object, "models") : NULL;
    tune->budget = (tune->budget > 0 ? tune->budget : BUDGET_S) / STP_COUNT(sizes);
    for (size_t i = 0; i < STP_COUNT(sizes) && !interrupted; i++) {
        char name[64];
        snprintf(name, sizeof name, "(built in, %d×%d)", sizes[i][1], sizes[i][0]);
        run->model_path = name;
        void *bytes;
        size_t size;
        if (!stp_job_ok(run, stp_tuning_usual_model(&bytes, &size, run->tool->context, sizes[i][0], sizes[i][1])))
            return false;
        bool ok = stp_job_ok(run, stp_model_load_memory(&run->loaded.model, run->tool->context, bytes, size)) &&
                  stp_feed_metadata(run) < 0 && stp_feed_read(run) < 0;
        cJSON *told = ok && models ? stp_json_object(models, NULL) : NULL;
        if (told)
            stp_json_text(told, "model", name);
        ok = ok && search(tune, told);
        stp_session_destroy(&run->session);
        stp_loaded_close(&run->loaded);
        stp_tuning_free(bytes);
        run->model_path = NULL;
        if (!ok)
            return false;
    }
    return true;
}

// Verb ---------------------------------------------------------------------------------------------------------------

static bool execute(struct tune *tune, cJSON *object, bool has_model)
{
    catch_interrupt();
    struct stp_run *run = &tune->run;
    stp_tuning_import counts = {0};
    if ((tune->reset || tune->searches) && !stp_job_open(run))
        return false;
    if ((tune->reset && !stp_job_ok(run, stp_tuning_reset(run->device))) || (tune->import && !import_file(tune, &counts)))
        return false;
    if (tune->import && object) {
        cJSON *import = stp_json_object(object, "import");
        stp_json_integer(import, "taken", (int64_t)counts.taken);
        stp_json_integer(import, "known", (int64_t)counts.known);
        stp_json_integer(import, "foreign", (int64_t)counts.foreign);
    } else if (tune->import) {
        fprintf(tune->export && !strcmp(tune->export, "-") ? stderr : stdout, "import   %zu results taken, %zu no better than what was there\n", counts.taken, counts.known);
    }
    const bool ok = !tune->searches || (has_model ? search(tune, object) : search_usual(tune, object));
    return ok && (!tune->export || export_file(tune));
}

static int tune_model(struct tune *tune, bool has_model)
{
    struct stp_tool *tool = tune->run.tool;
    cJSON *object = tune->run.json ? stp_json_object(NULL, NULL) : NULL;
    if (!execute(tune, object, has_model)) {
        cJSON_Delete(object);
        fflush(stdout);
        return stp_tool_failure(tool);
    }
    return object ? stp_json_print(tool, object) : stp_tool_printed(tool);
}

int stp_verb_tune(struct stp_tool *tool, int argc, char **argv)
{
    struct tune tune = {.run = {.tool = tool, .verb = "tune", .stand_in = true}};
    int status = parse_options(&tune, argc, argv);
    const bool has_model = optind < argc;
    if (status < 0 && has_model) {
        status = stp_job_photos(&tune.run, argc, argv);
        if (status < 0 && tune.run.photos.count > 1)
            status = stp_tool_usage(tool, "tune", "tune takes one PHOTO, no folder of several");
        status = status < 0 ? stp_job_model(&tune.run) : status;
    } else if (status < 0 && !stp_tool_begin(tool)) {
        status = stp_tool_failure(tool);
    }
    status = status < 0 ? tune_model(&tune, has_model) : status;
    stp_job_end(&tune.run);
    return status;
}
