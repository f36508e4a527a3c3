// SPDX-License-Identifier: Apache-2.0
// Opening, wrapping and releasing a device; buffers; errors of OpenCL calls.
#include "device/device.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/cache.h"
#include "device/quirks.h"
#include "device/tuned.h"

#define INSTALL_HINT                                                                                                   \
    "install a driver: pocl-opencl-icd (any CPU), intel-opencl-icd (Intel GPUs), mesa-opencl-icd or ROCm's OpenCL "    \
    "(AMD GPUs), or the Nvidia driver"

const char *stp_cl_error_name(cl_int code)
{
#define NAME(code)                                                                                                     \
    case code: return #code
    switch (code) {
        NAME(CL_SUCCESS);
        NAME(CL_DEVICE_NOT_FOUND);
        NAME(CL_DEVICE_NOT_AVAILABLE);
        NAME(CL_COMPILER_NOT_AVAILABLE);
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE);
        NAME(CL_OUT_OF_RESOURCES);
        NAME(CL_OUT_OF_HOST_MEMORY);
        NAME(CL_PROFILING_INFO_NOT_AVAILABLE);
        NAME(CL_MEM_COPY_OVERLAP);
        NAME(CL_BUILD_PROGRAM_FAILURE);
        NAME(CL_MAP_FAILURE);
        NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET);
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
        NAME(CL_COMPILE_PROGRAM_FAILURE);
        NAME(CL_LINKER_NOT_AVAILABLE);
        NAME(CL_LINK_PROGRAM_FAILURE);
        NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE);
        NAME(CL_INVALID_VALUE);
        NAME(CL_INVALID_DEVICE_TYPE);
        NAME(CL_INVALID_PLATFORM);
        NAME(CL_INVALID_DEVICE);
        NAME(CL_INVALID_CONTEXT);
        NAME(CL_INVALID_QUEUE_PROPERTIES);
        NAME(CL_INVALID_COMMAND_QUEUE);
        NAME(CL_INVALID_HOST_PTR);
        NAME(CL_INVALID_MEM_OBJECT);
        NAME(CL_INVALID_BINARY);
        NAME(CL_INVALID_BUILD_OPTIONS);
        NAME(CL_INVALID_PROGRAM);
        NAME(CL_INVALID_PROGRAM_EXECUTABLE);
        NAME(CL_INVALID_KERNEL_NAME);
        NAME(CL_INVALID_KERNEL_DEFINITION);
        NAME(CL_INVALID_KERNEL);
        NAME(CL_INVALID_ARG_INDEX);
        NAME(CL_INVALID_ARG_VALUE);
        NAME(CL_INVALID_ARG_SIZE);
        NAME(CL_INVALID_KERNEL_ARGS);
        NAME(CL_INVALID_WORK_DIMENSION);
        NAME(CL_INVALID_WORK_GROUP_SIZE);
        NAME(CL_INVALID_WORK_ITEM_SIZE);
        NAME(CL_INVALID_GLOBAL_OFFSET);
        NAME(CL_INVALID_EVENT_WAIT_LIST);
        NAME(CL_INVALID_EVENT);
        NAME(CL_INVALID_OPERATION);
        NAME(CL_INVALID_BUFFER_SIZE);
        NAME(CL_INVALID_GLOBAL_WORK_SIZE);
        NAME(CL_INVALID_PROPERTY);
        NAME(CL_INVALID_COMPILER_OPTIONS);
        NAME(CL_INVALID_LINKER_OPTIONS);
        NAME(CL_PLATFORM_NOT_FOUND_KHR);
    }
#undef NAME
    return "unknown error";
}

static stp_status status_of(cl_int code)
{
    if (code == CL_SUCCESS)
        return STP_OK;
    return code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY ? STP_ERROR_OUT_OF_MEMORY
                                                                                     : STP_ERROR_DEVICE;
}

stp_status stp_cl_check(struct stp_device *device, cl_int code, const char *call)
{
    if (code == CL_SUCCESS)
        return STP_OK;
    return stp_fail(device->context, status_of(code), "%s failed: %s (%d)", call, stp_cl_error_name(code), code);
}

