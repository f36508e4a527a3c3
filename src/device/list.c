// SPDX-License-Identifier: Apache-2.0
// What there is: every device of every platform, and what each says of itself.
#include "device/device.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/child.h"
#include "device/icd.h"
#include "device/probe.h"
#include "device/quirks.h"

enum { USUAL_UNITS = 8 }; // of GPUs in small machines, where nobody tells

// One device's answers. The first failure stays; later queries still run.
struct query {
    struct stp_arena *arena;
    cl_device_id id;
    cl_int code;
    bool short_of_memory;
};

// Without the spaces that some drivers put around names.
static const char *trimmed(struct query *query, const char *text)
{
    size_t length = strlen(text);
    while (length && (text[0] == ' ' || text[0] == '\t'))
        text++, length--;
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    const char *copy = stp_arena_string(query->arena, text, length);
    query->short_of_memory |= !copy;
    return copy;
}

static const char *ask_platform(struct query *query, cl_platform_id platform, cl_platform_info what)
{
    char text[1024] = "";
    cl_int code = clGetPlatformInfo(platform, what, sizeof text - 1, text, NULL);
    if (code != CL_SUCCESS && query->code == CL_SUCCESS)
        query->code = code;
    return trimmed(query, code == CL_SUCCESS ? text : "");
}

static const char *ask_text(struct query *query, cl_device_info what)
{
    char text[1024] = "";
    cl_int code = clGetDeviceInfo(query->id, what, sizeof text - 1, text, NULL);
    if (code != CL_SUCCESS && query->code == CL_SUCCESS)
        query->code = code;
    return trimmed(query, code == CL_SUCCESS ? text : "");
}

static void ask(struct query *query, cl_device_info what, void *out, size_t size)
{
    memset(out, 0, size);
    cl_int code = clGetDeviceInfo(query->id, what, size, out, NULL);
    if (code != CL_SUCCESS && query->code == CL_SUCCESS)
        query->code = code;
}

static uint32_t ask_uint(struct query *query, cl_device_info what)
{
    cl_uint value;
    ask(query, what, &value, sizeof value);
    return value;
}

static uint64_t ask_ulong(struct query *query, cl_device_info what)
{
    cl_ulong value;
    ask(query, what, &value, sizeof value);
    return value;
}

static bool ask_bool(struct query *query, cl_device_info what)
{
    cl_bool value;
    ask(query, what, &value, sizeof value);
    return value;
}

static const char *type_name(struct query *query)
{
    cl_device_type type;
    ask(query, CL_DEVICE_TYPE, &type, sizeof type);
    // Oclgrind sets every bit: it computes on the CPU.
    if (type & CL_DEVICE_TYPE_CPU)
        return "cpu";
    if (type & CL_DEVICE_TYPE_GPU)
        return "gpu";
    return type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator" : "custom";
}

// "OpenCL 1.2 anything"
static bool at_least_1_2(const char *version)
{
    int major = 0, minor = 0;
    return sscanf(version, "OpenCL %d.%d", &major, &minor) == 2 && (major > 1 || (major == 1 && minor >= 2));
}

