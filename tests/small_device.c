// SPDX-License-Identifier: Apache-2.0
// Loaded before OpenCL's loader (LD_PRELOAD), it makes every device smaller than it is, and holds the program to that: what a device of these
// limits would refuse is refused. SMALL_DEVICE: words with a comma between them, each of
//   gpu                a GPU, though it may compute on a CPU; and no answer to what is optional: fp64, images, extensions
//   vendor=NAME, units=N, width=N   its maker, compute units, floats of the native vector: what it says only
//   group=N            work-items of a work-group;  items=X/Y/Z: in each dimension
//   local=BYTES        local memory of a work-group
//   buffer=BYTES       the largest buffer
//   silent             it does not tell the last four, and refuses all the same
// A word that it does not know ends the process.
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool gpu, silent;
    char vendor[32];
    size_t units, width, group, items[3], local, buffer; // 0: as it is
} small;

__attribute__((constructor)) static void read_words(void)
{
    const char *text = getenv("SMALL_DEVICE");
    char words[256], *rest = NULL;
    if (snprintf(words, sizeof words, "%s", text ? text : "") >= (int)sizeof words)
        exit(99);
    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (!strcmp(word, "gpu"))
            small.gpu = true;
        else if (!strcmp(word, "silent"))
            small.silent = true;
        else if (sscanf(word, "vendor=%31[^,]", small.vendor) != 1 && sscanf(word, "units=%zu", &small.units) != 1 &&
                 sscanf(word, "width=%zu", &small.width) != 1 && sscanf(word, "group=%zu", &small.group) != 1 &&
                 sscanf(word, "local=%zu", &small.local) != 1 && sscanf(word, "buffer=%zu", &small.buffer) != 1 &&
                 sscanf(word, "items=%zu/%zu/%zu", &small.items[0], &small.items[1], &small.items[2]) != 3) {
            fprintf(stderr, "SMALL_DEVICE: %s\n", word);
            exit(99);
        }
    }
}

// The loader's own function.
#define REAL(function)                                                                                                 \
    __typeof__(&function) real;                                                                                        \
    *(void **)&real = dlsym(RTLD_NEXT, #function)

static size_t least(size_t is, size_t limit)
{
    return limit && limit < is ? limit : is;
}

static bool refuses(size_t is, size_t limit)
{
    return limit && is > limit;
}

// In place of a real answer of `size` bytes.
#define ANSWER(type, changed)                                                                                          \
    do {                                                                                                               \
        type *answer = value;                                                                                          \
        if (value && size >= sizeof *answer)                                                                           \
            *answer = (type)(changed);                                                                                 \
    } while (0)

static void tell_limits(cl_device_info what, size_t size, void *value)
{
    switch (what) {
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: ANSWER(size_t, least(*answer, small.group)); break;
    case CL_DEVICE_MAX_WORK_ITEM_SIZES:
        for (size_t d = 0; value && d < 3 && d < size / sizeof(size_t); d++) {
            size_t *answer = (size_t *)value + d;
            *answer = least(least(*answer, small.group), small.items[d]);
        }
        break;
    case CL_DEVICE_LOCAL_MEM_SIZE: ANSWER(cl_ulong, least((size_t)*answer, small.local)); break;
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE: ANSWER(cl_ulong, least((size_t)*answer, small.buffer)); break;
    }
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value, size_t *needed)
{
    REAL(clGetDeviceInfo);
    cl_int code = real(device, what, size, value, needed);
    if (code == CL_SUCCESS && !small.silent)
        tell_limits(what, size, value);
    if (code != CL_SUCCESS)
        return code;
    switch (what) {
    case CL_DEVICE_VENDOR:
        if (*small.vendor && value)
            snprintf(value, size, "%s", small.vendor);
        break;
    case CL_DEVICE_MAX_COMPUTE_UNITS: ANSWER(cl_uint, small.units ? small.units : *answer); break;
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT: ANSWER(cl_uint, small.width ? small.width : *answer); break;
    }
    if (!small.gpu)
        return code;
    switch (what) {
    case CL_DEVICE_TYPE: ANSWER(cl_device_type, CL_DEVICE_TYPE_GPU); break;
    case CL_DEVICE_LOCAL_MEM_TYPE: ANSWER(cl_device_local_mem_type, CL_LOCAL); break;
    case CL_DEVICE_IMAGE_SUPPORT: ANSWER(cl_bool, CL_FALSE); break;
    case CL_DEVICE_DOUBLE_FP_CONFIG: ANSWER(cl_device_fp_config, 0); break;
    case CL_DEVICE_EXTENSIONS:
        if (value)
            memset(value, 0, size);
        break;
    }
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what, size_t size,
                                                         void *value, size_t *needed)
{
    REAL(clGetKernelWorkGroupInfo);
    cl_int code = real(kernel, device, what, size, value, needed);
    if (code == CL_SUCCESS && what == CL_KERNEL_WORK_GROUP_SIZE && !small.silent)
        ANSWER(size_t, least(*answer, small.group));
    return code;
}

CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *code)
{
    REAL(clCreateBuffer);
    if (!refuses(size, small.buffer))
        return real(context, flags, size, host, code);
    fprintf(stderr, "small_device: a buffer of %zu bytes\n", size);
    if (code)
        *code = CL_INVALID_BUFFER_SIZE;
    return NULL;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                                       const size_t *global, const size_t *local, cl_uint n_events, const cl_event *events,
                                                       cl_event *event)
{
    REAL(clEnqueueNDRangeKernel);
    cl_device_id device;
    cl_ulong bytes = 0;
    size_t group = 1;
    cl_int code = clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    if (code == CL_SUCCESS)
        code = clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    for (cl_uint d = 0; local && d < dimensions && code == CL_SUCCESS; d++) {
        group *= local[d];
        if (refuses(local[d], small.items[d]))
            code = CL_INVALID_WORK_ITEM_SIZE;
    }
    if (code == CL_SUCCESS && refuses(group, small.group))
        code = CL_INVALID_WORK_GROUP_SIZE;
    if (code == CL_SUCCESS && refuses((size_t)bytes, small.local))
        code = CL_OUT_OF_RESOURCES;
    if (code == CL_SUCCESS)
        return real(queue, kernel, dimensions, offset, global, local, n_events, events, event);
    fprintf(stderr, "small_device: refused a work-group of %zu items with %llu bytes of local memory: %d\n", group,
            (unsigned long long)bytes, code);
    return code;
}