stp_status stp_device_buffer(struct stp_device *device, size_t bytes, cl_mem_flags flags, const void *host,
                             const char *what, cl_mem *out)
{
    *out = NULL;
    if (bytes > device->limits.max_allocation)
        return stp_fail(device->context, STP_ERROR_OUT_OF_MEMORY,
                        "%zu bytes for %s: the device allocates at most %llu at once", bytes, what,
                        (unsigned long long)device->limits.max_allocation);
    cl_int code;
    // OpenCL has no empty buffers.
    *out = clCreateBuffer(device->cl, flags, bytes ? bytes : 1, bytes ? (void *)host : NULL, &code);
    if (code == CL_SUCCESS)
        return STP_OK;
    *out = NULL;
    return stp_fail(device->context, status_of(code), "clCreateBuffer failed: %s (%d): %zu bytes for %s",
                    stp_cl_error_name(code), code, bytes, what);
}

// Opening ------------------------------------------------------------------------------------------------------------

static struct stp_limits limits_of(const stp_device_info *info, unsigned quirks)
{
    struct stp_limits limits = {
        .is_cpu = !strcmp(info->type, "cpu") && !(quirks & STP_QUIRK_LANES),
        .maker = stp_device_maker(info),
        .compute_units = info->compute_units,
        .max_work_group = info->max_work_group_size,
        .local_memory = info->local_memory,
        .local_is_global = info->local_memory_is_global,
        .global_memory = info->global_memory,
        .max_allocation = info->max_allocation,
        .vector_width = info->native_vector_width_float,
        .base_align = info->base_address_align,
        .apart = quirks & STP_QUIRK_APART,
    };
    memcpy(limits.max_work_item, info->max_work_item_sizes, sizeof limits.max_work_item);
    return limits;
}

// A device without a context and a queue yet; on failure too *out is to be destroyed.
static stp_status create(stp_device **out, stp_context *context, cl_device_id id)
{
    struct stp_device *device = calloc(1, sizeof *device);
    *out = device;
    if (!device)
        return stp_fail_memory(context, sizeof *device, "a device");
    device->context = context;
    device->id = id;
    STP_TRY(stp_cl_check(device,
                         clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof device->platform, &device->platform, NULL),
                         "clGetDeviceInfo(CL_DEVICE_PLATFORM)"));
    STP_TRY(
        stp_cl_check(device, stp_device_query(&device->arena, device->platform, id, &device->info), "clGetDeviceInfo"));
    if (device->info.unusable)
        return stp_fail(context, STP_ERROR_UNSUPPORTED, "%s cannot be used: %s", device->info.name,
                        device->info.unusable);
    device->quirks = stp_device_quirks(&device->info);
    device->limits = limits_of(&device->info, device->quirks);
    return STP_OK;
}

static stp_status create_queue(struct stp_device *device)
{
    cl_int code;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)device->platform, 0};
    device->cl = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    STP_TRY(stp_cl_check(device, code, "clCreateContext"));
    device->queue = clCreateCommandQueue(device->cl, device->id, CL_QUEUE_PROFILING_ENABLE, &code);
    device->profiling = true;
    return stp_cl_check(device, code, "clCreateCommandQueue");
}

// "0: NAME (PLATFORM), 1: …"
static void tell_devices(char *text, size_t size, const stp_device_list *list)
{
    size_t used = 0;
    for (size_t i = 0; i < list->count && used < size; i++) {
        const stp_device_info *info = &list->infos[i];
        used += (size_t)snprintf(text + used, size - used, "%s%d: %s (%s%s%s)", i ? ", " : "", info->index, info->name,
                                 info->platform, info->unusable ? "; unusable: " : "",
                                 info->unusable ? info->unusable : "");
    }
}

// The index of the chosen device in *out.
static stp_status choose(int *out, stp_context *context, const stp_device_list *list, const char *selector)
{
    *out = stp_device_choose(list->infos, list->count, selector);
    if (*out != STP_CHOOSE_NONE)
        return STP_OK;
    if (list->count == 0)
        return stp_fail(context, STP_ERROR_DEVICE, "there is no OpenCL device; " INSTALL_HINT);
    char names[1024] = "";
    tell_devices(names, sizeof names, list);
    if (!selector || !*selector)
        return stp_fail(context, STP_ERROR_DEVICE, "there is no usable OpenCL device: %s; " INSTALL_HINT, names);
    return stp_fail(context, STP_ERROR_INVALID_ARGUMENT, "no OpenCL device matches '%s'; there are %s", selector,
                    names);
}

