// SPDX-License-Identifier: Apache-2.0
// The registry, shape inference, constant folding and the reference runner, on graphs built by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/infer.h"
#include "graph/passes.h"
#include "ops/registry.h"
#include "ref/run.h"

// A graph under construction ------------------------------------------------------------------------------------------

static stp_context *context;
static struct stp_graph *graph;

static int set_up(void **state)
{
    (void)state;
    if (stp_context_create(&context, NULL) != STP_OK)
        return -1;
    graph = stp_graph_create(context);
    graph->opset = 13;
    graph->inputs = stp_arena_array(&graph->arena, 8, sizeof *graph->inputs);
    graph->outputs = stp_arena_array(&graph->arena, 8, sizeof *graph->outputs);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stp_graph_destroy(graph);
    stp_context_destroy(&context);
    return 0;
}

#define DIMS(...) (sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}
#define SCALAR 0, NULL

static struct stp_value *declare(const char *name, stp_dtype dtype, size_t rank, const int64_t *dims)
{
    struct stp_value *value = stp_graph_add_value(graph, name);
    value->dtype = dtype;
    value->rank = (int)rank;
    if (rank)
        memcpy(value->dims, dims, rank * sizeof *dims);
    return value;
}

static struct stp_value *input(const char *name, stp_dtype dtype, size_t rank, const int64_t *dims)
{
    struct stp_value *value = declare(name, dtype, rank, dims);
    value->is_input = true;
    graph->inputs[graph->n_inputs++] = value;
    return value;
}

static struct stp_value *constant(const char *name, stp_dtype dtype, size_t rank, const int64_t *dims, const void *data)
{
    struct stp_value *value = declare(name, dtype, rank, dims);
    value->data = data;
    return value;
}

static void output(struct stp_value *value)
{
    value->is_output = true;
    graph->outputs[graph->n_outputs++] = value;
}

// A node of up to three inputs with one output of its own name.
static struct stp_value *add(const char *type, const char *name, struct stp_value *a, struct stp_value *b,
                             struct stp_value *c)
{
    int count = c ? 3 : b ? 2 : 1;
    struct stp_node *node = stp_graph_add_node(graph, count, 1);
    struct stp_value *const inputs[] = {a, b, c};
    memcpy(node->inputs, inputs, (size_t)count * sizeof *inputs);
    node->type = type;
    node->name = name;
    node->domain = "";
    node->version = 13;
    node->outputs[0] = stp_graph_add_value(graph, name);
    return node->outputs[0];
}

static void set_int(struct stp_value *value, const char *name, int64_t number)
{
    stp_graph_link(graph);
    value->producer->attrs = stp_arena_alloc(&graph->arena, sizeof *value->producer->attrs);
    value->producer->attrs[0] = (struct stp_attr){.name = name, .type = STP_ATTR_INT, .i = number};
    value->producer->n_attrs = 1;
}

static void assert_ok(stp_status status)
{
    if (status != STP_OK)
        fail_msg("%s: %s", stp_status_name(status), stp_last_error(context));
}

static void assert_error(stp_status status, stp_status wanted, const char *part)
{
    assert_int_equal(status, wanted);
    if (!strstr(stp_last_error(context), part))
        fail_msg("'%s' does not say '%s'", stp_last_error(context), part);
}

static void assert_shape(const stp_tensor *tensor, size_t rank, const int64_t *dims)
{
    assert_int_equal(tensor->rank, rank);
    if (rank)
        assert_memory_equal(tensor->dims, dims, rank * sizeof *dims);
}

static stp_tensor tensors[64];

static stp_status infer(const stp_tensor *inputs)
{
    assert_true(graph->n_values <= 64);
    return stp_graph_infer(graph, &graph->arena, inputs, tensors);
}

// Registry ------------------------------------------------------------------------------------------------------------

