// SPDX-License-Identifier: Apache-2.0
// Listing and opening what OpenCL devices there are, programs, buffers, an application's own objects; and drivers that
// are missing or broken.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/device.h"
#include "device/exactness.h"
#include "device/icd.h"

// The log, all of it.
static char told[64 << 10];

static void tell(void *user, stp_log_level level, const char *message)
{
    (void)user;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%d %s\n", level, message);
}

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        count++;
    return count;
}

static stp_context *new_context(void)
{
    stp_context *context;
    assert_int_equal(stp_context_create(&context, stp_context_params(.log = tell, .log_level = STP_LOG_DEBUG)), STP_OK);
    told[0] = 0;
    return context;
}

static bool reads_no_driver_files(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "oclgrind");
}

// Driver files -------------------------------------------------------------------------------------------------------
// The loader reads them once in a process, so that each case has one of its own, forked before this one has used
// OpenCL.

struct vendors {
    char folder[64];
    char icd[96];
};

static struct vendors new_vendors(const char *library)
{
    struct vendors vendors = {.folder = "/tmp/stipple-vendors.XXXXXX"};
    assert_non_null(mkdtemp(vendors.folder));
    snprintf(vendors.icd, sizeof vendors.icd, "%s/broken.icd", vendors.folder);
    if (library) {
        FILE *file = fopen(vendors.icd, "w");
        assert_non_null(file);
        fputs(library, file);
        fclose(file);
    }
    return vendors;
}

static void remove_vendors(struct vendors *vendors)
{
    unlink(vendors->icd);
    rmdir(vendors->folder);
}

// In the child, where cmocka's assertions would go on with the next test.
#define EXPECT(condition)                                                                                              \
    if (!(condition)) {                                                                                                \
        fprintf(stderr, "not so: %s\nlog: %s\n", #condition, told);                                                    \
        _exit(1);                                                                                                      \
    }

// No device at all: an empty list, and an error from opening that says what to install; `warning` in the log.
static void expect_no_device(const char *warning)
{
    stp_context *context = new_context();
    stp_device_list *list;
    EXPECT(stp_device_list_create(&list, context, false) == STP_OK);
    EXPECT(stp_device_list_count(list) == 0);
    EXPECT(stp_device_list_get(list, 0) == NULL);
    stp_device_list_destroy(&list);
    EXPECT(!warning == !strstr(told, "3 ")); // level STP_LOG_WARN
    EXPECT(!warning || strstr(told, warning));
    stp_device *device;
    for (int i = 0; i < 2; i++) {
        EXPECT(stp_device_open(&device, context, i ? "gpu" : NULL) == STP_ERROR_DEVICE);
        EXPECT(device == NULL);
        EXPECT(strstr(stp_last_error(context), "pocl-opencl-icd"));
    }
    stp_context_destroy(&context);
    _exit(0);
}

static void with_vendors(const char *library, const char *warning)
{
    struct vendors vendors = new_vendors(library);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("OCL_ICD_VENDORS", vendors.folder, 1);
        alarm(60);
        expect_no_device(warning);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    remove_vendors(&vendors);
    assert_int_equal(status, 0);
}

static void test_broken_drivers(void **state)
{
    (void)state;
    if (reads_no_driver_files())
        skip();
    with_vendors(NULL, NULL);
    with_vendors("/nowhere/libdriver.so\n", "broken.icd is skipped: /nowhere/libdriver.so");
    with_vendors("libdriver_that_is_nowhere.so", "broken.icd is skipped: libdriver_that_is_nowhere.so");
    with_vendors("/bin/sh\n", "broken.icd is skipped: /bin/sh");
    with_vendors("/dev/null\n", "broken.icd is skipped: /dev/null");
    with_vendors("libm.so.6\n", "broken.icd is skipped: libm.so.6 is not an OpenCL driver");
}

// Without the loader: Khronos's hangs on such a file.
static void test_empty_driver_file(void **state)
{
    (void)state;
    if (reads_no_driver_files())
        skip();
    struct vendors vendors = new_vendors("");
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("OCL_ICD_VENDORS", vendors.folder, 1);
        stp_icd_warn_broken(new_context());
        EXPECT(strstr(told, "broken.icd is skipped: the file names no library"));
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    remove_vendors(&vendors);
    assert_int_equal(status, 0);
}

static void link_driver(void *user, const char *path)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s/%s", (const char *)user, strrchr(path, '/') + 1);
    (void)!symlink(path, copy);
}

// In a child: how many devices there are, with these driver files, or with those that this process has.
static int count_devices(const struct vendors *vendors)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (vendors)
            setenv("OCL_ICD_VENDORS", vendors->folder, 1);
        alarm(60);
        stp_context *context = new_context();
        stp_device_list *list;
        EXPECT(stp_device_list_create(&list, context, false) == STP_OK);
        EXPECT(!vendors == !strstr(told, "broken.icd is skipped"));
        _exit(100 + (int)stp_device_list_count(list));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) >= 100);
    return WEXITSTATUS(status) - 100;
}