stp_status stp_device_open(stp_device **out, stp_context *context, const char *selector)
{
    if (!out || !context)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    stp_device_list *list;
    STP_TRY(stp_device_list_create(&list, context, false));
    int choice;
    stp_status status = choose(&choice, context, list, selector);
    if (status == STP_OK)
        status = create(out, context, list->ids[choice]);
    if (status == STP_OK) {
        (*out)->info.index = list->infos[choice].index;
        (*out)->info.is_default = list->infos[choice].is_default;
        status = create_queue(*out);
    }
    stp_device_list_destroy(&list);
    if (status != STP_OK)
        stp_device_destroy(out);
    return status;
}

static stp_status adopt(struct stp_device *device, cl_context cl, cl_command_queue queue)
{
    cl_context queue_context;
    cl_device_id queue_device;
    cl_command_queue_properties properties;
    STP_TRY(stp_cl_check(device,
                         clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof queue_context, &queue_context, NULL),
                         "clGetCommandQueueInfo(CL_QUEUE_CONTEXT)"));
    STP_TRY(stp_cl_check(device,
                         clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof queue_device, &queue_device, NULL),
                         "clGetCommandQueueInfo(CL_QUEUE_DEVICE)"));
    STP_TRY(stp_cl_check(device,
                         clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL),
                         "clGetCommandQueueInfo(CL_QUEUE_PROPERTIES)"));
    if (queue_context != cl || queue_device != device->id)
        return stp_fail(device->context, STP_ERROR_INVALID_ARGUMENT,
                        "the command queue belongs to another %s than the one given",
                        queue_context != cl ? "context" : "device");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return stp_fail(device->context, STP_ERROR_INVALID_ARGUMENT, "the command queue is not in-order");
    device->profiling = properties & CL_QUEUE_PROFILING_ENABLE;
    STP_TRY(stp_cl_check(device, clRetainContext(cl), "clRetainContext"));
    device->cl = cl;
    STP_TRY(stp_cl_check(device, clRetainCommandQueue(queue), "clRetainCommandQueue"));
    device->queue = queue;
    return STP_OK;
}

stp_status stp_device_wrap(stp_device **out, stp_context *context, void *cl_context_, void *cl_device, void *cl_queue)
{
    if (!out || !context)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    if (!cl_context_ || !cl_device || !cl_queue)
        return stp_fail(context, STP_ERROR_INVALID_ARGUMENT, "stp_device_wrap: context, device or queue is NULL");
    stp_status status = create(out, context, cl_device);
    if (status == STP_OK) {
        (*out)->info.index = -1;
        status = adopt(*out, cl_context_, cl_queue);
    }
    if (status != STP_OK)
        stp_device_destroy(out);
    return status;
}

// One line each: they are fields of a text, too (tune --export). Names are cut, not their numbers.
struct stp_device_key stp_device_key(const stp_device_info *info)
{
    struct stp_device_key key;
    snprintf(key.device, sizeof key.device, "%.200s, %.200s, %.200s, %u units, %u floats, groups of %zu, local memory of %llu",
             info->platform, info->name, info->vendor, info->compute_units, info->native_vector_width_float, info->max_work_group_size,
             (unsigned long long)info->local_memory);
    snprintf(key.driver, sizeof key.driver, "%.300s, %.300s, %.300s", info->platform, info->platform_version, info->driver_version);
    return key;
}

void stp_device_destroy(stp_device **device)
{
    if (!device || !*device)
        return;
    stp_device_release_programs(*device);
    stp_tuned_destroy(&(*device)->tuned);
    stp_cache_close(&(*device)->cache);
    if ((*device)->queue)
        clReleaseCommandQueue((*device)->queue);
    if ((*device)->cl)
        clReleaseContext((*device)->cl);
    stp_arena_free(&(*device)->arena);
    free(*device);
    *device = NULL;
}

const stp_device_info *stp_device_get_info(const stp_device *device)
{
    return device ? &device->info : NULL;
}
