// SPDX-License-Identifier: Apache-2.0
#include "describe.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void print_memory(const char *before, uint64_t bytes)
{
    if (bytes >= UINT64_C(1) << 30)
        printf("%s%.1f GiB", before, (double)bytes / (1 << 30));
    else
        printf("%s%" PRIu64 " KiB", before, bytes >> 10);
}

static void put_line(const char *name, const char *text)
{
    printf("    %-13s ", name);
    stp_put_text(stdout, text);
    putchar('\n');
}

static void print_sizes(const stp_device_info *info)
{
    print_memory("    memory        ", info->global_memory);
    print_memory(", one buffer up to ", info->max_allocation);
    printf("%s\n", info->unified_memory ? ", shared with the host" : "");
    print_memory("    local memory  ", info->local_memory);
    printf("%s\n", info->local_memory_is_global ? " (part of global memory)" : "");
    printf("    compute       %" PRIu32 " units, %" PRIu32 " MHz\n", info->compute_units, info->clock_mhz);
    printf("    work-group    up to %zu items (%zu × %zu × %zu)\n", info->max_work_group_size,
           info->max_work_item_sizes[0], info->max_work_item_sizes[1], info->max_work_item_sizes[2]);
    printf("    float vector  %" PRIu32 "; half %s, double %s; buffers aligned to %" PRIu32 " bytes\n",
           info->native_vector_width_float, info->fp16 ? "yes" : "no", info->fp64 ? "yes" : "no",
           info->base_address_align);
}

void stp_describe_device(const stp_device_info *info, const stp_device_speed *speed)
{
    printf("%s %d %s: ", info->is_default ? "*" : " ", info->index, info->type);
    stp_put_text(stdout, info->name);
    putchar('\n');
    put_line("vendor", info->vendor);
    put_line("version", info->device_version);
    put_line("driver", info->driver_version);
    put_line("platform", info->platform);
    put_line("", info->platform_version);
    put_line("", info->platform_vendor);
    print_sizes(info);
    bool probed = !info->inexact || strcmp(info->inexact, "not probed");
    printf("    exact         %s%s%s%s\n",
           !info->inexact ? "yes"
           : probed       ? "no"
                          : "unknown",
           info->inexact ? " (" : "", info->inexact ? info->inexact : "", info->inexact ? ")" : "");
    if (speed->flops > 0)
        printf("    measured      %.1f GFLOP/s (fp32 fma), %.1f GB/s\n", speed->flops * 1e-9, speed->bytes * 1e-9);
    if (info->unusable)
        put_line("unusable", info->unusable);
}

void stp_describe_device_json(cJSON *device, const stp_device_info *info, const stp_device_speed *speed)
{
    stp_json_number(device, "index", info->index);
    stp_json_text(device, "platform", info->platform);
    stp_json_text(device, "platform_version", info->platform_version);
    stp_json_text(device, "platform_vendor", info->platform_vendor);
    stp_json_text(device, "name", info->name);
    stp_json_text(device, "vendor", info->vendor);
    stp_json_text(device, "device_version", info->device_version);
    stp_json_text(device, "driver_version", info->driver_version);
    stp_json_text(device, "type", info->type);
    stp_json_text(device, "unusable", info->unusable);
    stp_json_text(device, "inexact", info->inexact);
    stp_json_number(device, "compute_units", info->compute_units);
    stp_json_number(device, "clock_mhz", info->clock_mhz);
    stp_json_number(device, "global_memory", (double)info->global_memory);
    stp_json_number(device, "max_allocation", (double)info->max_allocation);
    stp_json_number(device, "local_memory", (double)info->local_memory);
    stp_json_bool(device, "local_memory_is_global", info->local_memory_is_global);
    stp_json_bool(device, "unified_memory", info->unified_memory);
    stp_json_number(device, "max_work_group_size", (double)info->max_work_group_size);
    cJSON *sizes = stp_json_array(device, "max_work_item_sizes");
    for (size_t i = 0; i < STP_COUNT(info->max_work_item_sizes); i++)
        stp_json_number(sizes, NULL, (double)info->max_work_item_sizes[i]);
    stp_json_number(device, "native_vector_width_float", info->native_vector_width_float);
    stp_json_number(device, "base_address_align", info->base_address_align);
    stp_json_bool(device, "fp16", info->fp16);
    stp_json_bool(device, "fp64", info->fp64);
    stp_json_bool(device, "is_default", info->is_default);
    cJSON *measured = stp_json_object(device, "speed");
    stp_json_number(measured, "gflop_per_s", speed->flops > 0 ? speed->flops * 1e-9 : NAN);
    stp_json_number(measured, "gbyte_per_s", speed->bytes > 0 ? speed->bytes * 1e-9 : NAN);
}