// Broken ones do not keep the others away.
static void test_broken_beside_good(void **state)
{
    (void)state;
    if (reads_no_driver_files())
        skip();
    struct vendors vendors = new_vendors("/nowhere/libdriver.so\n");
    stp_icd_each(link_driver, vendors.folder);
    int want = count_devices(NULL), got = count_devices(&vendors);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", vendors.folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(got, want);
}

// What there is ------------------------------------------------------------------------------------------------------

static void test_arguments(void **state)
{
    (void)state;
    stp_context *context = new_context();
    stp_device *device = (stp_device *)&context;
    stp_device_list *list;
    assert_int_equal(stp_device_list_create(NULL, context, false), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_device_list_create(&list, NULL, false), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_device_open(NULL, context, NULL), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_device_open(&device, NULL, NULL), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_device_wrap(&device, context, NULL, NULL, NULL), STP_ERROR_INVALID_ARGUMENT);
    assert_null(device);
    assert_int_equal(stp_device_probe(NULL), STP_ERROR_INVALID_ARGUMENT);
    stp_device_destroy(NULL);
    stp_device_destroy(&device);
    stp_device_list_destroy(NULL);
    assert_null(stp_device_get_info(NULL));
    assert_int_equal(stp_device_list_count(NULL), 0);
    stp_context_destroy(&context);
}

static stp_device_list *new_list(stp_context *context)
{
    stp_device_list *list;
    assert_int_equal(stp_device_list_create(&list, context, false), STP_OK);
    return list;
}

static void test_list(void **state)
{
    (void)state;
    stp_context *context = new_context();
    stp_device_list *list = new_list(context);
    size_t count = stp_device_list_count(list), defaults = 0;
    assert_null(stp_device_list_get(list, count));
    for (size_t i = 0; i < count; i++) {
        const stp_device_info *info = stp_device_list_get(list, i);
        printf("  %d: %s, %s (%s, %s)\n", info->index, info->platform, info->name, info->type, info->driver_version);
        assert_int_equal(info->index, i);
        assert_true(*info->platform && *info->platform_version && *info->platform_vendor && *info->name &&
                    *info->vendor);
        assert_true(*info->device_version && *info->driver_version && *info->type);
        assert_false(isspace((unsigned char)info->name[0]));
        assert_string_equal(info->inexact, "not probed");
        assert_true(info->native_vector_width_float >= 1);
        assert_true(info->unusable || (info->compute_units && info->max_work_group_size && info->max_allocation &&
                                       info->max_allocation <= info->global_memory && info->base_address_align));
        defaults += info->is_default;
    }
    assert_int_equal(defaults, 1);
    stp_device_list_destroy(&list);
    assert_null(list);
    stp_context_destroy(&context);
}

static void test_unknown_selector(void **state)
{
    (void)state;
    stp_context *context = new_context();
    stp_device_list *list = new_list(context);
    static const char *const selectors[] = {"voodoo", "12345", "voodoo/gpu"};
    for (size_t i = 0; i < STP_LENGTH(selectors); i++) {
        stp_device *device;
        assert_int_equal(stp_device_open(&device, context, selectors[i]), STP_ERROR_INVALID_ARGUMENT);
        assert_null(device);
        assert_non_null(strstr(stp_last_error(context), selectors[i]));
        assert_non_null(strstr(stp_last_error(context), stp_device_list_get(list, 0)->name));
    }
    stp_device_list_destroy(&list);
    stp_context_destroy(&context);
}

// Runs `check` on each usable device, opened by its index.
static void on_each_device(void (*check)(struct stp_device *device))
{
    stp_context *context = new_context();
    stp_device_list *list = new_list(context);
    for (size_t i = 0; i < stp_device_list_count(list); i++) {
        const stp_device_info *info = stp_device_list_get(list, i);
        char selector[32];
        snprintf(selector, sizeof selector, "%zu", i);
        stp_device *device;
        stp_status status = stp_device_open(&device, context, selector);
        assert_int_equal(status, info->unusable ? STP_ERROR_UNSUPPORTED : STP_OK);
        if (status != STP_OK)
            continue;
        assert_int_equal(stp_device_get_info(device)->index, i);
        assert_string_equal(stp_device_get_info(device)->name, info->name);
        check(device);
        stp_device_destroy(&device);
        assert_null(device);
    }
    stp_device_list_destroy(&list);
    stp_context_destroy(&context);
}

