// SPDX-License-Identifier: Apache-2.0
// stipple-probe VERSION list | device INDEX PLATFORM NAME: asks OpenCL what may crash or hang, for the library
// (src/device/probe.c); compile INDEX PLATFORM NAME KERNELS: compiles for it (src/device/ahead.c); verify INDEX PLATFORM NAME CLASS CHOICE:
// holds a choice for convolutions against the reference (src/device/tuned.c); selftest INDEX PLATFORM NAME PART: runs a part of the selftest
// (src/selftest/selftest.c). The answer is one line on descriptor 3: "listed", "exact",
// "inexact WHAT", "compiled", "right", "wrong: WHAT", "part CHECKS FAILED DETAIL", "error SENTENCE".
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "device/ahead.h"
#include "device/child.h"
#include "device/exactness.h"
#include "device/probe.h"
#include "run/verify.h"
#include "selftest/parts.h"

// Does not return: no exit handler of a driver shall spoil the answer.
static _Noreturn void answer(const char *word, const char *text)
{
    dprintf(STP_CHILD_ANSWER_FD, "%s%s%.900s\n", word, text ? " " : "", text ? text : ""); // struct stp_child has room for a line
    _exit(0);
}

static _Noreturn void list(stp_context *context)
{
    stp_device_list *devices;
    if (stp_device_list_create(&devices, context, false) != STP_OK)
        answer("error", stp_last_error(context));
    answer("listed", NULL);
}

static stp_device *open_device(stp_context *context, const char *index, const char *platform, const char *name)
{
    stp_device *device;
    if (stp_device_open(&device, context, index) != STP_OK)
        answer("error", stp_last_error(context));
    if (strcmp(device->info.platform, platform) || strcmp(device->info.name, name))
        answer("error", "the devices changed meanwhile");
    return device;
}

static _Noreturn void compile(stp_context *context, stp_device *device, const char *kernels)
{
    if (stp_ahead_compile(device, kernels) != STP_OK)
        answer("error", stp_last_error(context));
    answer("compiled", NULL);
}

static _Noreturn void probe(stp_context *context, stp_device *device)
{
    const char *finding;
    if (stp_device_exactness(device, &finding) != STP_OK)
        answer("error", stp_last_error(context));
    answer(finding ? "inexact" : "exact", finding);
}

static _Noreturn void verify(stp_context *context, stp_device *device, const char *class_text, const char *choice_text)
{
    struct stp_conv_shape class;
    struct stp_conv_choice choice;
    bool right;
    char finding[256];
    if (!stp_conv_class_read(&class, class_text) || !stp_conv_choice_read(&choice, choice_text))
        answer("error", "not a class and a choice");
    device->is_helper = true; // a failure is the caller's to keep
    const stp_status status = stp_verify_conv(device, &class, &choice, &right, finding);
    if (status != STP_OK)
        answer(status == STP_ERROR_DEVICE ? "wrong:" : "error", stp_last_error(context));
    answer(right ? "right" : "wrong:", right ? NULL : finding);
}

static _Noreturn void selftest(stp_context *context, stp_device *device, const char *number)
{
    device->is_helper = true;
    struct stp_part_result result;
    char text[sizeof result.detail + 32];
    const size_t part = strtoul(number, NULL, 10);
    if (part >= stp_part_count())
        answer("error", "no such part");
    if (stp_part_run(device, part, &result) != STP_OK)
        answer("error", stp_last_error(context));
    snprintf(text, sizeof text, "%d %d %s", result.checks, result.failed, result.detail);
    answer("part", text);
}

int main(int argc, char **argv)
{
    // A crash is an answer here and needs no core file; and nobody waits longer than this.
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(2 * STP_PROBE_TIMEOUT_MS / 1000);
    stp_context *context;
    if (argc < 3 || strcmp(argv[1], STP_VERSION)) {
        fprintf(stderr, "stipple-probe is run by libstipple " STP_VERSION "\n");
        return 2;
    }
    if (stp_context_create(&context, NULL) != STP_OK)
        answer("error", "out of memory");
    if (!strcmp(argv[2], "list"))
        list(context);
    if (!strcmp(argv[2], "device") && argc == 6)
        probe(context, open_device(context, argv[3], argv[4], argv[5]));
    if (!strcmp(argv[2], "compile") && argc == 7)
        compile(context, open_device(context, argv[3], argv[4], argv[5]), argv[6]);
    if (!strcmp(argv[2], "selftest") && argc == 7) {
        alarm(2 * STP_PART_TIMEOUT_MS / 1000);
        selftest(context, open_device(context, argv[3], argv[4], argv[5]), argv[6]);
    }
    if (!strcmp(argv[2], "verify") && argc == 8)
        verify(context, open_device(context, argv[3], argv[4], argv[5]), argv[6], argv[7]);
    return 2;
}
