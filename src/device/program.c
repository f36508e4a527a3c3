// SPDX-License-Identifier: Apache-2.0
// Programs of cl/, built once per device and options.
#define _POSIX_C_SOURCE 200809L
#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>

#include "device/kernels.h"

// Every kernel file stands behind this one.
#define PRELUDE "numerics"

struct stp_program {
    struct stp_program *next;
    char *name, *options;
    cl_program program; // NULL: the build failed with `status` and `error`
    stp_status status;
    char *error;
};

static const char *source_text(const char *name)
{
    for (const struct stp_kernel_source *source = stp_kernel_sources; source->name; source++)
        if (!strcmp(source->name, name))
            return source->text;
    return NULL;
}

static stp_status create_program(struct stp_device *device, const char *name, cl_program *out)
{
    const char *prelude = source_text(PRELUDE), *text = source_text(name);
    if (!prelude || !text)
        return stp_fail(device->context, STP_ERROR_DEVICE, "there is no kernel file %s.cl", prelude ? name : PRELUDE);
    char line[128];
    snprintf(line, sizeof line, "\n#line 1 \"%s.cl\"\n", name);
    const char *parts[] = {"#line 1 \"" PRELUDE ".cl\"\n", prelude, line, text};
    cl_int code;
    *out = clCreateProgramWithSource(device->cl, STP_LENGTH(parts), parts, NULL, &code);
    return stp_cl_check(device, code, "clCreateProgramWithSource");
}

// The build log, NUL-terminated, the caller's; NULL if there is none.
static char *build_log(struct stp_device *device, cl_program program)
{
    size_t size = 0;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS || size < 2)
        return NULL;
    char *log = calloc(1, size + 1);
    if (log && clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL) != CL_SUCCESS) {
        free(log);
        return NULL;
    }
    return log;
}

// All lines go to the debug log; those from the first error on, or all where none says so, joined by "; ", into
// `summary`.
static void tell_log(struct stp_device *device, char *log, char *summary, size_t size)
{
    size_t used = 0;
    bool errors = false;
    for (char *rest = NULL, *line = strtok_r(log, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        stp_log(device->context, STP_LOG_DEBUG, "build log: %s", line);
        line += strspn(line, " \t");
        if (!errors && strstr(line, "error")) {
            errors = true;
            used = 0;
        }
        if (*line && used < size)
            used += (size_t)snprintf(summary + used, size - used, "%s%s", used ? "; " : "", line);
    }
}

static stp_status build(struct stp_device *device, const char *name, const char *options, cl_program program)
{
    char all[1024];
    if (snprintf(all, sizeof all, "-cl-std=CL1.2 %s", options) >= (int)sizeof all)
        return stp_fail(device->context, STP_ERROR_DEVICE, "the build options of %s.cl are too long", name);
    double start = stp_now_ms();
    cl_int code = clBuildProgram(program, 1, &device->id, all, NULL, NULL);
    stp_log(device->context, STP_LOG_DEBUG, "built %s.cl (%s) in %.1f ms: %s", name, options, stp_now_ms() - start,
            stp_cl_error_name(code));
    char summary[1024] = "";
    char *log = build_log(device, program);
    if (log)
        tell_log(device, log, summary, sizeof summary);
    free(log);
    if (code == CL_SUCCESS)
        return STP_OK;
    return stp_fail(device->context, STP_ERROR_DEVICE, "building %s.cl (%s) failed: %s (%d): %s", name, all,
                    stp_cl_error_name(code), code, summary[0] ? summary : "no build log");
}

static struct stp_program *find(struct stp_device *device, const char *name, const char *options)
{
    for (struct stp_program *program = device->programs; program; program = program->next)
        if (!strcmp(program->name, name) && !strcmp(program->options, options))
            return program;
    return NULL;
}

static stp_status add(struct stp_device *device, const char *name, const char *options, struct stp_program **out)
{
    struct stp_program *program = stp_arena_alloc(&device->arena, sizeof *program);
    if (program) {
        program->name = stp_arena_string(&device->arena, name, strlen(name));
        program->options = stp_arena_string(&device->arena, options, strlen(options));
    }
    if (!program || !program->name || !program->options)
        return stp_fail_memory(device->context, sizeof *program, "a program");
    STP_TRY(create_program(device, name, &program->program));
    program->status = build(device, name, options, program->program);
    if (program->status != STP_OK) {
        clReleaseProgram(program->program);
        program->program = NULL;
        const char *error = stp_last_error(device->context);
        program->error = stp_arena_string(&device->arena, error, strlen(error));
        if (!program->error)
            return stp_fail_memory(device->context, strlen(error), "an error message");
    }
    program->next = device->programs;
    device->programs = program;
    *out = program;
    return program->status;
}

stp_status stp_device_program(struct stp_device *device, const char *name, const char *options, cl_program *out)
{
    *out = NULL;
    if (!options)
        options = "";
    struct stp_program *program = find(device, name, options);
    if (program && program->status != STP_OK)
        return stp_fail(device->context, program->status, "%s", program->error);
    if (!program)
        STP_TRY(add(device, name, options, &program));
    *out = program->program;
    return STP_OK;
}

stp_status stp_device_kernel(struct stp_device *device, const char *program, const char *options, const char *kernel,
                             cl_kernel *out)
{
    *out = NULL;
    cl_program built;
    STP_TRY(stp_device_program(device, program, options, &built));
    cl_int code;
    *out = clCreateKernel(built, kernel, &code);
    if (code == CL_SUCCESS)
        return STP_OK;
    *out = NULL;
    return stp_fail(device->context, STP_ERROR_DEVICE, "clCreateKernel failed: %s (%d): %s of %s.cl",
                    stp_cl_error_name(code), code, kernel, program);
}

void stp_device_release_programs(struct stp_device *device)
{
    for (struct stp_program *program = device->programs; program; program = program->next)
        if (program->program)
            clReleaseProgram(program->program);
    device->programs = NULL;
}
