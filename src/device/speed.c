// SPDX-License-Identifier: Apache-2.0
// What a device reaches at most: fma in registers, bytes to and from memory (cl/speed.cl).
#include <math.h>
#include <stdio.h>

#include "device/cache.h"
#include "device/worksize.h"

enum {
    FMA_PER_ROUND = 96, // of speed_chains, each of a vector
    MOST_ROUNDS = 1 << 24,
    MOST_BYTES = 512 << 20, // far more than caches hold
    LEAST_BYTES = 1 << 20,
    REPEATS = 12,
};
// Milliseconds: of a launch that is measured, short enough for a GPU that draws the screen; after which none is repeated.
static const double launch_ms = 40, total_ms = 1500;

struct trial {
    struct stp_device *device;
    cl_kernel kernel;
    cl_mem memory;
    size_t global, local;
};

// One launch with a last argument of `amount`.
static stp_status launch(const struct trial *trial, cl_uint last_argument, cl_uint amount, double *ms)
{
    struct stp_device *device = trial->device;
    STP_TRY(
        stp_cl_check(device, clSetKernelArg(trial->kernel, last_argument, sizeof amount, &amount), "clSetKernelArg"));
    double start = stp_now_ms();
    STP_TRY(stp_cl_check(
        device,
        clEnqueueNDRangeKernel(device->queue, trial->kernel, 1, NULL, &trial->global, &trial->local, 0, NULL, NULL),
        "clEnqueueNDRangeKernel"));
    STP_TRY(stp_cl_check(device, clFinish(device->queue), "clFinish"));
    *ms = fmax(stp_now_ms() - start, 1e-3);
    return STP_OK;
}

// The largest amount per millisecond: the amount grows from `least` until a launch is long enough, or to `most`; then the
// best of several launches counts.
static stp_status measure(const struct trial *trial, cl_uint last_argument, cl_uint least, cl_uint most, double *per_ms)
{
    double start = stp_now_ms(), ms;
    cl_uint amount = least;
    STP_TRY(launch(trial, last_argument, amount, &ms)); // warms up
    STP_TRY(launch(trial, last_argument, amount, &ms));
    while (ms < launch_ms && amount < most) {
        double grown = (double)amount * fmin(8, 1.2 * launch_ms / ms);
        amount = grown < most ? (cl_uint)grown : most;
        STP_TRY(launch(trial, last_argument, amount, &ms));
    }
    double best = ms;
    for (int i = 0; i < REPEATS && stp_now_ms() - start < total_ms; i++) {
        STP_TRY(launch(trial, last_argument, amount, &ms));
        best = fmin(best, ms);
    }
    *per_ms = amount / best;
    return STP_OK;
}

// The rate of `kernel` over trial->memory, which it takes first, then `floats`, then the amount. Releases kernel and memory.
static stp_status run_trial(struct trial *trial, const char *options, const char *kernel, const float *floats, cl_uint count,
                            cl_uint least, cl_uint most, double *per_ms)
{
    struct stp_device *device = trial->device;
    stp_status status = stp_device_kernel(device, "speed", options, kernel, &trial->kernel);
    if (status == STP_OK)
        status = stp_cl_check(device, clSetKernelArg(trial->kernel, 0, sizeof trial->memory, &trial->memory),
                              "clSetKernelArg");
    for (cl_uint i = 0; i < count && status == STP_OK; i++)
        status = stp_cl_check(device, clSetKernelArg(trial->kernel, i + 1, sizeof *floats, &floats[i]), "clSetKernelArg");
    if (status == STP_OK)
        status = measure(trial, count + 1, least, most, per_ms);
    if (trial->kernel)
        clReleaseKernel(trial->kernel);
    clReleaseMemObject(trial->memory);
    return status;
}

// Floats of a register: a GPU's lanes are its work-items.
static unsigned chain_vector(const struct stp_limits *limits)
{
    unsigned width = 1;
    while (limits->is_cpu && width < 16 && width * 2 <= limits->vector_width)
        width *= 2;
    return width;
}

