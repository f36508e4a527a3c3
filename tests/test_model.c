// SPDX-License-Identifier: Apache-2.0
// stp_model: what the public interface tells of a file.
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include <stipple/stipple.h>

#include "onnx_writer.h"

// y = x + b with b of three elements, which is an input too where `is_default`.
static struct stp_message sum_model(bool is_default)
{
    const float floats[] = {1, 2, 3};
    struct stp_message graph = {0}, tensor = raw_tensor("b", F32, 1, (const int64_t[]){3}, floats, sizeof floats);
    struct stp_message node = stp_node_message("Add", "", "sum", "x b", "y");
    stp_put_message(&graph, 1, &node);
    stp_put_message(&graph, 5, &tensor);
    stp_put_port(&graph, 11, "x", F32, 2, (const int64_t[]){-1, 3});
    if (is_default)
        stp_put_port(&graph, 11, "b", F32, 1, (const int64_t[]){-1});
    stp_put_port(&graph, 12, "y", F32, -1, NULL);
    struct stp_message model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 13);
    put_pair(&model, 14, "stipple.task", "classify");
    return model;
}

static void check_model(const stp_model *model, bool is_default)
{
    assert_int_equal(stp_model_input_count(model), is_default ? 2 : 1);
    assert_int_equal(stp_model_output_count(model), 1);
    const stp_model_port *port = stp_model_input(model, 0);
    assert_string_equal(port->name, "x");
    assert_int_equal(port->dtype, STP_F32);
    assert_int_equal(port->rank, 2);
    assert_true(port->dims[0] == -1 && port->dims[1] == 3);
    assert_string_equal(port->dim_names[0], "N");
    assert_null(port->dim_names[1]);
    assert_false(port->has_default);
    port = stp_model_input(model, 1);
    assert_true(is_default ? port->has_default : !port);
    port = stp_model_output(model, 0);
    assert_string_equal(port->name, "y");
    assert_int_equal(port->dtype, STP_F32);
    assert_int_equal(port->rank, -1);
    assert_null(stp_model_output(model, 1));
    assert_string_equal(stp_model_metadata(model, "stipple.task"), "classify");
    assert_null(stp_model_metadata(model, "stipple.labels"));
    stp_model_node node;
    assert_int_equal(stp_model_node_count(model), 1);
    assert_true(stp_model_node_get(model, 0, &node));
    assert_string_equal(node.name, "sum");
    assert_string_equal(node.op, "Add");
    assert_string_equal(node.domain, "");
    assert_int_equal(node.parameters, is_default ? 0 : 3);
    assert_false(stp_model_node_get(model, 1, &node));
}

static void test_from_memory(void **state)
{
    (void)state;
    for (int is_default = 0; is_default < 2; is_default++) {
        struct stp_message bytes = sum_model(is_default);
        stp_model *model;
        if (stp_model_load_memory(&model, context, bytes.bytes, bytes.size) != STP_OK)
            fail_msg("%s", stp_last_error(context));
        check_model(model, is_default);
        stp_model_destroy(&model);
        assert_null(model);
        free(bytes.bytes);
    }
}

static void test_from_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/stipple_model_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct stp_message bytes = sum_model(false);
    assert_int_equal(write(fd, bytes.bytes, bytes.size), bytes.size);
    close(fd);
    free(bytes.bytes);
    stp_model *model;
    if (stp_model_load_file(&model, context, path) != STP_OK)
        fail_msg("%s", stp_last_error(context));
    unlink(path); // the mapping stays
    check_model(model, false);
    stp_model_destroy(&model);
    assert_int_equal(stp_model_load_file(&model, context, path), STP_ERROR_IO);
    assert_null(model);
    assert_non_null(strstr(stp_last_error(context), path));
}

static void test_arguments(void **state)
{
    (void)state;
    stp_model *model = (stp_model *)&context;
    assert_int_equal(stp_model_load_file(&model, NULL, "x"), STP_ERROR_INVALID_ARGUMENT);
    assert_null(model);
    assert_int_equal(stp_model_load_file(&model, context, NULL), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_model_load_file(NULL, context, "x"), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_model_load_memory(&model, context, NULL, 0), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_model_load_memory(&model, context, "", 0), STP_ERROR_INVALID_MODEL);
    stp_model_destroy(&model);
    stp_model_destroy(NULL);
    stp_tensor tensor = {.rank = 3};
    assert_int_equal(stp_tensor_parse(&tensor, context, NULL, 1), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(tensor.rank, 0);
    assert_int_equal(stp_tensor_parse(NULL, context, "", 0), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_tensor_parse(&tensor, context, "", 0), STP_ERROR_INVALID_MODEL);
    assert_null(tensor.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_memory),
        cmocka_unit_test(test_from_a_file),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