static void check_limits(struct stp_device *device)
{
    const struct stp_limits *limits = &device->limits;
    assert_true(limits->compute_units && limits->max_work_group && limits->max_work_item[0] && limits->vector_width);
    // rusticl's llvmpipe is a CPU that wants the kernels made for GPUs.
    assert_int_equal(limits->is_cpu, !strcmp(device->info.type, "cpu") && strcmp(device->info.platform, "rusticl"));
    assert_true(device->profiling);
}

static void test_open(void **state)
{
    (void)state;
    on_each_device(check_limits);
    stp_context *context = new_context();
    stp_device *device;
    assert_int_equal(stp_device_open(&device, context, NULL), STP_OK);
    assert_true(device->info.is_default);
    stp_device_destroy(&device);
    stp_context_destroy(&context);
}

// Programs -----------------------------------------------------------------------------------------------------------

static void check_programs(struct stp_device *device)
{
    cl_program first, again, other;
    told[0] = 0;
    assert_int_equal(stp_device_program(device, "probe", NULL, &first), STP_OK);
    assert_int_equal(stp_device_program(device, "probe", "", &again), STP_OK);
    assert_ptr_equal(first, again);
    assert_int_equal(occurrences(told, "built probe.cl"), 1);
    assert_int_equal(stp_device_program(device, "probe", "-DANYTHING=1", &other), STP_OK);
    assert_ptr_not_equal(first, other);
    cl_kernel kernel;
    assert_int_equal(stp_device_kernel(device, "probe", NULL, "probe_sites", &kernel), STP_OK);
    clReleaseKernel(kernel);
    assert_int_equal(stp_device_kernel(device, "probe", NULL, "no_such_kernel", &kernel), STP_ERROR_DEVICE);
    assert_null(kernel);
    assert_non_null(strstr(stp_last_error(device->context), "no_such_kernel"));
    assert_int_equal(stp_device_program(device, "no_such_file", NULL, &other), STP_ERROR_DEVICE);
    assert_non_null(strstr(stp_last_error(device->context), "no_such_file.cl"));
}

static void test_programs(void **state)
{
    (void)state;
    on_each_device(check_programs);
}

static void check_failed_build(struct stp_device *device)
{
    const char *options = "-Dprobe_sites=1"; // `__kernel void 1(…)`
    char error[2048];
    told[0] = 0;
    for (int i = 0; i < 2; i++) {
        cl_program program;
        assert_int_equal(stp_device_program(device, "probe", options, &program), STP_ERROR_DEVICE);
        assert_null(program);
        const char *now = stp_last_error(device->context);
        if (!strstr(now, "building probe.cl") || !strstr(now, "expected identifier"))
            fail_msg("%s", now);
        assert_null(strchr(now, '\n'));
        if (i)
            assert_string_equal(now, error); // remembered
        snprintf(error, sizeof error, "%s", now);
    }
    assert_int_equal(occurrences(told, "built probe.cl"), 1);
}

static void test_failed_build(void **state)
{
    (void)state;
    on_each_device(check_failed_build);
}

static void check_exactness(struct stp_device *device)
{
    const char *finding;
    assert_int_equal(stp_device_exactness(device, &finding), STP_OK);
    printf("  %s: %s\n", device->info.name, finding ? finding : "exact");
    // What SPEC.md and DESIGN.md say of the runtimes that are known.
    if (strstr(device->info.platform_version, "PoCL") || !strcmp(device->info.platform, "Intel(R) OpenCL") ||
        !strcmp(device->info.platform, "Oclgrind"))
        assert_null(finding);
    if (strstr(device->info.name, "llvmpipe"))
        assert_true(finding && strstr(finding, "subnormals") && !strstr(finding, "fma") &&
                    !strstr(finding, "division"));
}

static void test_exactness(void **state)
{
    (void)state;
    on_each_device(check_exactness);
}

// Buffers and errors -------------------------------------------------------------------------------------------------

