// SPDX-License-Identifier: Apache-2.0
// The OpenCL layer: an opened device with its queue, programs and buffers; finding and choosing devices; the exactness
// probe.
#ifndef STP_DEVICE_H
#define STP_DEVICE_H

#include <CL/cl.h>

#include <stipple/device.h>
#include <sys/types.h>

#include "base/base.h"

enum stp_maker { STP_MAKER_OTHER, STP_MAKER_AMD, STP_MAKER_INTEL, STP_MAKER_NVIDIA, STP_MAKERS };

// What work sizes and tiles are derived from.
struct stp_limits {
    bool is_cpu; // runs kernels of one item per work-group well
    enum stp_maker maker; // whose cores or compilers are treated apart
    uint32_t compute_units; // at least 1
    size_t max_work_group;  // items; a kernel's own limit may be lower
    size_t max_work_item[3];
    uint64_t local_memory;                  // bytes per work-group
    bool local_is_global;                   // local memory is ordinary memory: copying into it gains nothing
    uint64_t global_memory, max_allocation; // bytes
    uint32_t vector_width;                  // floats of the native vector, at least 1
    uint32_t base_align;                    // bytes; sub-buffers start at multiples of it
    bool apart;                             // sub-buffers must not overlap
};

struct stp_program;
struct stp_tuned_table;

// Every device of every platform.
struct stp_device_list {
    struct stp_arena arena;
    size_t count;
    stp_device_info *infos;
    cl_device_id *ids;
};

enum { STP_MAX_HELPERS = 3 };

struct stp_device {
    stp_context *context;
    cl_platform_id platform;
    cl_device_id id;
    cl_context cl;
    cl_command_queue queue; // in-order
    bool profiling;         // of the queue: only an application's own may lack it, since it costs nothing measurable
    unsigned quirks; // enum stp_quirk
    struct stp_limits limits;
    stp_device_info info;
    struct stp_arena arena;       // strings of `info`
    struct stp_program *programs; // built or failed
    struct stp_cache *cache;      // stp_device_cache()
    bool cache_opened;
    pid_t helpers[STP_MAX_HELPERS]; // ahead.c; 0: none
    bool is_helper;                 // this process is one
    stp_device_speed speed;       // zeros: not measured, or not looked up yet
    struct stp_tuned_table *tuned; // stp_device_tuned(); NULL: not read yet
};

// STP_OK if `code` is CL_SUCCESS; else records "CALL failed: CL_OUT_OF_RESOURCES (-5)" and returns STP_ERROR_DEVICE, or
// STP_ERROR_OUT_OF_MEMORY for CL_MEM_OBJECT_ALLOCATION_FAILURE and CL_OUT_OF_HOST_MEMORY.
stp_status stp_cl_check(struct stp_device *device, cl_int code, const char *call);
// "CL_OUT_OF_RESOURCES", or "unknown error".
const char *stp_cl_error_name(cl_int code);

// The program of cl/NAME.cl, built behind cl/numerics.cl with `options` (NULL: none), or taken from the cache. Owned by
// the device, which keeps one per (name, options) for its lifetime; a failed build is remembered, over processes for a
// day where there is a cache, and fails again without compiling. The error
// holds the start of the build log, the debug log all of it.
stp_status stp_device_program(struct stp_device *device, const char *name, const char *options, cl_program *out);
// A new kernel object of such a program; the caller's, clReleaseKernel().
stp_status stp_device_kernel(struct stp_device *device, const char *program, const char *options, const char *kernel,
                             cl_kernel *out);
// Whether the next call for it will not compile it.
bool stp_device_has_program(struct stp_device *device, const char *name, const char *options);
void stp_device_release_programs(struct stp_device *device);
// Opened on first use; NULL if there is none. Owned by the device.
struct stp_cache *stp_device_cache(struct stp_device *device);
// The text of a kernel file; NULL if there is none of that name.
const char *stp_kernel_text(const char *name);
// A buffer of max(bytes, 1) bytes; the caller's, clReleaseMemObject(). The error says how much was wanted and `what`
// for.
stp_status stp_device_buffer(struct stp_device *device, size_t bytes, cl_mem_flags flags, const void *host,
                             const char *what, cl_mem *out);

// Asks a device for all of *out but `index` and `is_default`; `inexact` becomes "not probed"; strings go into `arena`.
// A device that does not tell its names gives the failing call's code, one that does not tell its limits is `unusable`.
cl_int stp_device_query(struct stp_arena *arena, cl_platform_id platform, cl_device_id id, stp_device_info *out);

// What measurements in the cache are known by (cache.h): what tells a device from others, but not its driver; and its driver.
enum { STP_IDENTITY_TEXT = 1024 };
struct stp_device_key {
    char device[STP_IDENTITY_TEXT], driver[STP_IDENTITY_TEXT];
};
struct stp_device_key stp_device_key(const stp_device_info *info);

enum { STP_CHOOSE_NONE = -1 };
// The index in `infos` of what `selector` names (NULL or "": the default), or STP_CHOOSE_NONE. Of several that match,
// the usable one that comes first in the default's order; an unusable one only if nothing usable matches. Reads nothing
// but its arguments.
int stp_device_choose(const stp_device_info *infos, size_t count, const char *selector);

#endif
