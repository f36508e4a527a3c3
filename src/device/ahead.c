// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "device/ahead.h"

#include <stdio.h>
#include <stdlib.h>

#include "device/child.h"

// A helper takes a second to get under way, and 200 MB.
enum { KERNELS_PER_HELPER = 4, MAX_ARGUMENTS = 24, BUFFER_BYTES = 1 << 16 };

// In the process that starts helpers -----------------------------------------------------------------------------------

static bool same_program(const struct stp_ahead_kernel *a, const struct stp_ahead_kernel *b)
{
    return !strcmp(a->program, b->program) && !strcmp(a->options, b->options);
}

// The last kernel of the same program.
static size_t last_of_program(const struct stp_ahead_kernel *kernels, size_t count, size_t kernel)
{
    size_t i = count - 1;
    while (!same_program(&kernels[i], &kernels[kernel]))
        i--;
    return i;
}

// The number of the kernel's program, counted from the last one.
static size_t program_number(const struct stp_ahead_kernel *kernels, size_t count, size_t kernel)
{
    size_t number = 0;
    for (size_t i = last_of_program(kernels, count, kernel) + 1; i < count; i++)
        number += last_of_program(kernels, count, i) == i;
    return number;
}

// A helper's share, the last first: "program|options|kernel|local size and arguments;" for each kernel. The caller's; NULL if memory is short.
static char *list_kernels(const struct stp_ahead_kernel *kernels, size_t count, size_t helper, size_t helpers)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return NULL;
    for (size_t i = count; i-- > 0;) {
        const struct stp_ahead_kernel *k = &kernels[i];
        if (program_number(kernels, count, i) % helpers == helper)
            fprintf(file, "%s|%s|%s|%zu %zu %zu %s;", k->program, k->options, k->kernel, k->local[0], k->local[1], k->local[2],
                    k->arguments);
    }
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

void stp_ahead_start(struct stp_device *device, const struct stp_ahead_kernel *kernels, size_t count)
{
    char path[4096], number[16];
    size_t helpers = stp_min64(STP_MAX_HELPERS, stp_min64(device->limits.compute_units - 1, (int64_t)count / KERNELS_PER_HELPER));
    // Of a device that an application brought, it is not known what it is called elsewhere.
    if (!helpers || device->is_helper || device->info.index < 0 || !stp_child_helper(path, sizeof path))
        return;
    snprintf(number, sizeof number, "%d", device->info.index);
    for (size_t i = 0; i < helpers; i++) {
        if (device->helpers[i] && stp_child_runs(device->helpers[i]))
            continue;
        char *text = list_kernels(kernels, count, i, helpers);
        const char *const arguments[] = {"compile", number, device->info.platform, device->info.name, text, NULL};
        device->helpers[i] = text ? stp_child_start(path, arguments) : 0;
        if (device->helpers[i])
            stp_log(device->context, STP_LOG_DEBUG, "helper %zu compiles, too: %s", i, text);
        free(text);
    }
}

bool stp_ahead_stop(struct stp_device *device)
{
    bool ran = false;
    for (size_t i = 0; i < STP_MAX_HELPERS; i++) {
        if (device->helpers[i] && stp_child_runs(device->helpers[i])) {
            stp_child_stop(device->helpers[i]);
            ran = true;
        }
        device->helpers[i] = 0;
    }
    return ran;
}

// In a helper ----------------------------------------------------------------------------------------------------------

// Sets argument `index` as `what` says: numbers are 1, buffers hold zeros, so that there are no rows, and one of everything else.
static stp_status set_argument(struct stp_device *device, cl_kernel kernel, cl_uint index, const char *what,
                               cl_mem *buffer)
{
    static const char zeros[BUFFER_BYTES];
    int32_t ones[16];
    if (*what == 'b') {
        STP_TRY(stp_device_buffer(device, sizeof zeros, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, zeros, "an argument",
                                  buffer));
        return stp_cl_check(device, clSetKernelArg(kernel, index, sizeof *buffer, buffer), "clSetKernelArg");
    }
    for (size_t i = 0; i < STP_LENGTH(ones); i++)
        ones[i] = 1;
    size_t bytes = strtoul(what + (*what == 'l'), NULL, 10);
    if (*what != 'l' && bytes > sizeof ones)
        return stp_fail(device->context, STP_ERROR_INVALID_ARGUMENT, "an argument of %zu bytes", bytes);
    return stp_cl_check(device, clSetKernelArg(kernel, index, bytes, *what == 'l' ? NULL : ones), "clSetKernelArg");
}

// One work-group.
static stp_status launch(struct stp_device *device, cl_kernel kernel, char *words)
{
    size_t local[3] = {1, 1, 1};
    cl_mem buffers[MAX_ARGUMENTS] = {NULL};
    stp_status status = STP_OK;
    char *rest = NULL, *word = strtok_r(words, " ", &rest);
    for (int d = 0; d < 3 && word; d++, word = strtok_r(NULL, " ", &rest))
        local[d] = strtoul(word, NULL, 10);
    for (cl_uint i = 0; word && i < MAX_ARGUMENTS && status == STP_OK; i++, word = strtok_r(NULL, " ", &rest))
        status = set_argument(device, kernel, i, word, &buffers[i]);
    if (status == STP_OK)
        status =
            stp_cl_check(device, clEnqueueNDRangeKernel(device->queue, kernel, 3, NULL, local, local, 0, NULL, NULL),
                         "clEnqueueNDRangeKernel");
    if (status == STP_OK)
        status = stp_cl_check(device, clFinish(device->queue), "clFinish");
    for (size_t i = 0; i < MAX_ARGUMENTS; i++)
        if (buffers[i])
            clReleaseMemObject(buffers[i]);
    return status;
}

static stp_status compile(struct stp_device *device, char *line, bool launched)
{
    char *fields[4] = {line};
    for (size_t i = 1; i < STP_LENGTH(fields); i++) {
        fields[i] = strchr(fields[i - 1], '|');
        if (!fields[i])
            return stp_fail(device->context, STP_ERROR_INVALID_ARGUMENT, "not a kernel: %s", line);
        *fields[i]++ = 0;
    }
    cl_program program;
    cl_kernel kernel;
    STP_TRY(stp_device_program(device, fields[0], fields[1], &program));
    if (!launched)
        return STP_OK;
    STP_TRY(stp_device_kernel(device, fields[0], fields[1], fields[2], &kernel));
    stp_status status = launch(device, kernel, fields[3]);
    clReleaseKernel(kernel);
    return status;
}

static stp_status compile_all(struct stp_device *device, const char *text, bool launched)
{
    char *lines = strdup(text);
    if (!lines)
        return stp_fail_memory(device->context, strlen(text), "a list of kernels");
    stp_status status = STP_OK;
    for (char *rest = NULL, *line = strtok_r(lines, ";", &rest); line; line = strtok_r(NULL, ";", &rest)) {
        stp_status one = compile(device, line, launched);
        status = one == STP_OK ? status : one;
    }
    free(lines);
    return status;
}

// The programs first: so does the process that waits, from the other end.
stp_status stp_ahead_compile(struct stp_device *device, const char *text)
{
    device->is_helper = true;
    compile_all(device, text, false);
    return compile_all(device, text, true);
}
