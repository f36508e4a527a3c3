// SPDX-License-Identifier: Apache-2.0
// stipple devices: a report of every device, made for bug reports too.
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"

static const char help[] =
    "usage: stipple devices [--measure] [--device D]... [--json]\n"
    "\n"
    "Lists every device of every OpenCL platform; '*' marks the one that is used unless --device or STIPPLE_DEVICE\n"
    "names another. 'exact' tells whether the device gives the reference's bits, tried on the spot.\n"
    "\n"
    "      --measure       measure the peak of fp32 fma and the memory bandwidth (seconds per device), and keep both\n"
    "      --device D      only this device, chosen as stipple run --help says; may be repeated\n"
    "      --json          print one JSON object\n" STP_COMMON_HELP;

struct devices {
    const stp_device_list *list;
    bool json, measure;
    const char *selectors[32];
    size_t n_selectors;
    bool *shown;              // per device of the list
    stp_device_speed *speeds; // likewise; zeros: not known
};

static int print_list(struct stp_tool *tool, const struct devices *devices)
{
    size_t count = stp_device_list_count(devices->list);
    cJSON *object = devices->json ? stp_json_object(NULL, NULL) : NULL;
    cJSON *array = devices->json ? stp_json_array(object, "devices") : NULL;
    for (size_t i = 0; i < count; i++) {
        const stp_device_info *info = stp_device_list_get(devices->list, i);
        if (!devices->shown[i])
            continue;
        if (devices->json)
            stp_describe_device_json(stp_json_object(array, NULL), info, &devices->speeds[i]);
        else
            stp_describe_device(info, &devices->speeds[i]);
    }
    return devices->json ? stp_json_print(tool, object) : stp_tool_printed(tool);
}

// Those that were asked for, or all.
static bool select_devices(struct stp_tool *tool, struct devices *devices)
{
    for (size_t i = 0; i < stp_device_list_count(devices->list); i++)
        devices->shown[i] = !devices->n_selectors;
    for (size_t i = 0; i < devices->n_selectors; i++) {
        stp_device *device;
        if (stp_device_open(&device, tool->context, devices->selectors[i]) != STP_OK)
            return stp_error_library(&tool->error, tool->context, NULL);
        devices->shown[stp_device_get_info(device)->index] = true;
        stp_device_destroy(&device);
    }
    return true;
}

static stp_status find_speed(struct stp_tool *tool, const stp_device_info *info, bool measure, stp_device_speed *out)
{
    char index[16];
    snprintf(index, sizeof index, "%d", info->index);
    stp_device *device;
    stp_status status = stp_device_open(&device, tool->context, index);
    if (status != STP_OK)
        return status;
    if (measure)
        stp_tool_progress(tool, "measuring %s", info->name);
    status = measure ? stp_device_measure(device, out) : stp_device_get_speed(device, out);
    stp_tool_progress_end(tool);
    stp_device_destroy(&device);
    return status;
}

static bool find_speeds(struct stp_tool *tool, struct devices *devices)
{
    for (size_t i = 0; i < stp_device_list_count(devices->list); i++) {
        const stp_device_info *info = stp_device_list_get(devices->list, i);
        if (!devices->shown[i] || info->unusable)
            continue;
        if (find_speed(tool, info, devices->measure, &devices->speeds[i]) != STP_OK && devices->measure)
            return stp_error_library(&tool->error, tool->context, info->name);
    }
    return true;
}

static int list_devices(struct stp_tool *tool, struct devices *devices)
{
    size_t count = stp_device_list_count(devices->list);
    if (!count) {
        stp_error_set(&tool->error, "there is no OpenCL device: install a driver, such as pocl-opencl-icd (any CPU), "
                                    "intel-opencl-icd (Intel GPUs), mesa-opencl-icd (AMD GPUs) or Nvidia's own");
        return stp_tool_failure(tool);
    }
    devices->shown = calloc(count, sizeof *devices->shown);
    devices->speeds = calloc(count, sizeof *devices->speeds);
    if (!devices->shown || !devices->speeds) {
        stp_error_set(&tool->error, "out of memory");
        return stp_tool_failure(tool);
    }
    return select_devices(tool, devices) && find_speeds(tool, devices) ? print_list(tool, devices)
                                                                       : stp_tool_failure(tool);
}

int stp_verb_devices(struct stp_tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"measure", no_argument, NULL, 'm'},
                                            {"device", required_argument, NULL, 'd'},
                                            STP_COMMON_LONG,
                                            {0}};
    struct devices devices = {0};
    int option, status = -1;
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1) {
        if (option == 'j')
            devices.json = true;
        else if (option == 'm')
            devices.measure = true;
        else if (option == 'd' && devices.n_selectors < STP_COUNT(devices.selectors))
            devices.selectors[devices.n_selectors++] = optarg;
        else if (option == 'd')
            status = stp_tool_usage(tool, "devices", "more than %zu times --device", STP_COUNT(devices.selectors));
        else
            status = stp_tool_option(tool, option, argv, "devices", help);
    }
    if (status >= 0)
        return status;
    if (optind < argc)
        return stp_tool_usage(tool, "devices", "devices takes no '%s'", argv[optind]);
    stp_device_list *list = NULL;
    if (!stp_tool_begin(tool))
        return stp_tool_failure(tool);
    if (stp_device_list_create(&list, tool->context, true) != STP_OK) {
        stp_error_library(&tool->error, tool->context, NULL);
        return stp_tool_failure(tool);
    }
    devices.list = list;
    status = list_devices(tool, &devices);
    free(devices.shown);
    free(devices.speeds);
    stp_device_list_destroy(&list);
    return status;
}
