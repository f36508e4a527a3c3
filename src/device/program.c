// SPDX-License-Identifier: Apache-2.0
// Programs of cl/, built once per device and options, or taken from the cache.
#define _POSIX_C_SOURCE 200809L
#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>

#include "device/ahead.h"
#include "device/cache.h"
#include "device/kernels.h"
#include "device/quirks.h"

// Every kernel file stands behind this one.
#define PRELUDE "numerics"

// No new binary is asked for after so long when a device is released; the next process that needs it goes on there.
enum { STORE_MS = 10000 };

struct stp_program {
    struct stp_program *next;
    char *name, *options;
    char *all_options;  // those that every program has, then `options`
    cl_program program; // NULL: the build failed with `status` and `error`
    stp_status status;
    char *error;
    bool cached;   // made from a binary of the cache
    bool to_store; // when the device is released
};

const char *stp_kernel_text(const char *name)
{
    for (const struct stp_kernel_source *source = stp_kernel_sources; source->name; source++)
        if (!strcmp(source->name, name))
            return source->text;
    return NULL;
}

static stp_status create_program(struct stp_device *device, const char *name, cl_program *out)
{
    char line[128];
    snprintf(line, sizeof line, "\n#line 1 \"%s.cl\"\n", name);
    const char *parts[] = {"#line 1 \"" PRELUDE ".cl\"\n", stp_kernel_text(PRELUDE), line, stp_kernel_text(name)};
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

static stp_status build(struct stp_device *device, const struct stp_program *program, cl_int *code)
{
    double start = stp_now_ms();
    *code = clBuildProgram(program->program, 1, &device->id, program->all_options, NULL, NULL);
    stp_log(device->context, STP_LOG_DEBUG, "built %s.cl (%s) in %.1f ms: %s", program->name, program->options,
            stp_now_ms() - start, stp_cl_error_name(*code));
    char summary[1024] = "";
    char *log = build_log(device, program->program);
    if (log)
        tell_log(device, log, summary, sizeof summary);
    free(log);
    if (*code == CL_SUCCESS)
        return STP_OK;
    return stp_fail(device->context, STP_ERROR_DEVICE, "building %s.cl (%s) failed: %s (%d): %s", program->name,
                    program->all_options, stp_cl_error_name(*code), *code, summary[0] ? summary : "no build log");
}

// The cache ----------------------------------------------------------------------------------------------------------

struct cache_key {
    struct stp_program_key key;
    char title[256], driver[256], width[32];
};

static void make_key(struct cache_key *out, const struct stp_device *device, const struct stp_program *program)
{
    const stp_device_info *info = &device->info;
    // Of one name, driver and version: CPUs whose instructions differ.
    snprintf(out->width, sizeof out->width, "%u floats", info->native_vector_width_float);
    snprintf(out->title, sizeof out->title, "%s.cl %s", program->name, program->options);
    snprintf(out->driver, sizeof out->driver, "%s, %s", info->platform, info->driver_version);
    out->key = (struct stp_program_key){
        .parts = {"program 1", stp_kernel_text(PRELUDE), program->name, stp_kernel_text(program->name), program->all_options,
                  info->name, info->vendor, info->device_version, info->driver_version, info->platform,
                  info->platform_version, out->width},
        .title = out->title,
        .device = info->name,
        .driver = out->driver,
    };
}

struct stp_cache *stp_device_cache(struct stp_device *device)
{
    if (!device->cache_opened)
        device->cache = stp_cache_open(device->context);
    device->cache_opened = true;
    return device->cache;
}

static cl_program load_binary(struct stp_device *device, const struct stp_program *program,
                              const struct stp_cached_program *cached)
{
    const unsigned char *binary = cached->binary;
    double start = stp_now_ms();
    cl_int usable = CL_SUCCESS, code;
    cl_program loaded = clCreateProgramWithBinary(device->cl, 1, &device->id, &cached->size, &binary, &usable, &code);
    if (code == CL_SUCCESS)
        code = usable;
    if (code == CL_SUCCESS)
        code = clBuildProgram(loaded, 1, &device->id, program->all_options, NULL, NULL);
    stp_log(device->context, STP_LOG_DEBUG, "loaded %s.cl (%s) from the cache in %.1f ms: %s", program->name,
            program->options, stp_now_ms() - start, stp_cl_error_name(code));
    if (code != CL_SUCCESS && loaded) {
        clReleaseProgram(loaded);
        loaded = NULL;
    }
    return loaded;
}

// False: there is nothing usable in the cache. Else the program, or the failure that its build ended in.
static bool take_cached(struct stp_device *device, struct stp_program *program)
{
    struct cache_key key;
    struct stp_cached_program cached;
    make_key(&key, device, program);
    if (!stp_cache_find_program(stp_device_cache(device), &key.key, &cached))
        return false;
    if (cached.error)
        program->status = stp_fail(device->context, STP_ERROR_DEVICE,
                                   "%s (so it was earlier; stipple cache clear has it tried again)", cached.error);
    else
        program->program = load_binary(device, program, &cached);
    program->cached = program->program != NULL;
    free(cached.error);
    free(cached.binary);
    return program->program || program->status != STP_OK;
}

// Not of an application's context with several devices: the program has a binary of one of them only, and drivers
// disagree about the rest.
static void store_binary(struct stp_device *device, const struct stp_program *program)
{
    cl_uint devices = 0;
    size_t size = 0;
    double start = stp_now_ms();
    if (!stp_device_cache(device) ||
        clGetProgramInfo(program->program, CL_PROGRAM_NUM_DEVICES, sizeof devices, &devices, NULL) != CL_SUCCESS ||
        devices != 1 ||
        clGetProgramInfo(program->program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS || !size)
        return;
    unsigned char *binary = malloc(size);
    if (binary && clGetProgramInfo(program->program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS) {
        struct cache_key key;
        make_key(&key, device, program);
        stp_cache_store_program(stp_device_cache(device), &key.key, binary, size, NULL);
        stp_log(device->context, STP_LOG_DEBUG, "stored %s.cl (%s), %zu bytes, in %.1f ms", program->name,
                program->options, size, stp_now_ms() - start);
    }
    free(binary);
}

// From source; what comes of it, program->status, goes into the cache. Helpers may be building the same, in the driver's cache: a failure
// counts if it is one without them.
static stp_status build_and_store(struct stp_device *device, struct stp_program *program)
{
    cl_int code;
    program->cached = false;
    for (;;) {
        STP_TRY(create_program(device, program->name, &program->program));
        program->status = build(device, program, &code);
        if (program->status == STP_OK || !stp_ahead_stop(device))
            break;
        clReleaseProgram(program->program);
    }
    if (program->status == STP_OK) {
        // Where that is slow, the binary is asked for when nobody waits for the first result any longer; then it holds the kernels as they
        // were run, too.
        program->to_store = device->quirks & STP_QUIRK_SLOW_BINARIES;
        if (!program->to_store)
            store_binary(device, program);
        return STP_OK;
    }
    clReleaseProgram(program->program);
    program->program = NULL;
    if (code == CL_BUILD_PROGRAM_FAILURE && !device->is_helper) { // others may go as they came
        struct cache_key key;
        make_key(&key, device, program);
        stp_cache_store_program(stp_device_cache(device), &key.key, NULL, 0, stp_last_error(device->context));
    }
    return STP_OK;
}

// Programs of a device -----------------------------------------------------------------------------------------------

static struct stp_program *find(struct stp_device *device, const char *name, const char *options)
{
    for (struct stp_program *program = device->programs; program; program = program->next)
        if (!strcmp(program->name, name) && !strcmp(program->options, options))
            return program;
    return NULL;
}

static struct stp_program *new_program(struct stp_device *device, const char *name, const char *options)
{
    static const char language[] = "-cl-std=CL1.2 ";
    struct stp_program *program = stp_arena_alloc(&device->arena, sizeof *program);
    size_t size = sizeof language + strlen(options);
    if (!program)
        return NULL;
    program->name = stp_arena_string(&device->arena, name, strlen(name));
    program->all_options = stp_arena_alloc(&device->arena, size);
    if (!program->name || !program->all_options)
        return NULL;
    snprintf(program->all_options, size, "%s%s", language, options);
    program->options = program->all_options + strlen(language);
    return program;
}

// Failures are kept with what they said.
static stp_status keep(struct stp_device *device, struct stp_program *program)
{
    if (program->status == STP_OK)
        return STP_OK;
    const char *error = stp_last_error(device->context);
    program->error = stp_arena_string(&device->arena, error, strlen(error));
    return program->error ? program->status : stp_fail_memory(device->context, strlen(error), "an error message");
}

static stp_status add(struct stp_device *device, const char *name, const char *options, struct stp_program **out)
{
    if (!stp_kernel_text(name))
        return stp_fail(device->context, STP_ERROR_DEVICE, "there is no kernel file %s.cl", name);
    struct stp_program *program = new_program(device, name, options);
    if (!program)
        return stp_fail_memory(device->context, sizeof *program, "a program");
    if (!take_cached(device, program))
        STP_TRY(build_and_store(device, program));
    program->next = device->programs;
    device->programs = program;
    *out = program;
    return keep(device, program);
}

static stp_status find_or_add(struct stp_device *device, const char *name, const char *options,
                              struct stp_program **out)
{
    *out = find(device, name, options ? options : "");
    if (!*out)
        return add(device, name, options ? options : "", out);
    return (*out)->status == STP_OK ? STP_OK : stp_fail(device->context, (*out)->status, "%s", (*out)->error);
}

bool stp_device_has_program(struct stp_device *device, const char *name, const char *options)
{
    if (find(device, name, options))
        return true;
    const struct stp_program *program = new_program(device, name, options);
    struct cache_key key;
    if (!program)
        return false;
    make_key(&key, device, program);
    return stp_cache_has_program(stp_device_cache(device), &key.key);
}

stp_status stp_device_program(struct stp_device *device, const char *name, const char *options, cl_program *out)
{
    struct stp_program *program;
    *out = NULL;
    STP_TRY(find_or_add(device, name, options, &program));
    *out = program->program;
    return STP_OK;
}

stp_status stp_device_kernel(struct stp_device *device, const char *name, const char *options, const char *kernel,
                             cl_kernel *out)
{
    struct stp_program *program;
    *out = NULL;
    STP_TRY(find_or_add(device, name, options, &program));
    cl_int code;
    *out = clCreateKernel(program->program, kernel, &code);
    if (code != CL_SUCCESS && program->cached) { // a binary without it is a bad one
        clReleaseProgram(program->program);
        STP_TRY(build_and_store(device, program));
        STP_TRY(keep(device, program));
        *out = clCreateKernel(program->program, kernel, &code);
    }
    if (code == CL_SUCCESS)
        return STP_OK;
    *out = NULL;
    return stp_fail(device->context, STP_ERROR_DEVICE, "clCreateKernel failed: %s (%d): %s of %s.cl",
                    stp_cl_error_name(code), code, kernel, name);
}

void stp_device_release_programs(struct stp_device *device)
{
    double start = stp_now_ms();
    stp_ahead_stop(device);
    for (struct stp_program *program = device->programs; program; program = program->next) {
        if (program->to_store && stp_now_ms() - start < STORE_MS)
            store_binary(device, program);
        if (program->program)
            clReleaseProgram(program->program);
    }
    device->programs = NULL;
}
