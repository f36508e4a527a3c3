// SPDX-License-Identifier: Apache-2.0
// OpenCL devices: listing, choosing, opening.
#ifndef STIPPLE_DEVICE_H
#define STIPPLE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stipple/context.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a device says of itself, and what our probe found. Strings are owned by the list or device that the info came
// from.
typedef struct stp_device_info {
    int index;                    // position in the list: what a selector "3" means
    const char *platform;         // CL_PLATFORM_NAME
    const char *platform_version; // CL_PLATFORM_VERSION
    const char *platform_vendor;  // CL_PLATFORM_VENDOR
    const char *name;             // CL_DEVICE_NAME
    const char *vendor;           // CL_DEVICE_VENDOR
    const char *device_version;   // CL_DEVICE_VERSION
    const char *driver_version;   // CL_DRIVER_VERSION
    const char *type;             // "gpu", "cpu", "accelerator", "custom"
    const char *unusable;         // NULL, or why not: no compiler, OpenCL below 1.2, the probe died …
    const char *inexact;          // NULL: exact; else why not: "subnormals", "fma, exp", "not probed" …
    uint32_t compute_units;
    uint32_t clock_mhz;
    uint64_t global_memory; // bytes
    uint64_t max_allocation; // bytes
    uint64_t local_memory;  // bytes
    bool local_memory_is_global; // CL_DEVICE_LOCAL_MEM_TYPE is CL_GLOBAL
    bool unified_memory;
    size_t max_work_group_size;
    size_t max_work_item_sizes[3];
    uint32_t native_vector_width_float; // CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, at least 1
    uint32_t base_address_align;        // bytes (CL_DEVICE_MEM_BASE_ADDR_ALIGN / 8)
    bool fp16, fp64;
    bool is_default; // what a NULL selector opens (it does not probe)
} stp_device_info;

// A list of every device of every platform. A platform or driver that fails is skipped with a warning.
// Thread-safety: read-only after creation; any thread.
typedef struct stp_device_list stp_device_list;

// `probe`: run the exactness probe of each device, in a child process (a driver may abort; then that is in `unusable`).
// Without it `inexact` is "not probed". An empty list is not an error. On success *out is the caller's
// (stp_device_list_destroy). Errors: device (listing the devices killed the child; the message names the driver).
STP_API stp_status stp_device_list_create(stp_device_list **out, stp_context *context, bool probe);
STP_API void stp_device_list_destroy(stp_device_list **list);
STP_API size_t stp_device_list_count(const stp_device_list *list);
// NULL beyond the end. Owned by the list.
STP_API const stp_device_info *stp_device_list_get(const stp_device_list *list, size_t index);

// An opened device: OpenCL context, in-order queue, compiled programs. Thread-safety: as its context.
typedef struct stp_device stp_device;

// `selector`: an index of the list, `gpu`, `cpu`, a case-insensitive part of the platform's name, version or vendor or
// of the device's name, or `platform/device`; NULL or "": the default (the fastest-looking GPU, else a CPU, PoCL
// first). Of several that match, the default's order takes one. The environment is not read: the command passes
// STIPPLE_DEVICE itself. Errors: invalid argument (nothing matches; the message lists what there is), device (no OpenCL
// device at all; the message says what to install), unsupported (the device that is asked for is unusable).
STP_API stp_status stp_device_open(stp_device **out, stp_context *context, const char *selector);

// Uses an application's own OpenCL objects (cl_context, cl_device_id, cl_command_queue in-order), which are retained.
STP_API stp_status stp_device_wrap(stp_device **out, stp_context *context, void *cl_context, void *cl_device,
                                   void *cl_queue);

// Runs the exactness probe in a child process and sets `inexact` of the device's info. Errors: device (the probe failed
// or died, which is in the message and in `unusable`), I/O (the helper program stipple-probe cannot be run),
// unsupported (a sub-device).
STP_API stp_status stp_device_probe(stp_device *device);

// What a device was measured to reach: the two ceilings that time is compared with. 0: never measured.
typedef struct stp_device_speed {
    double flops; // float32 fma in registers, per second, two operations each
    double bytes; // read and written per second, out of and into memory that no cache holds
} stp_device_speed;

// Measures (a few seconds) and keeps the result for stp_device_get_speed(), over processes where the cache can be
// written. Errors: device.
STP_API stp_status stp_device_measure(stp_device *device, stp_device_speed *out);
// The result of the last measurement on such a device and driver, or zeros.
STP_API stp_status stp_device_get_speed(stp_device *device, stp_device_speed *out);

// After every session on it. Accepts NULL and a pointer to NULL. With PoCL it may take some 10 seconds where programs were
// compiled: their binaries go into the cache (cache.h), and PoCL takes its time to hand them out.
STP_API void stp_device_destroy(stp_device **device);

// Owned by the device. `inexact` is "not probed" until stp_device_probe().
STP_API const stp_device_info *stp_device_get_info(const stp_device *device);

#ifdef __cplusplus
}
#endif
#endif
