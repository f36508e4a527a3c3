// SPDX-License-Identifier: Apache-2.0
// stipple profile: when each kernel and transfer of a run was queued and ran, and how near to its device's ceilings.
#define _POSIX_C_SOURCE 200809L
#include "roofline.h"
#include "run.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: stipple profile MODEL [PHOTO] --trace FILE [options]\n"
    "\n"
    "Runs an ONNX model (- for standard input) on a photo or tensors, and writes what its last run did on the device.\n"
    "\n"
    "  --trace FILE        a timeline in Chrome's trace format (for ui.perfetto.dev or chrome://tracing): every kernel and\n"
    "                      transfer, named after its node, from start to end, and how long it was queued and submitted\n"
    "  --roofline FILE     a picture (SVG): for each layer how fast it ran over how much arithmetic it does per byte, under\n"
    "                      what the device reaches, which is measured if that is not known\n"
    "  --runs N            runs before the one that is told (3)\n"
    "  --dense             compute every site\n"
    "  --exact             keep to the documented order of arithmetic everywhere\n"
    "  --device D          index, name or part of it, platform, platform/device, gpu or cpu (see: stipple devices)\n"
    "  --input NAME=FILE   set an input from a .npy file or an ONNX TensorProto (.pb); may be repeated\n"
    "  --seed N            set the input 'seed', which decides what is sampled\n" STP_COMMON_HELP "\n"
    "At least one of --trace and --roofline.\n";

struct profile {
    struct stp_run run;
    const char *trace, *roofline;
};

// Options ------------------------------------------------------------------------------------------------------------

enum { TRACE = STP_OPTION_OWN, ROOFLINE, DENSE };

static int set_option(struct profile *profile, int option, char **argv)
{
    switch (option) {
    case TRACE: profile->trace = optarg; return -1;
    case ROOFLINE: profile->roofline = optarg; return -1;
    case DENSE: profile->run.dense = true; return -1;
    default: return stp_job_option(&profile->run, option, argv, help);
    }
}

static int parse_options(struct profile *profile, int argc, char **argv)
{
    static const struct option options[] = {
        {"trace", required_argument, NULL, TRACE},
        {"roofline", required_argument, NULL, ROOFLINE},
        {"dense", no_argument, NULL, DENSE},
        {"runs", required_argument, NULL, STP_OPTION_RUNS},
        {"input", required_argument, NULL, STP_OPTION_INPUT},
        {"seed", required_argument, NULL, STP_OPTION_SEED},
        {"device", required_argument, NULL, STP_OPTION_DEVICE},
        {"exact", no_argument, NULL, STP_OPTION_EXACT},
        STP_COMMON_LONG,
        {0},
    };
    int option, status = stp_job_begin(&profile->run, argc);
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1)
        status = set_option(profile, option, argv);
    if (status < 0 && !profile->trace && !profile->roofline)
        return stp_tool_usage(profile->run.tool, "profile", "profile needs --trace FILE or --roofline FILE");
    return status;
}

// The timeline -------------------------------------------------------------------------------------------------------

// Times are microseconds.
static cJSON *add_event(cJSON *events, const char *name, const char *category, const char *phase, double ms)
{
    cJSON *event = stp_json_object(events, NULL);
    stp_json_text(event, "name", name);
    stp_json_text(event, "cat", category);
    stp_json_text(event, "ph", phase);
    stp_json_number(event, "ts", ms * 1e3);
    stp_json_integer(event, "pid", 1);
    stp_json_integer(event, "tid", 1);
    return event;
}

static void name_track(cJSON *events, const char *what, const char *name)
{
    stp_json_text(stp_json_object(add_event(events, what, "__metadata", "M", 0), "args"), "name", name);
}

// One that a layer's kernel made; steps of one node share its work.
static const stp_session_node *find_node(const stp_session_node *nodes, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(nodes[i].name, name))
            return &nodes[i];
    return NULL;
}

static void add_run(cJSON *events, const stp_session_event *event, size_t index, const stp_session_node *node)
{
    const char *category = event->is_transfer ? "transfer" : "kernel";
    cJSON *told = add_event(events, *event->node ? event->node : event->name, category, "X", event->started_ms);
    stp_json_number(told, "dur", (event->ended_ms - event->started_ms) * 1e3);
    cJSON *args = stp_json_object(told, "args");
    stp_json_text(args, event->is_transfer ? "transfer" : "kernel", event->name);
    if (event->is_transfer)
        stp_json_number(args, "bytes", event->bytes);
    if (node) {
        stp_json_text(args, "op", node->op);
        stp_json_text(args, "options", node->options);
        stp_json_number(args, "rows", node->rows);
        stp_json_number(args, "macs", node->macs);
        stp_json_number(args, "bytes", node->bytes);
    }
    // Waiting overlaps: spans of their own, from queued over submitted to started.
    static const char *const phases[] = {"b", "n", "e"};
    const double times[] = {event->queued_ms, event->submitted_ms, event->started_ms};
    for (size_t i = 0; i < STP_COUNT(phases); i++)
        stp_json_integer(add_event(events, i == 1 ? "submitted" : event->name, "queue", phases[i], times[i]), "id", (int64_t)index);
}