static void operators_are_complete(void **state)
{
    (void)state;
#define CHECK(op)                                                                                                      \
    assert_string_equal(stp_op_##op.type, #op);                                                                        \
    assert_ptr_equal(stp_op_find(stp_op_##op.domain, #op), &stp_op_##op);                                              \
    assert_true(stp_op_##op.check && stp_op_##op.shape && stp_op_##op.ref);                                            \
    assert_true(stp_op_##op.min_version <= stp_op_##op.max_version && stp_op_##op.min_outputs >= 1);
    STP_OPS(CHECK)
    assert_null(stp_op_find("", "MulByMask"));
    assert_null(stp_op_find("stipple", "Add"));
    assert_null(stp_op_find("", "Sample"));
}

// Shape inference -----------------------------------------------------------------------------------------------------

// Reshape(x, Concat(n, [-1]) · [1, 1]) with n an input known on the host
static void shape_arithmetic_is_done_on_the_host(void **state)
{
    (void)state;
    static const int64_t minus[] = {-1}, ones[] = {1, 1};
    struct stp_value *x = input("x", STP_F32, DIMS(-1, 6)), *n = input("n", STP_I64, DIMS(1));
    struct stp_value *joined = add("Concat", "joined", n, constant("rest", STP_I64, DIMS(1), minus), NULL);
    set_int(joined, "axis", 0);
    struct stp_value *shape = add("Mul", "shape", joined, constant("ones", STP_I64, DIMS(2), ones), NULL);
    struct stp_value *y = add("Reshape", "y", x, shape, NULL);
    output(y);
    assert_ok(stp_graph_check(graph));
    int64_t rows = 4;
    stp_tensor inputs[] = {stp_tensor_make(STP_F32, DIMS(2, 6)), stp_tensor_make(STP_I64, DIMS(1))};
    inputs[1].data = &rows;
    assert_ok(infer(inputs));
    assert_shape(&tensors[y->id], DIMS(4, 3));
    assert_null(tensors[y->id].data);
    assert_int_equal(((int64_t *)tensors[shape->id].data)[0], 4);
    inputs[1].data = NULL;
    assert_error(infer(inputs), STP_ERROR_UNSUPPORTED, "Reshape 'y': shape 'shape': a shape that depends on data");
    rows = 5;
    inputs[1].data = &rows;
    assert_error(infer(inputs), STP_ERROR_INVALID_MODEL, "[5,-1]");
}

static void inputs_must_fit_their_declaration(void **state)
{
    (void)state;
    static const float one = 1;
    struct stp_value *x = input("x", STP_F32, DIMS(-1, 6)), *k = input("k", STP_F32, SCALAR);
    k->data = &one;
    struct stp_value *y = add("Add", "y", x, k, NULL);
    assert_ok(stp_graph_check(graph));
    stp_tensor inputs[] = {stp_tensor_make(STP_F32, DIMS(2, 6)), {0}};
    assert_ok(infer(inputs));
    assert_shape(&tensors[y->id], DIMS(2, 6));
    assert_ptr_equal(tensors[k->id].data, &one);
    inputs[0] = stp_tensor_make(STP_I64, DIMS(2, 6));
    assert_error(infer(inputs), STP_ERROR_INVALID_ARGUMENT, "input 'x' is int64; the model wants float32");
    inputs[0] = stp_tensor_make(STP_F32, DIMS(2, 5));
    assert_error(infer(inputs), STP_ERROR_INVALID_ARGUMENT, "input 'x' has the shape 2×5; the model wants ?×6");
    inputs[0] = stp_tensor_make(STP_F32, DIMS(6));
    assert_error(infer(inputs), STP_ERROR_INVALID_ARGUMENT, "input 'x' has the shape 6;");
    inputs[0] = stp_tensor_make(STP_F32, DIMS(INT64_MAX / 8, 6));
    assert_error(infer(inputs), STP_ERROR_INVALID_ARGUMENT, "input 'x'");
    inputs[0] = (stp_tensor){0};
    assert_error(infer(inputs), STP_ERROR_INVALID_ARGUMENT, "input 'x' is not set");
}

static void overflowing_sizes_name_the_node(void **state)
{
    (void)state;
    struct stp_value *a = input("a", STP_F32, DIMS(-1, -1)), *b = input("b", STP_F32, DIMS(-1, -1));
    add("Add", "sum", a, b, NULL);
    assert_ok(stp_graph_check(graph));
    const int64_t large = INT64_C(1) << 31;
    stp_tensor inputs[] = {stp_tensor_make(STP_F32, DIMS(large, 1)), stp_tensor_make(STP_F32, DIMS(1, large))};
    assert_error(infer(inputs), STP_ERROR_INVALID_MODEL,
                 "Add 'sum': the size of output 0 (2147483648×2147483648) overflows");
    // A size of 0 hides no overflow.
    inputs[0] = stp_tensor_make(STP_F32, DIMS(0, INT64_MAX));
    inputs[1] = stp_tensor_make(STP_F32, DIMS(1, 1));
    assert_error(infer(inputs), STP_ERROR_INVALID_ARGUMENT, "input 'a'");
}

// What is not shape arithmetic stays unknown: large values, and float results that might be products with a mask.
static void large_and_float_values_stay_unknown(void **state)
{
    (void)state;
    static const int64_t large[STP_HOST_ELEMENTS + 1];
    static const float bytes[3] = {0, 1, 2};
    const void *unaligned = memcpy(stp_arena_alloc(&graph->arena, 32) + 1, bytes, sizeof bytes);
    struct stp_value *big = constant("big", STP_I64, DIMS(STP_HOST_ELEMENTS + 1), large);
    struct stp_value *small = constant("small", STP_F32, DIMS(3), unaligned);
    struct stp_value *mask = constant("mask", STP_F32, DIMS(1, 1, 1, 3), unaligned);
    struct stp_value *sum = add("Add", "sum", big, big, NULL), *twice = add("Add", "twice", small, small, NULL);
    struct stp_value *product = add("Mul", "product", mask, small, NULL);
    struct stp_value *less = add("Less", "less", mask, small, NULL);
    assert_ok(stp_graph_check(graph));
    assert_ok(infer(NULL));
    assert_null(tensors[big->id].data);
    assert_null(tensors[sum->id].data);
    assert_null(tensors[product->id].data);
    assert_non_null(tensors[less->id].data);
    assert_int_equal((uintptr_t)tensors[small->id].data % sizeof(float), 0);
    assert_true(((const float *)tensors[twice->id].data)[2] == 4);
}

// Folding -------------------------------------------------------------------------------------------------------------

static void constants_fold(void **state)
{
    (void)state;
    static const float bytes[2] = {1, 2};
    static const int64_t wanted[] = {2, 1};
    const void *unaligned = memcpy(stp_arena_alloc(&graph->arena, 32) + 1, bytes, sizeof bytes);
    struct stp_value *a = constant("a", STP_F32, DIMS(2), unaligned), *x = input("x", STP_F32, DIMS(2, 2));
    struct stp_value *sum = add("Add", "sum", a, a, NULL);
    struct stp_value *shaped = add("Reshape", "shaped", sum, constant("s", STP_I64, DIMS(2), wanted), NULL);
    struct stp_value *y = add("Mul", "y", x, shaped, NULL), *same = add("Identity", "same", a, NULL, NULL);
    output(y);
    output(same);
    assert_ok(stp_graph_check(graph));
    assert_ok(stp_graph_fold(graph));
    assert_int_equal(graph->n_nodes, 1);
    assert_string_equal(graph->nodes[0]->name, "y");
    assert_true(stp_value_is_constant(shaped) && stp_value_is_constant(sum) && stp_value_is_constant(same));
    assert_null(shaped->producer);
    assert_int_equal(shaped->readers, 1);
    assert_int_equal(sum->readers, 0);
    assert_int_equal(shaped->rank, 2);
    assert_int_equal(shaped->dims[0], 2);
    assert_true(((const float *)shaped->data)[1] == 4);
    assert_ptr_equal(shaped->data, sum->data);
    assert_ptr_equal(same->data, unaligned);
}

// Inputs with a default, what is too large, and operators that are not for the host stay.
static void some_nodes_stay(void **state)
{
    (void)state;
    static const float row[5000];
    struct stp_value *x = input("x", STP_F32, DIMS(5000));
    x->data = row;
    struct stp_value *a = constant("a", STP_F32, DIMS(5000, 1), row), *b = constant("b", STP_F32, DIMS(5000), row);
    add("Relu", "of_default", x, NULL, NULL);
    add("Add", "large", a, b, NULL); // 100 MB
    add("Relu", "device", b, NULL, NULL);
    assert_ok(stp_graph_check(graph));
    struct stp_op elsewhere = stp_op_Relu;
    elsewhere.on_host = false;
    graph->nodes[2]->op = &elsewhere;
    assert_ok(stp_graph_fold(graph));
    assert_int_equal(graph->n_nodes, 3);
}

static void shapes_of_constants_must_fit(void **state)
{
    (void)state;
    static const float data[6];
    add("Add", "sum", constant("a", STP_F32, DIMS(2), data), constant("b", STP_F32, DIMS(3), data), NULL);
    assert_ok(stp_graph_check(graph));
    assert_error(stp_graph_fold(graph), STP_ERROR_INVALID_MODEL,
                 "Add 'sum': inputs 'a' (2) and 'b' (3) do not broadcast");
}

// A file of 1 KB with a chain of broadcasts must not fill the memory.
static void folding_is_bounded(void **state)
{
    (void)state;
    static const float row[3900];
    struct stp_value *a = constant("a", STP_F32, DIMS(3900, 1), row), *b = constant("b", STP_F32, DIMS(3900), row);
    static const char *const names[] = {"n0", "n1", "n2", "n3", "n4", "n5"};
    for (size_t i = 0; i < STP_LENGTH(names); i++)
        add("Add", names[i], a, b, NULL); // 61 MB each
    assert_ok(stp_graph_check(graph));
    assert_ok(stp_graph_fold(graph));
    assert_int_equal(graph->n_nodes, 2);
}

// Runner --------------------------------------------------------------------------------------------------------------

static void note(void *user, const struct stp_value *value, const stp_tensor *tensor)
{
    char *text = user;
    sprintf(text + strlen(text), "%s=%g ", value->name, (double)((const float *)tensor->data)[0]);
}

static void graph_runs_on_the_host(void **state)
{
    (void)state;
    static const float two = 2;
    const void *unaligned = memcpy(stp_arena_alloc(&graph->arena, 32) + 1, &two, sizeof two);
    struct stp_value *x = input("x", STP_F32, DIMS(-1)), *k = constant("k", STP_F32, SCALAR, unaligned);
    struct stp_value *sum = add("Add", "sum", x, k, NULL), *y = add("Mul", "y", sum, sum, NULL);
    add("Relu", "unread", y, NULL, NULL);
    output(y);
    output(y);
    output(x);
    output(k);
    assert_ok(stp_graph_check(graph));
    assert_ok(stp_graph_find_masks(graph));
    float data[2] = {1, 5};
    stp_tensor inputs[] = {stp_tensor_make(STP_F32, DIMS(2))}, outputs[4];
    char said[100] = "";
    assert_error(stp_ref_run(graph, inputs, outputs, note, said), STP_ERROR_INVALID_ARGUMENT, "input 'x' has no data");
    assert_null(outputs[0].data);
    inputs[0].data = data;
    assert_ok(stp_ref_run(graph, inputs, outputs, note, said));
    assert_string_equal(said, "sum=3 y=9 unread=9 ");
    static const float wanted[][2] = {{9, 49}, {9, 49}, {1, 5}, {2, 0}};
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(outputs[i].data, wanted[i], stp_tensor_bytes(&outputs[i]));
        free(outputs[i].data);
    }
    // Nothing at all is a shape, too.
    inputs[0] = stp_tensor_make(STP_F32, DIMS(0));
    said[0] = 0;
    assert_ok(stp_ref_run(graph, inputs, outputs, NULL, NULL));
    assert_shape(&outputs[0], DIMS(0));
    for (int i = 0; i < 4; i++)
        free(outputs[i].data);
}

// Mul by a mask is Where(mask, x, +0), whatever x holds.
static void mul_by_a_mask_selects(void **state)
{
    (void)state;
    static const float zero = 0;
    struct stp_value *x = input("x", STP_F32, DIMS(1, 1, 1, 4)), *m = input("m", STP_F32, DIMS(1, 1, 1, 4));
    struct stp_value *set = add("Greater", "set", m, constant("zero", STP_F32, SCALAR, &zero), NULL);
    struct stp_value *mask = add("Cast", "mask", set, NULL, NULL);
    set_int(mask, "to", 1);
    output(add("Mul", "left", x, mask, NULL));
    output(add("Mul", "right", mask, x, NULL));
    assert_ok(stp_graph_check(graph));
    assert_ok(stp_graph_find_masks(graph));
    float data[] = {NAN, INFINITY, -1, -3}, where[] = {0, -1, 0, 1};
    stp_tensor inputs[] = {stp_tensor_make(STP_F32, DIMS(1, 1, 1, 4)), stp_tensor_make(STP_F32, DIMS(1, 1, 1, 4))};
    stp_tensor outputs[2];
    inputs[0].data = data;
    inputs[1].data = where;
    assert_ok(stp_ref_run(graph, inputs, outputs, NULL, NULL));
    static const float wanted[] = {0, 0, 0, -3}; // all the zeros positive
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(outputs[i].data, wanted, sizeof wanted);
        free(outputs[i].data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_are_complete),
        cmocka_unit_test_setup_teardown(shape_arithmetic_is_done_on_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inputs_must_fit_their_declaration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overflowing_sizes_name_the_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_and_float_values_stay_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(constants_fold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(some_nodes_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shapes_of_constants_must_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folding_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(graph_runs_on_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mul_by_a_mask_selects, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
