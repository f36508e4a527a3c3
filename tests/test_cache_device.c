// SPDX-License-Identifier: Apache-2.0
// Programs, failed builds and measurements of a device through the cache.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache_folder.h"
#include "device/device.h"
#include "device/exactness.h"

static stp_device *open_device(stp_context *context)
{
    stp_device *device;
    assert_int_equal(stp_device_open(&device, context, NULL), STP_OK);
    told[0] = 0;
    return device;
}

static void make_kernel(stp_device *device, const char *program, const char *name)
{
    cl_kernel kernel;
    if (stp_device_kernel(device, program, "", name, &kernel) != STP_OK)
        fail_msg("%s", stp_last_error(device->context));
    clReleaseKernel(kernel);
}

// Makes the kernel on a device of its own; the log stays.
static void make_afresh(stp_context *context, const char *program, const char *name)
{
    stp_device *device = open_device(context);
    make_kernel(device, program, name);
    stp_device_destroy(&device);
}

static void test_device_programs(void **state)
{
    (void)state;
    stp_context *context = new_context();
    make_afresh(context, "probe", "probe_sites");
    assert_non_null(strstr(told, "built probe.cl"));
    assert_non_null(strstr(told, "stored probe.cl"));
    make_afresh(context, "probe", "probe_sites");
    assert_null(strstr(told, "built probe.cl"));
    assert_non_null(strstr(told, "loaded probe.cl"));
    // A binary that lacks the kernel is made again, and stored.
    make_afresh(context, "gemm", "gemm");
    run_sql(
        "UPDATE programs SET (binary, checksum) = (SELECT binary, checksum FROM programs WHERE title LIKE 'gemm.cl%')"
        " WHERE title LIKE 'probe.cl%'");
    make_afresh(context, "probe", "probe_sites");
    assert_non_null(strstr(told, "built probe.cl"));
    make_afresh(context, "probe", "probe_sites");
    assert_null(strstr(told, "built probe.cl"));
    // One that is damaged, too.
    run_sql("UPDATE programs SET binary = zeroblob(5000)");
    make_afresh(context, "probe", "probe_sites");
    assert_non_null(strstr(told, "built probe.cl"));
    make_afresh(context, "probe", "probe_sites");
    assert_null(strstr(told, "built probe.cl"));
    setenv("STIPPLE_CACHE", "off", 1);
    make_afresh(context, "probe", "probe_sites");
    assert_non_null(strstr(told, "built probe.cl"));
    assert_null(strstr(told, "stored"));
    stp_context_destroy(&context);
}

// What runs is the same, built or loaded.
static void test_device_results(void **state)
{
    (void)state;
    stp_context *context = new_context();
    char first[256] = "";
    for (int i = 0; i < 2; i++) {
        stp_device *device = open_device(context);
        const char *finding;
        assert_int_equal(stp_device_exactness(device, &finding), STP_OK);
        assert_int_equal(strstr(told, "loaded probe.cl") != NULL, i);
        if (i)
            assert_string_equal(finding ? finding : "exact", first);
        snprintf(first, sizeof first, "%s", finding ? finding : "exact");
        stp_device_destroy(&device);
    }
    stp_context_destroy(&context);
}

static void test_device_failure(void **state)
{
    (void)state;
    stp_context *context = new_context();
    char first[2048];
    cl_program program;
    for (int i = 0; i < 2; i++) {
        stp_device *device = open_device(context);
        assert_int_equal(stp_device_program(device, "probe", "-Dprobe_sites=1", &program), STP_ERROR_DEVICE);
        assert_null(program);
        assert_int_equal(strstr(told, "built probe.cl") != NULL, !i);
        if (i)
            assert_memory_equal(stp_last_error(context), first, strlen(first));
        snprintf(first, sizeof first, "%s", stp_last_error(context));
        stp_device_destroy(&device);
    }
    assert_non_null(strstr(stp_last_error(context), "stipple cache clear"));
    assert_int_equal(stp_cache_clear(context), STP_OK);
    stp_device *device = open_device(context);
    assert_int_equal(stp_device_program(device, "probe", "-Dprobe_sites=1", &program), STP_ERROR_DEVICE);
    assert_non_null(strstr(told, "built probe.cl"));
    stp_device_destroy(&device);
    stp_context_destroy(&context);
}

static void test_device_speed(void **state)
{
    (void)state;
    stp_context *context = new_context();
    stp_device_speed measured, kept;
    stp_device *device = open_device(context);
    assert_int_equal(stp_device_get_speed(device, &kept), STP_OK);
    assert_true(kept.flops == 0 && kept.bytes == 0);
    assert_int_equal(stp_device_measure(device, &measured), STP_OK);
    printf("  %s: %.2f GFLOP/s, %.2f GB/s\n", device->info.name, measured.flops * 1e-9, measured.bytes * 1e-9);
    assert_true(measured.flops > 1e5 && measured.flops < 1e15 && measured.bytes > 1e5 && measured.bytes < 1e14);
    assert_int_equal(stp_device_get_speed(device, &kept), STP_OK);
    assert_true(kept.flops == measured.flops && kept.bytes == measured.bytes);
    stp_device_destroy(&device);
    device = open_device(context);
    assert_int_equal(stp_device_get_speed(device, &kept), STP_OK);
    assert_true(kept.flops > 0.999 * measured.flops - 1 && kept.flops < 1.001 * measured.flops + 1);
    stp_device_destroy(&device);
    // What a stranger wrote there.
    static const char *const values[] = {"",         "nan flop/s inf B/s", "-1 flop/s 5 B/s",
                                         "5 flop/s", "1e999 flop/s 1 B/s", "x"};
    for (size_t i = 0; i < STP_LENGTH(values); i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "UPDATE measurements SET value = '%s'", values[i]);
        run_sql(sql);
        device = open_device(context);
        assert_int_equal(stp_device_get_speed(device, &kept), STP_OK);
        assert_true(kept.flops == 0 && kept.bytes == 0);
        stp_device_destroy(&device);
    }
    stp_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_device_programs), TEST(test_device_results), TEST(test_device_failure),
                                       TEST(test_device_speed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