static bool write_trace(const struct profile *profile, const stp_session_node *nodes, size_t n_nodes)
{
    struct stp_tool *tool = profile->run.tool;
    stp_session *session = profile->run.session;
    const size_t count = stp_session_event_count(session);
    cJSON *object = stp_json_object(NULL, NULL), *events = stp_json_array(object, "traceEvents");
    stp_json_text(object, "displayTimeUnit", "ms");
    name_track(events, "process_name", stp_device_get_info(profile->run.device)->name);
    name_track(events, "thread_name", "command queue");
    for (size_t i = 0; i < count; i++) {
        stp_session_event event;
        if (stp_session_event_get(session, i, &event) != STP_OK) {
            cJSON_Delete(object);
            return stp_error_library(&tool->error, tool->context, NULL);
        }
        add_run(events, &event, i, event.is_transfer ? NULL : find_node(nodes, n_nodes, event.node));
    }
    return stp_json_write(object, profile->trace, &tool->error);
}

// The picture --------------------------------------------------------------------------------------------------------

static bool write_roofline(struct profile *profile, const stp_session_node *nodes, size_t n_nodes)
{
    struct stp_run *run = &profile->run;
    stp_device_speed speed;
    char title[512];
    if (!stp_job_ok(run, stp_device_get_speed(run->device, &speed)))
        return false;
    if (!(speed.flops > 0))
        stp_tool_progress(run->tool, "measuring the device");
    if (!(speed.flops > 0) && !stp_job_ok(run, stp_device_measure(run->device, &speed)))
        return false;
    struct stp_roofline_point *points = calloc(n_nodes + 1, sizeof *points);
    if (!points)
        return stp_error_set(&run->tool->error, "out of memory");
    size_t count = 0;
    // Half of what a mask convolution does is done by the kernel that makes its input, in passing: it would pass the roof.
    for (size_t i = 0; i < n_nodes; i++)
        if (nodes[i].kernel && !nodes[i].part_of && nodes[i].macs > 0 && nodes[i].bytes > 0 && nodes[i].ms > 0)
            points[count++] = (struct stp_roofline_point){nodes[i].kernel, nodes[i].name, 2 * nodes[i].macs, nodes[i].bytes, nodes[i].ms};
    snprintf(title, sizeof title, "%.200s on %.200s", run->model_path, stp_device_get_info(run->device)->name);
    const bool ok = stp_roofline_write(profile->roofline, title, &speed, points, count, &run->tool->error);
    free(points);
    return ok;
}

// Verb ---------------------------------------------------------------------------------------------------------------

static bool run_all(struct profile *profile)
{
    struct stp_run *run = &profile->run;
    bool ok = stp_job_open(run) && stp_job_fed(run, true);
    for (int i = 0; ok && i <= run->runs; i++) {
        stp_tool_progress(run->tool, "run %d of %d", i + 1, run->runs + 1);
        ok = stp_job_ok(run, stp_session_run(run->session));
    }
    stp_tool_progress_end(run->tool);
    return ok;
}

static bool tell(struct profile *profile)
{
    struct stp_run *run = &profile->run;
    stp_session_stats stats;
    const size_t count = stp_session_node_count(run->session);
    stp_session_node *nodes = calloc(count + 1, sizeof *nodes);
    bool ok = nodes || stp_error_set(&run->tool->error, "out of memory");
    for (size_t i = 0; ok && i < count; i++)
        ok = stp_job_ok(run, stp_session_node_get(run->session, i, &nodes[i]));
    ok = ok && stp_job_ok(run, stp_session_get_stats(run->session, &stats)) && (!profile->trace || write_trace(profile, nodes, count)) &&
         (!profile->roofline || write_roofline(profile, nodes, count));
    stp_tool_progress_end(run->tool);
    free(nodes);
    if (!ok)
        return false;
    stp_report_model(run);
    printf("run      %.2f ms, %zu kernels and transfers\n", stats.run_ms, stp_session_event_count(run->session));
    if (profile->trace)
        printf("trace    %s\n", profile->trace);
    if (profile->roofline)
        printf("roofline %s\n", profile->roofline);
    return true;
}

int stp_verb_profile(struct stp_tool *tool, int argc, char **argv)
{
    struct profile profile = {.run = {.tool = tool, .verb = "profile", .runs = 3}};
    int status = parse_options(&profile, argc, argv);
    status = status < 0 ? stp_job_photos(&profile.run, argc, argv) : status;
    if (status < 0 && profile.run.photos.count > 1)
        status = stp_tool_usage(tool, "profile", "profile takes one PHOTO");
    status = status < 0 ? stp_job_model(&profile.run) : status;
    if (status < 0)
        status = run_all(&profile) && tell(&profile) ? stp_tool_printed(tool) : stp_tool_failure(tool);
    stp_job_end(&profile.run);
    return status;
}
