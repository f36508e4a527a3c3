// SPDX-License-Identifier: Apache-2.0
// tools/npy.c: files as NumPy writes them, other layouts that the format allows, and damaged ones.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npy.h"

// A file of version `major` with this header (not padded) and these bytes of elements; returns its size.
static size_t make_file(unsigned char *file, int major, const char *header, const void *data, size_t size)
{
    size_t length = strlen(header), start = major == 1 ? 10 : 12;
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)major;
    file[7] = 0;
    for (size_t i = 8; i < start; i++)
        file[i] = (unsigned char)(length >> (8 * (i - 8)));
    memcpy(file + start, header, length);
    memcpy(file + start + length, data, size);
    return start + length + size;
}

// From an exact copy, so that a sanitizer sees a read beyond the end.
static bool parse(stp_tensor *out, const void *bytes, size_t size, struct stp_error *error)
{
    void *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    bool ok = stp_npy_parse(out, copy, size, "test.npy", error);
    free(copy);
    assert_true(ok || (!out->data && strstr(error->text, "test.npy")));
    return ok;
}

static void accept(int major, const char *header, const void *data, size_t size, const stp_tensor *wanted)
{
    struct stp_error error;
    stp_tensor tensor;
    unsigned char file[1024];
    if (!parse(&tensor, file, make_file(file, major, header, data, size), &error))
        fail_msg("%s: %s", header, error.text);
    assert_int_equal(tensor.dtype, wanted->dtype);
    assert_int_equal(tensor.rank, wanted->rank);
    assert_memory_equal(tensor.dims, wanted->dims, sizeof tensor.dims);
    assert_memory_equal(tensor.data, wanted->data, (size_t)stp_tensor_elements(wanted) * stp_dtype_size(wanted->dtype));
    free(tensor.data);
}

static void refuse(int major, const char *header, size_t size, const char *message)
{
    struct stp_error error = {0};
    stp_tensor tensor;
    static const unsigned char zeros[256];
    unsigned char file[1024];
    if (parse(&tensor, file, make_file(file, major, header, zeros, size), &error))
        fail_msg("accepted: %s", header);
    if (!strstr(error.text, message))
        fail_msg("%s: '%s' does not say '%s'", header, error.text, message);
}

static void test_layouts(void **state)
{
    (void)state;
    float values[6] = {0, 1, 2, 3, 4, 5}, columns[6] = {0, 3, 1, 4, 2, 5};
    stp_tensor matrix = {STP_F32, 2, {2, 3}, values};
    for (int major = 1; major <= 3; major++)
        accept(major, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }     \n", values, 24, &matrix);
    accept(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", columns, 24, &matrix);
    accept(1, "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}", values, 24, &matrix);
    accept(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n", values, 24,
           &(stp_tensor){STP_F32, 1, {6}, values});
    accept(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", values, 4,
           &(stp_tensor){STP_F32, 0, {0}, values});
    accept(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 0, 3), }\n", values, 0,
           &(stp_tensor){STP_F32, 3, {2, 0, 3}, values});
    int32_t i4[2] = {-1, 70000};
    int64_t i8[2] = {-1, INT64_MAX};
    uint8_t u1[4] = {0, 1, 7, 255}, b1[4] = {0, 1, 1, 1};
    accept(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n", i4, 8, &(stp_tensor){STP_I32, 1, {2}, i4});
    accept(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", i8, 16,
           &(stp_tensor){STP_I64, 1, {2}, i8});
    accept(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }\n", u1, 4, &(stp_tensor){STP_U8, 1, {4}, u1});
    accept(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }\n", u1, 4,
           &(stp_tensor){STP_BOOL, 1, {4}, b1});
}

// Fortran order with three axes: element (i, j, k) of a 2×3×4 tensor lies at i + 2·j + 6·k.
static void test_fortran(void **state)
{
    (void)state;
    uint8_t stored[24], wanted[24];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) {
                stored[i + 2 * j + 6 * k] = (uint8_t)(100 * i + 10 * j + k);
                wanted[(i * 3 + j) * 4 + k] = (uint8_t)(100 * i + 10 * j + k);
            }
    accept(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4), }\n", stored, 24,
           &(stp_tensor){STP_U8, 3, {2, 3, 4}, wanted});
}

static void test_refused(void **state)
{
    (void)state;
    refuse(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", 16, "type <f8");
    refuse(1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, "type >f4");
    refuse(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, "element type");
    refuse(4, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8, "version 1 to 3");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, "does not fit its shape");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, "does not fit its shape");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }", 8, "does not fit");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,), }", 8, "does not fit");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", 8, "shape");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 8, "shape");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", 8, "shape");
    refuse(1, "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", 8, "header");
    refuse(1, "{'descr': '<f4', 'fortran_order': False}", 8, "header");
    refuse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", 8, "shape");
    refuse(1, "", 8, "header");
}

static void test_damage(void **state)
{
    (void)state;
    struct stp_error error;
    stp_tensor tensor;
    float values[6] = {0};
    unsigned char file[256];
    size_t size = make_file(file, 2, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", values, 24);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(parse(&tensor, file, cut, &error));
    for (size_t i = 0; i < size * 8; i++) {
        file[i / 8] ^= (unsigned char)(1 << i % 8);
        if (parse(&tensor, file, size, &error))
            free(tensor.data);
        file[i / 8] ^= (unsigned char)(1 << i % 8);
    }
}

static void check_written(const stp_tensor *tensor)
{
    struct stp_error error;
    char *bytes = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&bytes, &size);
    assert_non_null(file);
    assert_true(stp_npy_write(file, tensor));
    fclose(file);
    size_t data = (size_t)stp_tensor_elements(tensor) * stp_dtype_size(tensor->dtype);
    assert_int_equal((size - data) % 64, 0);
    assert_int_equal(bytes[size - data - 1], '\n');
    stp_tensor back;
    assert_true(parse(&back, bytes, size, &error));
    assert_true(back.dtype == tensor->dtype && back.rank == tensor->rank);
    assert_memory_equal(back.dims, tensor->dims, sizeof back.dims);
    assert_memory_equal(back.data, tensor->data, data);
    free(back.data);
    free(bytes);
}

static void test_written(void **state)
{
    (void)state;
    int64_t values[24] = {1, 0, -3, 4};
    for (int dtype = STP_F32; dtype <= STP_U8; dtype++) {
        if (dtype == STP_BOOL)
            memset(values, 1, sizeof values);
        check_written(&(stp_tensor){(stp_dtype)dtype, 3, {2, 3, 4}, values});
        check_written(&(stp_tensor){(stp_dtype)dtype, 1, {5}, values});
        check_written(&(stp_tensor){(stp_dtype)dtype, 0, {0}, values});
        check_written(&(stp_tensor){(stp_dtype)dtype, 8, {1, 1, 0, 1000000000000, 1000000, 1, 1, 1}, values});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts), cmocka_unit_test(test_fortran), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damage),  cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