static void ask_limits(struct query *query, stp_device_info *info)
{
    info->compute_units = ask_uint(query, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->clock_mhz = ask_uint(query, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    info->global_memory = ask_ulong(query, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_allocation = ask_ulong(query, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->local_memory = ask_ulong(query, CL_DEVICE_LOCAL_MEM_SIZE);
    info->local_memory_is_global = ask_uint(query, CL_DEVICE_LOCAL_MEM_TYPE) == CL_GLOBAL;
    info->base_address_align = ask_uint(query, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    uint32_t width = ask_uint(query, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    info->native_vector_width_float = width ? width : 1;
    ask(query, CL_DEVICE_MAX_WORK_GROUP_SIZE, &info->max_work_group_size, sizeof info->max_work_group_size);
    size_t sizes[16] = {0}; // at least 3 dimensions; more are not used
    ask(query, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizes, sizeof sizes);
    memcpy(info->max_work_item_sizes, sizes, sizeof info->max_work_item_sizes);
}

// Answers that OpenCL lets a device withhold: a failure means no.
static void ask_optional(struct query *query, stp_device_info *info)
{
    cl_int code = query->code;
    info->unified_memory = ask_bool(query, CL_DEVICE_HOST_UNIFIED_MEMORY);
    cl_device_fp_config fp64;
    ask(query, CL_DEVICE_DOUBLE_FP_CONFIG, &fp64, sizeof fp64);
    info->fp64 = fp64 != 0;
    query->code = code;
    size_t size = 0;
    if (clGetDeviceInfo(query->id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS || size == 0)
        return;
    char *extensions = calloc(1, size + 1);
    query->short_of_memory |= !extensions;
    if (extensions && clGetDeviceInfo(query->id, CL_DEVICE_EXTENSIONS, size, extensions, NULL) == CL_SUCCESS)
        info->fp16 = strstr(extensions, "cl_khr_fp16") != NULL;
    free(extensions);
}

static const char *why_unusable(struct query *query, const stp_device_info *info, bool has_compiler, bool available)
{
    if (!at_least_1_2(info->device_version))
        return stp_arena_format(query->arena, "%s; 1.2 is needed", info->device_version);
    if (!has_compiler)
        return "it has no compiler";
    if (!available)
        return "it says that it is not available";
    if (query->code != CL_SUCCESS)
        return stp_arena_format(query->arena, "it does not tell its limits: %s (%d)", stp_cl_error_name(query->code),
                                query->code);
    if (!info->compute_units || !info->max_work_group_size || !info->global_memory || !info->max_allocation)
        return "it says that it has no compute units or no memory";
    return NULL;
}

cl_int stp_device_query(struct stp_arena *arena, cl_platform_id platform, cl_device_id id, stp_device_info *out)
{
    struct query query = {.arena = arena, .id = id};
    *out = (stp_device_info){
        .platform = ask_platform(&query, platform, CL_PLATFORM_NAME),
        .platform_version = ask_platform(&query, platform, CL_PLATFORM_VERSION),
        .platform_vendor = ask_platform(&query, platform, CL_PLATFORM_VENDOR),
        .name = ask_text(&query, CL_DEVICE_NAME),
        .vendor = ask_text(&query, CL_DEVICE_VENDOR),
        .device_version = ask_text(&query, CL_DEVICE_VERSION),
        .driver_version = ask_text(&query, CL_DRIVER_VERSION),
        .type = type_name(&query),
        .inexact = "not probed",
    };
    if (query.code != CL_SUCCESS)
        return query.code;
    bool has_compiler = ask_bool(&query, CL_DEVICE_COMPILER_AVAILABLE);
    bool available = ask_bool(&query, CL_DEVICE_AVAILABLE);
    ask_limits(&query, out);
    if (stp_device_quirks(out) & STP_QUIRK_UNITS)
        out->compute_units = USUAL_UNITS;
    ask_optional(&query, out);
    if (query.short_of_memory)
        return CL_OUT_OF_HOST_MEMORY;
    out->unusable = why_unusable(&query, out, has_compiler, available);
    return CL_SUCCESS;
}

// The list -----------------------------------------------------------------------------------------------------------

// Room for `more` further devices.
static stp_status grow(stp_context *context, stp_device_list *list, size_t more)
{
    size_t count = list->count + more;
    stp_device_info *infos = realloc(list->infos, count * sizeof *infos);
    list->infos = infos ? infos : list->infos;
    cl_device_id *ids = realloc(list->ids, count * sizeof *ids);
    list->ids = ids ? ids : list->ids;
    return infos && ids ? STP_OK : stp_fail_memory(context, count * sizeof *infos, "the list of devices");
}

static void platform_name(cl_platform_id platform, char *name, size_t size)
{
    memset(name, 0, size);
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, size - 1, name, NULL) != CL_SUCCESS)
        snprintf(name, size, "without a name");
}

static stp_status add_platform(stp_context *context, stp_device_list *list, cl_platform_id platform)
{
    char name[256];
    platform_name(platform, name, sizeof name);
    cl_uint count = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count);
    if (code == CL_DEVICE_NOT_FOUND || (code == CL_SUCCESS && count == 0))
        return STP_OK;
    if (code == CL_SUCCESS) {
        STP_TRY(grow(context, list, count));
        code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, list->ids + list->count, NULL);
    }
    if (code != CL_SUCCESS) {
        stp_log(context, STP_LOG_WARN, "the OpenCL platform %s is skipped: clGetDeviceIDs failed: %s (%d)", name,
                stp_cl_error_name(code), code);
        return STP_OK;
    }
    const cl_device_id *found = list->ids + list->count;
    for (cl_uint i = 0; i < count; i++) {
        stp_device_info *info = &list->infos[list->count];
        cl_device_id id = found[i];
        code = stp_device_query(&list->arena, platform, id, info);
        if (code != CL_SUCCESS) {
            stp_log(context, STP_LOG_WARN,
                    "device %u of the OpenCL platform %s is skipped: clGetDeviceInfo failed: %s (%d)", i, name,
                    stp_cl_error_name(code), code);
            continue;
        }
        info->index = (int)list->count;
        list->ids[list->count++] = id; // at or before `i`: the tail of `found` is not read again
    }
    return STP_OK;
}

static stp_status list_platforms(stp_context *context, stp_device_list *list)
{
    cl_uint count = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &count);
    stp_icd_warn_broken(context);
    if (code == CL_PLATFORM_NOT_FOUND_KHR || (code == CL_SUCCESS && count == 0))
        return STP_OK;
    cl_platform_id *platforms = code == CL_SUCCESS ? calloc(count, sizeof(cl_platform_id)) : NULL;
    if (code == CL_SUCCESS && !platforms)
        return stp_fail_memory(context, count * sizeof(cl_platform_id), "the list of platforms");
    if (code == CL_SUCCESS)
        code = clGetPlatformIDs(count, platforms, NULL);
    stp_status status = STP_OK;
    if (code != CL_SUCCESS)
        status = stp_fail(context, STP_ERROR_DEVICE, "clGetPlatformIDs failed: %s (%d)", stp_cl_error_name(code), code);
    for (cl_uint i = 0; i < count && status == STP_OK; i++)
        status = add_platform(context, list, platforms[i]);
    free(platforms);
    return status;
}

static stp_status probe_devices(stp_context *context, stp_device_list *list, const char *helper)
{
    for (size_t i = 0; i < list->count; i++)
        if (!list->infos[i].unusable)
            STP_TRY(stp_probe_device(context, helper, &list->arena, list->infos[i].index, &list->infos[i],
                                     STP_PROBE_TIMEOUT_MS));
    return STP_OK;
}

static stp_status fill(stp_context *context, stp_device_list *list, bool probe)
{
    char helper[4096];
    if (probe && !stp_child_helper(helper, sizeof helper)) {
        stp_log(context, STP_LOG_WARN, "devices are not probed: the program stipple-probe is not installed (%s)",
                helper);
        probe = false;
    }
    // If a driver kills its process, then not this one.
    if (probe)
        STP_TRY(stp_probe_listing(context, helper, STP_PROBE_TIMEOUT_MS));
    STP_TRY(list_platforms(context, list));
    int choice = stp_device_choose(list->infos, list->count, NULL);
    if (choice != STP_CHOOSE_NONE)
        list->infos[choice].is_default = true;
    return probe ? probe_devices(context, list, helper) : STP_OK;
}

stp_status stp_device_list_create(stp_device_list **out, stp_context *context, bool probe)
{
    if (!out || !context)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return stp_fail_memory(context, sizeof **out, "the list of devices");
    stp_status status = fill(context, *out, probe);
    if (status != STP_OK)
        stp_device_list_destroy(out);
    return status;
}

void stp_device_list_destroy(stp_device_list **list)
{
    if (!list || !*list)
        return;
    stp_arena_free(&(*list)->arena);
    free((*list)->infos);
    free((*list)->ids);
    free(*list);
    *list = NULL;
}

size_t stp_device_list_count(const stp_device_list *list)
{
    return list ? list->count : 0;
}

const stp_device_info *stp_device_list_get(const stp_device_list *list, size_t index)
{
    return list && index < list->count ? &list->infos[index] : NULL;
}
