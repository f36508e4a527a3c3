// SPDX-License-Identifier: Apache-2.0
// stipple selftest: a report on a device that fits into a bug report.
#define _POSIX_C_SOURCE 200809L
#include "describe.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: stipple selftest [options]\n"
    "\n"
    "Checks that a device computes what it should: every operator, sparse and dense, against the reference in C, bit for\n"
    "bit; the ways of computing convolutions that 'stipple tune' would try first; and a fixed sparse network, whose masks\n"
    "and outputs have hashes that are the same on every exact device. Measures arithmetic, memory and the main kernels.\n"
    "The report is plain text, made to be pasted into a bug report. Each part runs in a process of its own, so that a\n"
    "driver that crashes fails that part and no more. Takes a minute, where compilers are slow some minutes.\n"
    "\n"
    "  --device D          index, name or part of it, platform, platform/device, gpu or cpu (see: stipple devices)\n"
    "  --json FILE         write the report as a JSON object, too (- for standard output, instead)\n" STP_COMMON_HELP "\n"
    "Exit status: 0 if all parts passed, 1 if not. A device that is not exact (it flushes subnormal numbers, say) may\n"
    "fail without being wrong.\n";

struct selftest {
    struct stp_tool *tool;
    const char *device_name, *json;
    stp_device *device;
    stp_device_speed speed; // as the last part measured it
    stp_selftest *result;
};

static int parse_options(struct selftest *test, int argc, char **argv)
{
    enum { DEVICE = 256, JSON };
    static const struct option options[] = {
        {"device", required_argument, NULL, DEVICE}, {"json", required_argument, NULL, JSON}, STP_COMMON_LONG, {0}};
    int option, status = -1;
    test->device_name = getenv("STIPPLE_DEVICE");
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1) {
        switch (option) {
        case DEVICE: test->device_name = optarg; break;
        case JSON: test->json = optarg; break;
        default: status = stp_tool_option(test->tool, option, argv, "selftest", help);
        }
    }
    if (status < 0 && optind < argc)
        return stp_tool_usage(test->tool, "selftest", "selftest takes no '%s'", argv[optind]);
    return status;
}

static bool has_passed(const stp_selftest *result)
{
    const stp_selftest_part *part;
    bool passed = true;
    for (size_t i = 0; (part = stp_selftest_get(result, i)); i++)
        passed &= part->passed;
    return passed;
}

// Text ---------------------------------------------------------------------------------------------------------------

// Names of as many letters as those of stp_describe_device().
static void print_head(const struct selftest *test)
{
    const char *quirk;
    printf("stipple %s\n", stp_version());
    stp_describe_device(stp_device_get_info(test->device), &test->speed);
    for (size_t i = 0; (quirk = stp_device_quirk(test->device, i)); i++) {
        fputs("    quirk         ", stdout);
        stp_put_text(stdout, quirk);
        putchar('\n');
    }
    putchar('\n');
}

static void print_report(const struct selftest *test)
{
    const stp_selftest_part *part;
    size_t checks = 0, failed = 0;
    print_head(test);
    for (size_t i = 0; (part = stp_selftest_get(test->result, i)); i++) {
        printf("%-22s%s", part->name, part->passed ? "passed" : "FAILED");
        if (part->checks)
            printf(", %zu checks", part->checks);
        printf(", %.1f s%s", part->seconds, *part->detail ? ": " : "");
        stp_put_text(stdout, part->detail);
        putchar('\n');
        checks += part->checks;
        failed += !part->passed;
    }
    if (failed)
        printf("%-22s%zu of %zu parts FAILED\n", "result", failed, stp_selftest_count(test->result));
    else
        printf("%-22sall %zu parts passed, %zu checks\n", "result", stp_selftest_count(test->result), checks);
}

// JSON ---------------------------------------------------------------------------------------------------------------

static cJSON *make_object(const struct selftest *test)
{
    cJSON *object = stp_json_object(NULL, NULL), *device;
    stp_json_text(object, "stipple", stp_version());
    device = stp_json_object(object, "device");
    stp_describe_device_json(device, stp_device_get_info(test->device), &test->speed);
    cJSON *quirks = stp_json_array(device, "quirks");
    const char *quirk;
    for (size_t i = 0; (quirk = stp_device_quirk(test->device, i)); i++)
        stp_json_text(quirks, NULL, quirk);
    cJSON *parts = stp_json_array(object, "parts");
    const stp_selftest_part *part;
    for (size_t i = 0; (part = stp_selftest_get(test->result, i)); i++) {
        cJSON *told = stp_json_object(parts, NULL);
        stp_json_text(told, "name", part->name);
        stp_json_bool(told, "passed", part->passed);
        stp_json_integer(told, "checks", (int64_t)part->checks);
        stp_json_number(told, "seconds", part->seconds);
        stp_json_text(told, "detail", part->detail);
    }
    stp_json_bool(object, "passed", has_passed(test->result));
    return object;
}

// Verb ---------------------------------------------------------------------------------------------------------------

static void on_part(void *user, const char *name, size_t done, size_t total)
{
    stp_tool_progress(user, "%zu/%zu %s", done + 1, total, name);
}

static int execute(struct selftest *test)
{
    struct stp_tool *tool = test->tool;
    if (!stp_tool_begin(tool))
        return stp_tool_failure(tool);
    bool ok = stp_device_open(&test->device, tool->context, test->device_name) == STP_OK;
    // A probe that fails is told by the parts, which fail as well.
    if (ok && stp_device_probe(test->device) != STP_OK)
        stp_tool_say(tool, STP_LOG_WARN, "%s", stp_last_error(tool->context));
    ok = ok && stp_selftest_run(&test->result, test->device, on_part, tool) == STP_OK &&
         stp_device_get_speed(test->device, &test->speed) == STP_OK;
    stp_tool_progress_end(tool);
    if (!ok) {
        stp_error_library(&tool->error, tool->context, NULL);
        return stp_tool_failure(tool);
    }
    const bool to_stdout = test->json && !strcmp(test->json, "-");
    if (!to_stdout)
        print_report(test);
    if (test->json && !to_stdout && !stp_json_write(make_object(test), test->json, &tool->error))
        return stp_tool_failure(tool);
    const int status = to_stdout ? stp_json_print(tool, make_object(test)) : stp_tool_printed(tool);
    return status ? status : has_passed(test->result) ? STP_EXIT_OK : STP_EXIT_FAILURE;
}

int stp_verb_selftest(struct stp_tool *tool, int argc, char **argv)
{
    struct selftest test = {.tool = tool};
    int status = parse_options(&test, argc, argv);
    status = status < 0 ? execute(&test) : status;
    stp_selftest_destroy(&test.result);
    stp_device_destroy(&test.device);
    return status;
}