static void check_buffers(struct stp_device *device)
{
    cl_mem buffer;
    float data[3] = {1, 2, 3}, back[3] = {0};
    assert_int_equal(stp_device_buffer(device, sizeof data, CL_MEM_COPY_HOST_PTR, data, "numbers", &buffer), STP_OK);
    assert_int_equal(clEnqueueReadBuffer(device->queue, buffer, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_memory_equal(data, back, sizeof data);
    clReleaseMemObject(buffer);
    assert_int_equal(stp_device_buffer(device, 0, CL_MEM_READ_WRITE, NULL, "nothing", &buffer), STP_OK);
    clReleaseMemObject(buffer);
    size_t huge = (size_t)device->limits.max_allocation + 1;
    assert_int_equal(stp_device_buffer(device, huge, CL_MEM_READ_WRITE, NULL, "the arena", &buffer),
                     STP_ERROR_OUT_OF_MEMORY);
    assert_null(buffer);
    char amount[32];
    snprintf(amount, sizeof amount, "%zu", huge);
    assert_non_null(strstr(stp_last_error(device->context), amount));
    assert_non_null(strstr(stp_last_error(device->context), "the arena"));
    assert_int_equal(stp_device_buffer(device, 16, CL_MEM_COPY_HOST_PTR, NULL, "numbers", &buffer), STP_ERROR_DEVICE);
    assert_non_null(strstr(stp_last_error(device->context), "CL_INVALID_HOST_PTR (-37): 16 bytes for numbers"));
}

static void test_buffers(void **state)
{
    (void)state;
    on_each_device(check_buffers);
}

static void check_errors(struct stp_device *device)
{
    assert_int_equal(stp_cl_check(device, CL_SUCCESS, "clFoo"), STP_OK);
    assert_int_equal(stp_cl_check(device, CL_OUT_OF_RESOURCES, "clFoo"), STP_ERROR_DEVICE);
    assert_string_equal(stp_last_error(device->context), "clFoo failed: CL_OUT_OF_RESOURCES (-5)");
    assert_int_equal(stp_cl_check(device, CL_MEM_OBJECT_ALLOCATION_FAILURE, "clFoo"), STP_ERROR_OUT_OF_MEMORY);
    assert_int_equal(stp_cl_check(device, CL_OUT_OF_HOST_MEMORY, "clFoo"), STP_ERROR_OUT_OF_MEMORY);
    assert_int_equal(stp_cl_check(device, -9999, "clFoo"), STP_ERROR_DEVICE);
    assert_string_equal(stp_last_error(device->context), "clFoo failed: unknown error (-9999)");
}

static void test_errors(void **state)
{
    (void)state;
    on_each_device(check_errors);
}

// An application's own objects ---------------------------------------------------------------------------------------

static cl_uint references(cl_context cl)
{
    cl_uint count;
    assert_int_equal(clGetContextInfo(cl, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL), CL_SUCCESS);
    return count;
}

static void check_wrap(struct stp_device *opened)
{
    stp_context *context = opened->context;
    cl_int code;
    cl_context cl = clCreateContext(NULL, 1, &opened->id, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    cl_command_queue queue = clCreateCommandQueue(cl, opened->id, 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    cl_uint before = references(cl);

    stp_device *device;
    assert_int_equal(stp_device_wrap(&device, context, cl, opened->id, queue), STP_OK);
    assert_string_equal(stp_device_get_info(device)->name, opened->info.name);
    assert_int_equal(stp_device_get_info(device)->index, -1);
    assert_false(device->profiling);
    const char *finding, *same;
    assert_int_equal(stp_device_exactness(device, &finding), STP_OK);
    assert_int_equal(stp_device_exactness(opened, &same), STP_OK);
    assert_true(finding ? same && !strcmp(finding, same) : !same);
    stp_device_destroy(&device);
    assert_int_equal(references(cl), before);

    // A queue of another context, and one that may reorder.
    assert_int_equal(stp_device_wrap(&device, context, opened->cl, opened->id, queue), STP_ERROR_INVALID_ARGUMENT);
    assert_null(device);
    assert_non_null(strstr(stp_last_error(context), "another context"));
    cl_command_queue loose = clCreateCommandQueue(cl, opened->id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code == CL_SUCCESS) {
        assert_int_equal(stp_device_wrap(&device, context, cl, opened->id, loose), STP_ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(stp_last_error(context), "in-order"));
        clReleaseCommandQueue(loose);
    }
    clReleaseCommandQueue(queue);
    clReleaseContext(cl);
}

static void test_wrap(void **state)
{
    (void)state;
    on_each_device(check_wrap);
}

int main(void)
{
    const struct CMUnitTest before_opencl[] = {
        cmocka_unit_test(test_broken_drivers),
        cmocka_unit_test(test_empty_driver_file),
        cmocka_unit_test(test_broken_beside_good),
        cmocka_unit_test(test_arguments),
    };
    int failures = cmocka_run_group_tests(before_opencl, NULL, NULL);
    stp_context *context = new_context();
    stp_device_list *list = new_list(context);
    size_t count = stp_device_list_count(list);
    stp_device_list_destroy(&list);
    stp_context_destroy(&context);
    if (count == 0 && failures == 0) {
        puts("skipped: there is no OpenCL device");
        return 77;
    }
    const struct CMUnitTest on_devices[] = {
        cmocka_unit_test(test_list),     cmocka_unit_test(test_unknown_selector), cmocka_unit_test(test_open),
        cmocka_unit_test(test_programs), cmocka_unit_test(test_failed_build),     cmocka_unit_test(test_exactness),
        cmocka_unit_test(test_buffers),  cmocka_unit_test(test_errors),           cmocka_unit_test(test_wrap),
    };
    return failures + cmocka_run_group_tests(on_devices, NULL, NULL);
}
