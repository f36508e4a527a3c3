// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include <stipple/selftest.h>

#include "device/child.h"
#include "device/quirks.h"
#include "selftest/parts.h"

struct stp_selftest {
    struct stp_arena arena;
    stp_selftest_part *parts;
    size_t count;
};

// "part CHECKS FAILED DETAIL"; anything else is a failure.
static bool read_answer(stp_selftest_part *out, struct stp_arena *arena, const struct stp_child *child)
{
    int checks, failed, end = 0;
    const bool told = sscanf(child->answer, "part %d %d%n", &checks, &failed, &end) == 2;
    out->passed = told && !failed;
    out->checks = told ? (size_t)checks : 0;
    const char *rest = child->answer + end;
    rest += *rest == ' ';
    if (told && failed)
        out->detail = stp_arena_format(arena, "%d of %d failed; %s", failed, checks, rest);
    else if (told)
        out->detail = stp_arena_string(arena, rest, strlen(rest));
    else
        out->detail = stp_arena_format(arena, "%s%s", child->answer[0] ? "" : "the process died: ",
                                       child->answer[0] ? child->answer : child->death);
    return out->detail;
}

static stp_status run_part(stp_selftest *selftest, struct stp_device *device, const char *helper, size_t part)
{
    char index[16], number[24];
    struct stp_child child;
    stp_selftest_part *out = &selftest->parts[part];
    const double start = stp_now_ms();
    snprintf(index, sizeof index, "%d", device->info.index);
    snprintf(number, sizeof number, "%zu", part);
    STP_TRY(stp_child_run(&child, device->context, helper,
                          (const char *const[]){"selftest", index, device->info.platform, device->info.name, number, NULL}, NULL,
                          STP_PART_TIMEOUT_MS));
    *out = (stp_selftest_part){.name = stp_part_name(part), .seconds = (stp_now_ms() - start) * 1e-3};
    selftest->count = part + 1;
    return read_answer(out, &selftest->arena, &child) ? STP_OK
                                                      : stp_fail_memory(device->context, sizeof child, "an answer of the selftest");
}

stp_status stp_selftest_run(stp_selftest **out, stp_device *device, stp_selftest_fn progress, void *user)
{
    if (!out || !device)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    char helper[4096];
    if (!stp_child_helper(helper, sizeof helper))
        return stp_fail(device->context, STP_ERROR_IO, "the program stipple-probe is not installed (%s)", helper);
    if (device->info.index < 0)
        return stp_fail(device->context, STP_ERROR_UNSUPPORTED, "%s was brought by an application: it cannot be found in another process",
                        device->info.name);
    stp_selftest *selftest = calloc(1, sizeof *selftest);
    if (!selftest || !(selftest->parts = stp_arena_array(&selftest->arena, stp_part_count(), sizeof *selftest->parts))) {
        free(selftest);
        return stp_fail_memory(device->context, sizeof *selftest, "a selftest");
    }
    stp_status status = STP_OK;
    for (size_t part = 0; part < stp_part_count() && status == STP_OK; part++) {
        if (progress)
            progress(user, stp_part_name(part), part, stp_part_count());
        status = run_part(selftest, device, helper, part);
    }
    if (status == STP_OK)
        *out = selftest;
    else
        stp_selftest_destroy(&selftest);
    return status;
}

void stp_selftest_destroy(stp_selftest **selftest)
{
    if (!selftest || !*selftest)
        return;
    stp_arena_free(&(*selftest)->arena);
    free(*selftest);
    *selftest = NULL;
}

size_t stp_selftest_count(const stp_selftest *selftest)
{
    return selftest ? selftest->count : 0;
}

const stp_selftest_part *stp_selftest_get(const stp_selftest *selftest, size_t index)
{
    return selftest && index < selftest->count ? &selftest->parts[index] : NULL;
}

const char *stp_device_quirk(const stp_device *device, size_t index)
{
    return device ? stp_device_quirk_text(&device->info, index) : NULL;
}
