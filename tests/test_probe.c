// SPDX-License-Identifier: Apache-2.0
// Probing devices through the public interface: the library finds its helper program, and the child finds what a probe
// in this process finds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <CL/cl.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <stipple/stipple.h>

static stp_context *context;
static stp_device_list *list;

static void print_log(void *user, stp_log_level level, const char *message)
{
    (void)user;
    printf("  log %d: %s\n", level, message);
}

static void test_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < stp_device_list_count(list); i++) {
        const stp_device_info *info = stp_device_list_get(list, i);
        printf("  %s, %s: exact: %s, unusable: %s\n", info->platform, info->name, info->inexact ? info->inexact : "yes",
               info->unusable ? info->unusable : "no");
        assert_true(info->unusable || !info->inexact || strcmp(info->inexact, "not probed") != 0);
    }
}

static void test_open_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < stp_device_list_count(list); i++) {
        const stp_device_info *listed = stp_device_list_get(list, i);
        if (listed->unusable)
            continue;
        char selector[32];
        snprintf(selector, sizeof selector, "%zu", i);
        stp_device *device;
        assert_int_equal(stp_device_open(&device, context, selector), STP_OK);
        assert_string_equal(stp_device_get_info(device)->inexact, "not probed");
        assert_int_equal(stp_device_probe(device), STP_OK);
        const char *inexact = stp_device_get_info(device)->inexact;
        assert_true(inexact ? listed->inexact && !strcmp(inexact, listed->inexact) : !listed->inexact);
        stp_device_destroy(&device);
    }
}

// An application's own device is found again by the child; a part of a device cannot be.
static void test_wrapped_device(void **state)
{
    (void)state;
    cl_platform_id platform;
    cl_device_id ids[2];
    cl_int code;
    assert_int_equal(clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, ids, NULL) != CL_SUCCESS)
        skip();
    const cl_device_partition_property halves[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1,
                                                   CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    // Mesa 22.3 has no clCreateSubDevices() at all: ask first.
    cl_uint parts = 0;
    clGetDeviceInfo(ids[0], CL_DEVICE_PARTITION_MAX_SUB_DEVICES, sizeof parts, &parts, NULL);
    bool divided = parts > 1 && clCreateSubDevices(ids[0], halves, 1, ids + 1, NULL) == CL_SUCCESS;
    for (int i = 0; i < 1 + divided; i++) {
        cl_context cl = clCreateContext(NULL, 1, &ids[i], NULL, NULL, &code);
        assert_int_equal(code, CL_SUCCESS);
        cl_command_queue queue = clCreateCommandQueue(cl, ids[i], 0, &code);
        assert_int_equal(code, CL_SUCCESS);
        stp_device *device;
        assert_int_equal(stp_device_wrap(&device, context, cl, ids[i], queue), STP_OK);
        assert_int_equal(stp_device_probe(device), i ? STP_ERROR_UNSUPPORTED : STP_OK);
        const char *inexact = stp_device_get_info(device)->inexact;
        assert_int_equal(i == 1, inexact && !strcmp(inexact, "not probed"));
        stp_device_destroy(&device);
        clReleaseCommandQueue(queue);
        clReleaseContext(cl);
    }
    if (divided)
        clReleaseDevice(ids[1]);
}

int main(void)
{
    if (stp_context_create(&context, stp_context_params(.log = print_log)) != STP_OK ||
        stp_device_list_create(&list, context, true) != STP_OK)
        return 1;
    if (stp_device_list_count(list) == 0) {
        puts("skipped: there is no OpenCL device");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_open_device),
                                       cmocka_unit_test(test_wrapped_device)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    stp_device_list_destroy(&list);
    stp_context_destroy(&context);
    return failures;
}
