// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "device/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/child.h"
#include "device/icd.h"

// Listing ------------------------------------------------------------------------------------------------------------

struct culprits {
    stp_context *context;
    const char *helper;
    int timeout_ms;
    char paths[512];
};

// Lists the devices of one driver file alone: in a folder of its own, since not every loader takes a file's name.
static void try_driver(void *user, const char *path)
{
    struct culprits *culprits = user;
    char folder[] = "/tmp/stipple-probe.XXXXXX", link[sizeof folder + 16];
    if (!mkdtemp(folder))
        return;
    snprintf(link, sizeof link, "%s/driver.icd", folder);
    struct stp_child child = {0};
    if (symlink(path, link) == 0 &&
        stp_child_run(&child, culprits->context, culprits->helper, (const char *const[]){"list", NULL}, folder,
                      culprits->timeout_ms) == STP_OK &&
        !child.answer[0]) {
        size_t used = strlen(culprits->paths);
        snprintf(culprits->paths + used, sizeof culprits->paths - used, "%s%s", used ? ", " : "", path);
    }
    unlink(link);
    rmdir(folder);
}

stp_status stp_probe_listing(stp_context *context, const char *helper, int timeout_ms)
{
    struct stp_child child;
    STP_TRY(stp_child_run(&child, context, helper, (const char *const[]){"list", NULL}, NULL, timeout_ms));
    if (child.answer[0])
        return STP_OK;
    struct culprits culprits = {.context = context, .helper = helper, .timeout_ms = timeout_ms};
    stp_icd_each(try_driver, &culprits);
    if (!culprits.paths[0])
        return stp_fail(context, STP_ERROR_DEVICE, "a driver fails while OpenCL's devices are listed: %s", child.death);
    return stp_fail(
        context, STP_ERROR_DEVICE,
        "a driver fails while OpenCL's devices are listed: %s; it is the driver of %s: remove it, or name a "
        "folder of .icd files without it in OCL_ICD_VENDORS",
        child.death, culprits.paths);
}

// Probing ------------------------------------------------------------------------------------------------------------

// The rest of `text` behind `prefix`, or NULL.
static const char *behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) ? NULL : text + length;
}

stp_status stp_probe_device(stp_context *context, const char *helper, struct stp_arena *arena, int index,
                            stp_device_info *info, int timeout_ms)
{
    char number[16];
    snprintf(number, sizeof number, "%d", index);
    struct stp_child child;
    STP_TRY(stp_child_run(&child, context, helper,
                          (const char *const[]){"device", number, info->platform, info->name, NULL}, NULL, timeout_ms));
    const char *inexact = behind(child.answer, "inexact "), *error = behind(child.answer, "error ");
    if (!strcmp(child.answer, "exact")) {
        info->inexact = NULL;
        return STP_OK;
    }
    const char *text = inexact ? stp_arena_string(arena, inexact, strlen(inexact))
                       : error ? stp_arena_format(arena, "the probe failed: %s", error)
                               : stp_arena_format(arena, "the probe died: %s", child.death);
    if (!text)
        return stp_fail_memory(context, sizeof child.answer, "a finding of the probe");
    *(inexact ? &info->inexact : &info->unusable) = text;
    return STP_OK;
}

// The device's number in a fresh list; −1 if it is none of the platforms' own (a sub-device).
static stp_status find_in_list(int *out, struct stp_device *device)
{
    stp_device_list *list;
    STP_TRY(stp_device_list_create(&list, device->context, false));
    *out = -1;
    for (size_t i = 0; i < list->count; i++)
        if (list->ids[i] == device->id)
            *out = list->infos[i].index;
    stp_device_list_destroy(&list);
    return STP_OK;
}

stp_status stp_device_probe(stp_device *device)
{
    if (!device)
        return STP_ERROR_INVALID_ARGUMENT;
    char helper[4096];
    if (!stp_child_helper(helper, sizeof helper))
        return stp_fail(device->context, STP_ERROR_IO, "the program stipple-probe is not installed (%s)", helper);
    int index;
    STP_TRY(find_in_list(&index, device));
    if (index < 0)
        return stp_fail(device->context, STP_ERROR_UNSUPPORTED, "%s is a part of a device: it cannot be probed",
                        device->info.name);
    STP_TRY(stp_probe_device(device->context, helper, &device->arena, index, &device->info, STP_PROBE_TIMEOUT_MS));
    if (device->info.unusable)
        return stp_fail(device->context, STP_ERROR_DEVICE, "%s: %s", device->info.name, device->info.unusable);
    return STP_OK;
}