static stp_status measure_flops(struct stp_device *device, const char *options, double *out)
{
    struct stp_worksize size = stp_worksize_stride(&device->limits, INT64_MAX);
    struct trial trial = {.device = device, .global = size.global, .local = size.local};
    double fma = (double)FMA_PER_ROUND * chain_vector(&device->limits) * (double)size.global, rounds = 0;
    STP_TRY(stp_device_buffer(device, size.global * 16 * sizeof(float), CL_MEM_WRITE_ONLY, NULL, "a measurement",
                              &trial.memory));
    STP_TRY(run_trial(&trial, options, "speed_chains", (const float[]){0.5f, 1}, 2, 1, MOST_ROUNDS, &rounds));
    *out = rounds * 1e3 * fma * 2;
    return STP_OK;
}

// A buffer of zeros that leaves the device most of its memory.
static stp_status large_buffer(struct stp_device *device, size_t *bytes, cl_mem *out)
{
    uint64_t most = device->limits.global_memory / 8;
    most = most < device->limits.max_allocation ? most : device->limits.max_allocation;
    *bytes = MOST_BYTES;
    while (*bytes > LEAST_BYTES && *bytes > most)
        *bytes /= 2;
    const float zero = 0;
    STP_TRY(stp_device_buffer(device, *bytes, CL_MEM_READ_WRITE, NULL, "a measurement", out));
    stp_status status =
        stp_cl_check(device, clEnqueueFillBuffer(device->queue, *out, &zero, sizeof zero, 0, *bytes, 0, NULL, NULL),
                     "clEnqueueFillBuffer");
    if (status != STP_OK)
        clReleaseMemObject(*out);
    return status;
}

static stp_status measure_bytes(struct stp_device *device, const char *options, double *out)
{
    struct stp_worksize size = stp_worksize_stride(&device->limits, INT64_MAX);
    struct trial trial = {.device = device, .global = size.global, .local = size.local};
    size_t bytes, vector = (size_t)stp_worksize_vector(&device->limits) * sizeof(float);
    double vectors = 0;
    STP_TRY(large_buffer(device, &bytes, &trial.memory));
    STP_TRY(run_trial(&trial, options, "speed_update", (const float[]){1}, 1, (cl_uint)(LEAST_BYTES / vector),
                      (cl_uint)(bytes / vector), &vectors));
    *out = vectors * 1e3 * (double)vector * 2; // read and written
    return STP_OK;
}

// Kept in the cache ----------------------------------------------------------------------------------------------------

static struct stp_measurement_key speed_key(const struct stp_device_key *device)
{
    return (struct stp_measurement_key){.kind = "speed", .device = device->device, .driver = device->driver, .subject = ""};
}

stp_status stp_device_measure(stp_device *device, stp_device_speed *out)
{
    if (!device || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    char options[64], value[64];
    snprintf(options, sizeof options, "-DCHAINS_VEC=%u -DVEC=%d%s", chain_vector(&device->limits),
             stp_worksize_vector(&device->limits), device->limits.is_cpu ? " -DRUNS" : "");
    STP_TRY(measure_flops(device, options, &out->flops));
    STP_TRY(measure_bytes(device, options, &out->bytes));
    device->speed = *out;
    const struct stp_device_key texts = stp_device_key(&device->info);
    const struct stp_measurement_key key = speed_key(&texts);
    // Whole numbers: they read the same in every locale.
    snprintf(value, sizeof value, "%.0f flop/s %.0f B/s", out->flops, out->bytes);
    stp_cache_store_measurement(stp_device_cache(device), &key, value);
    return STP_OK;
}

stp_status stp_device_get_speed(stp_device *device, stp_device_speed *out)
{
    if (!device || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    const struct stp_device_key texts = stp_device_key(&device->info);
    const struct stp_measurement_key key = speed_key(&texts);
    char value[64];
    stp_device_speed kept;
    if (!(device->speed.flops > 0) &&
        stp_cache_find_measurement(stp_device_cache(device), &key, value, sizeof value) &&
        sscanf(value, "%lf flop/s %lf B/s", &kept.flops, &kept.bytes) == 2 && isfinite(kept.flops) &&
        isfinite(kept.bytes) && kept.flops > 0 && kept.bytes > 0)
        device->speed = kept;
    *out = device->speed;
    return STP_OK;
}
