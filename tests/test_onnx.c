// SPDX-License-Identifier: Apache-2.0
// The ONNX reader: what it makes of good files. Bad ones are in test_bad_onnx.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "graph/op.h"
#include "onnx/load.h"
#include "onnx/wire.h"
#include "onnx_writer.h"

#define DIMS(...) (sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

// Loads from memory that outlives the graph; the model is taken over.
static struct stp_message loaded;
static struct stp_graph *load(struct stp_message *model)
{
    struct stp_graph *graph;
    loaded = *model;
    if (stp_onnx_load_memory(&graph, context, model->bytes, model->size) != STP_OK)
        fail_msg("%s", stp_last_error(context));
    return graph;
}

static void check(struct stp_graph *graph)
{
    if (stp_graph_check(graph) != STP_OK)
        fail_msg("%s", stp_last_error(context));
}

static void drop(struct stp_graph *graph)
{
    stp_graph_destroy(graph);
    free(loaded.bytes);
}

static struct stp_value *find(const struct stp_graph *graph, const char *name)
{
    for (int v = 0; v < graph->n_values; v++)
        if (!strcmp(graph->values[v]->name, name))
            return graph->values[v];
    return NULL;
}

static void put_node(struct stp_message *graph, const char *type, const char *name, const char *inputs, const char *outputs)
{
    struct stp_message node = stp_node_message(type, "", name, inputs, outputs);
    stp_put_message(graph, 1, &node);
}

// Wire ---------------------------------------------------------------------------------------------------------------

static void test_wire_numbers(void **state)
{
    (void)state;
    struct stp_message m = {0};
    stp_put_int(&m, 1, -1);
    stp_put_int(&m, 1, INT64_MIN);
    stp_put_bytes(&m, 1, "\x05\xac\x02", 3);
    struct stp_wire wire = stp_wire_open(m.bytes, m.size);
    int64_t numbers[8], *end = numbers;
    size_t count = 0;
    for (struct stp_field field; stp_wire_next(&wire, &field);) {
        count += stp_wire_count_ints(&wire, &field);
        end = stp_wire_read_ints(&field, end);
    }
    assert_null(wire.error);
    assert_int_equal(count, 4);
    assert_int_equal(end - numbers, 4);
    assert_true(numbers[0] == -1 && numbers[1] == INT64_MIN && numbers[2] == 5 && numbers[3] == 300);
    free(m.bytes);
}

static void test_wire_errors(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x08", 1},                                             // no value
        {"\x08\x80", 2},                                         // number cut
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},    // 65 bits
        {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, // 11 bytes
        {"\x0a\x02\x00", 3},                                     // length beyond the end
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},    // the largest length
        {"\x0b\x0c", 2},                                         // a group
        {"\x0f", 1},                                             // wire type 7
        {"\x00\x01", 2},                                         // field 0
        {"\x0d\x00\x00\x00", 4},                                 // fixed32 cut
        {"\x09\x00\x00\x00\x00\x00\x00\x00", 8},                 // fixed64 cut
    };
    for (size_t i = 0; i < STP_LENGTH(bad); i++) {
        struct stp_wire wire = stp_wire_open(bad[i].bytes, bad[i].size);
        struct stp_field field;
        assert_false(stp_wire_next(&wire, &field));
        assert_non_null(wire.error);
        assert_false(stp_wire_next(&wire, &field));
    }
    // A packed field of floats must hold whole ones.
    struct stp_wire wire = stp_wire_open("\x0a\x03\x00\x00\x00", 5);
    struct stp_field field;
    assert_true(stp_wire_next(&wire, &field));
    assert_int_equal(stp_wire_count_floats(&wire, &field), 0);
    assert_non_null(wire.error);
}

static void test_wire_depth(void **state)
{
    (void)state;
    struct stp_message m = {0};
    for (int i = 0; i < 2 * STP_WIRE_MAX_DEPTH; i++) {
        struct stp_message outer = {0};
        stp_put_message(&outer, 1, &m);
        m = outer;
    }
    struct stp_wire wire = stp_wire_open(m.bytes, m.size);
    struct stp_field field;
    int depth = 0;
    while (stp_wire_next(&wire, &field) && !wire.error) {
        struct stp_wire inner = stp_wire_message(&wire, &field);
        if (wire.error)
            break;
        wire = inner;
        depth++;
    }
    assert_int_equal(depth, STP_WIRE_MAX_DEPTH);
    assert_string_equal(wire.error, "messages nest too deeply");
    free(m.bytes);
}

// Tensors ------------------------------------------------------------------------------------------------------------

static void expect_tensor(struct stp_message *m, stp_dtype dtype, const void *data, size_t size)
{
    stp_tensor tensor;
    if (stp_tensor_parse(&tensor, context, m->bytes, m->size) != STP_OK)
        fail_msg("%s", stp_last_error(context));
    assert_int_equal(tensor.dtype, dtype);
    assert_int_equal((size_t)stp_tensor_elements(&tensor) * stp_dtype_size(dtype), size);
    assert_memory_equal(tensor.data, data, size);
    free(tensor.data);
    free(m->bytes);
    *m = (struct stp_message){0};
}

static void test_tensor_forms(void **state)
{
    (void)state;
    const float floats[] = {1.5f, -2, 0};
    const int64_t longs[] = {INT64_MIN, -1, 7};
    const int32_t ints[] = {INT32_MIN, -1, 7};
    const uint8_t bytes[] = {0, 1, 1};
    struct stp_message m = raw_tensor("t", F32, DIMS(3, 1), floats, sizeof floats);
    expect_tensor(&m, STP_F32, floats, sizeof floats);
    m = raw_tensor("t", I64, DIMS(3), longs, sizeof longs);
    expect_tensor(&m, STP_I64, longs, sizeof longs);
    m = raw_tensor("t", BOOL, DIMS(3), bytes, sizeof bytes);
    expect_tensor(&m, STP_BOOL, bytes, sizeof bytes);
    m = stp_tensor_message("t", F32, DIMS(3)); // packed, then single
    stp_put_bytes(&m, 4, floats, 8);
    stp_put_float(&m, 4, floats[2]);
    expect_tensor(&m, STP_F32, floats, sizeof floats);
    m = stp_tensor_message("t", I64, DIMS(3));
    for (int i = 0; i < 3; i++)
        stp_put_int(&m, 7, longs[i]);
    expect_tensor(&m, STP_I64, longs, sizeof longs);
    m = stp_tensor_message("t", I32, DIMS(3));
    for (int i = 0; i < 3; i++)
        stp_put_int(&m, 5, ints[i]);
    expect_tensor(&m, STP_I32, ints, sizeof ints);
    m = stp_tensor_message("t", U8, DIMS(3));
    stp_put_bytes(&m, 5, "\x00\x01\x01", 3);
    expect_tensor(&m, STP_U8, bytes, sizeof bytes);
    m = raw_tensor("t", F32, 0, NULL, floats, 4); // scalar
    expect_tensor(&m, STP_F32, floats, 4);
    m = stp_tensor_message("t", F32, DIMS(3, 0)); // nothing
    expect_tensor(&m, STP_F32, "", 0);
}

// Plain graphs -------------------------------------------------------------------------------------------------------

static void test_plain_model(void **state)
{
    (void)state;
    const float weights[] = {1, 2, 3};
    struct stp_message graph = {0}, tensor = raw_tensor("w", F32, DIMS(3, 1, 1), weights, sizeof weights);
    put_node(&graph, "Add", "", "r w", "y"); // not in topological order
    put_node(&graph, "Relu", "first", "x", "r");
    stp_put_message(&graph, 5, &tensor);
    stp_put_port(&graph, 11, "x", F32, 4, (const int64_t[]){-1, 3, 4, 5});
    stp_put_port(&graph, 12, "y", F32, 4, (const int64_t[]){-1, 3, 4, 5});
    stp_put_port(&graph, 13, "r", F32, -1, NULL);
    struct stp_message model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 13);
    put_pair(&model, 14, "stipple.task", "classify");
    struct stp_graph *g = load(&model);
    check(g);
    assert_int_equal(g->opset, 13);
    assert_int_equal(g->n_nodes, 2);
    assert_string_equal(g->nodes[0]->name, "first");
    assert_string_equal(g->nodes[1]->name, "y"); // nameless: its first output
    assert_int_equal(g->nodes[1]->version, 13);
    assert_ptr_equal(g->nodes[1]->inputs[0]->producer, g->nodes[0]);
    assert_int_equal(g->n_inputs, 1);
    assert_string_equal(g->inputs[0]->dim_names[0], "N");
    assert_true(g->inputs[0]->dims[0] == -1 && g->inputs[0]->dims[3] == 5 && g->inputs[0]->rank == 4);
    assert_ptr_equal(g->outputs[0], find(g, "y"));
    struct stp_value *w = find(g, "w");
    assert_true(stp_value_is_constant(w) && w->readers == 1);
    assert_memory_equal(w->data, weights, sizeof weights);
    // Weights are not copied.
    assert_true((const unsigned char *)w->data > loaded.bytes && (const unsigned char *)w->data < loaded.bytes + loaded.size);
    assert_int_equal(g->n_metadata, 1);
    assert_string_equal(g->metadata[0].value, "classify");
    for (int v = 0; v < g->n_values; v++)
        assert_int_equal(g->values[v]->dtype, STP_F32);
    drop(g);
}

static void put_attr(struct stp_message *node, struct stp_message *attr)
{
    stp_put_message(node, 5, attr);
}

static void test_attributes(void **state)
{
    (void)state;
    const float floats[] = {0.5f, -1};
    struct stp_message graph = {0}, node = stp_node_message("Any", "x.y", "n", "x", "y");
    struct stp_message a = stp_attr_message("float", 1);
    stp_put_float(&a, 2, 0.25f);
    put_attr(&node, &a);
    a = stp_attr_message("int", 2);
    stp_put_int(&a, 3, -5);
    put_attr(&node, &a);
    a = stp_attr_message("zero", 2); // a writer may leave a zero out
    put_attr(&node, &a);
    a = stp_attr_message("string", 3);
    stp_put_string(&a, 4, "SAME_UPPER");
    put_attr(&node, &a);
    struct stp_message tensor = raw_tensor("", F32, DIMS(2), floats, sizeof floats);
    a = stp_attr_message("tensor", 4);
    stp_put_message(&a, 5, &tensor);
    put_attr(&node, &a);
    a = stp_attr_message("floats", 6);
    stp_put_float(&a, 7, floats[0]);
    stp_put_float(&a, 7, floats[1]);
    put_attr(&node, &a);
    a = stp_attr_message("ints", 7);
    stp_put_bytes(&a, 8, "\x01\x02", 2);
    stp_put_int(&a, 8, -3);
    put_attr(&node, &a);
    a = stp_attr_message("strings", 8);
    stp_put_string(&a, 9, "a");
    stp_put_string(&a, 9, "");
    put_attr(&node, &a);
    stp_put_string(&a, 1, "untyped"); // as the first files were
    stp_put_int(&a, 3, 9);
    put_attr(&node, &a);
    a = stp_attr_message("graph", 5);
    stp_put_bytes(&a, 6, "", 0);
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    stp_put_port(&graph, 11, "x", F32, 0, NULL);
    stp_put_port(&graph, 12, "y", F32, 0, NULL);
    struct stp_message model = stp_model_message(&graph, 8);
    struct stp_graph *g = load(&model);
    const struct stp_node *n = g->nodes[0];
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    size_t count;
    assert_int_equal(n->n_attrs, 10);
    assert_int_equal(stp_attr_float(context, n, "float", 0, &f), STP_OK);
    assert_true(f == 0.25f);
    assert_int_equal(stp_attr_int(context, n, "int", 0, &i), STP_OK);
    assert_int_equal(i, -5);
    assert_int_equal(stp_attr_int(context, n, "zero", 1, &i), STP_OK);
    assert_int_equal(i, 0);
    assert_int_equal(stp_attr_int(context, n, "untyped", 1, &i), STP_OK);
    assert_int_equal(i, 9);
    assert_int_equal(stp_attr_int(context, n, "missing", 77, &i), STP_OK);
    assert_int_equal(i, 77);
    assert_int_equal(stp_attr_string(context, n, "string", NULL, &s), STP_OK);
    assert_string_equal(s, "SAME_UPPER");
    assert_int_equal(stp_attr_ints(context, n, "ints", &ints, &count), STP_OK);
    assert_true(count == 3 && ints[0] == 1 && ints[1] == 2 && ints[2] == -3);
    assert_int_equal(stp_attr_ints(context, n, "missing", &ints, &count), STP_OK);
    assert_true(count == 0 && !ints);
    const struct stp_attr *attr = stp_attr_find(n, "floats");
    assert_true(attr->count == 2);
    assert_memory_equal(attr->floats, floats, sizeof floats);
    attr = stp_attr_find(n, "tensor");
    assert_true(attr->t.rank == 1 && attr->t.dims[0] == 2);
    assert_memory_equal(attr->t.data, floats, sizeof floats);
    attr = stp_attr_find(n, "strings");
    assert_true(attr->count == 2 && !strcmp(attr->strings[0], "a") && !attr->strings[1][0]);
    assert_int_equal(stp_attr_find(n, "graph")->type, STP_ATTR_UNSUPPORTED);
    assert_int_equal(stp_attr_int(context, n, "float", 0, &i), STP_ERROR_INVALID_MODEL);
    assert_string_equal(stp_last_error(context), "Any 'n': attribute 'float' is a float; it must be an integer");
    drop(g);
}

static void test_constants(void **state)
{
    (void)state;
    const int64_t longs[] = {4, 5};
    struct stp_message graph = {0}, node, a, tensor = raw_tensor("", I64, DIMS(2), longs, sizeof longs);
    node = stp_node_message("Constant", "", "", "", "tensor");
    a = stp_attr_message("value", 4);
    stp_put_message(&a, 5, &tensor);
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    node = stp_node_message("Constant", "", "", "", "float");
    a = stp_attr_message("value_float", 1);
    stp_put_float(&a, 2, 3);
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    node = stp_node_message("Constant", "", "", "", "int");
    a = stp_attr_message("value_int", 2);
    stp_put_int(&a, 3, 7);
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    node = stp_node_message("Constant", "", "", "", "floats");
    a = stp_attr_message("value_floats", 6);
    stp_put_float(&a, 7, 1);
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    node = stp_node_message("Constant", "", "", "", "ints");
    a = stp_attr_message("value_ints", 7);
    stp_put_int(&a, 8, 8);
    stp_put_int(&a, 8, 9);
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    node = stp_node_message("Constant", "", "", "", "unused"); // strings are not supported: ignored, nobody reads it
    a = stp_attr_message("value_string", 3);
    stp_put_string(&a, 4, "s");
    put_attr(&node, &a);
    stp_put_message(&graph, 1, &node);
    put_node(&graph, "Identity", "", "tensor", "y");
    stp_put_port(&graph, 12, "y", I64, 1, (const int64_t[]){2});
    struct stp_message model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "ai.onnx", 13);
    struct stp_graph *g = load(&model);
    check(g);
    assert_int_equal(g->n_nodes, 1);
    stp_tensor t = stp_value_tensor(find(g, "tensor"));
    assert_true(t.dtype == STP_I64 && t.rank == 1 && t.dims[0] == 2);
    assert_memory_equal(t.data, longs, sizeof longs);
    t = stp_value_tensor(find(g, "float"));
    assert_true(t.dtype == STP_F32 && t.rank == 0 && *(const float *)t.data == 3);
    t = stp_value_tensor(find(g, "int"));
    assert_true(t.dtype == STP_I64 && t.rank == 0 && *(const int64_t *)t.data == 7);
    t = stp_value_tensor(find(g, "floats"));
    assert_true(t.dtype == STP_F32 && t.rank == 1 && t.dims[0] == 1 && *(const float *)t.data == 1);
    t = stp_value_tensor(find(g, "ints"));
    assert_true(t.dtype == STP_I64 && t.dims[0] == 2 && ((const int64_t *)t.data)[1] == 9);
    assert_null(find(g, "unused"));
    drop(g);
}

// y = x + seed, and an unused initializer of a type that is not supported.
static struct stp_message model_with_default(int64_t ir_version)
{
    const int64_t seed = 3;
    struct stp_message graph = {0}, tensor = raw_tensor("seed", I64, DIMS(1), &seed, sizeof seed);
    put_node(&graph, "Add", "", "x seed", "y");
    stp_put_message(&graph, 5, &tensor);
    tensor = raw_tensor("halves", F16, DIMS(2), "abcd", 4);
    stp_put_message(&graph, 5, &tensor);
    stp_put_port(&graph, 11, "x", I64, 1, (const int64_t[]){4});
    stp_put_port(&graph, 11, "seed", I64, 1, (const int64_t[]){-1});
    stp_put_port(&graph, 12, "y", I64, -1, NULL);
    struct stp_message model = stp_model_message(&graph, ir_version);
    stp_put_import(&model, 8, "", 14);
    return model;
}

static void test_defaults(void **state)
{
    (void)state;
    struct stp_message model = model_with_default(8);
    struct stp_graph *g = load(&model);
    check(g);
    struct stp_value *seed = find(g, "seed");
    assert_int_equal(g->n_inputs, 2);
    assert_true(seed->is_input && !stp_value_is_constant(seed) && seed->dims[0] == -1);
    stp_tensor t = stp_value_tensor(seed);
    assert_true(t.dims[0] == 1 && t.dtype == STP_I64 && *(const int64_t *)t.data == 3);
    assert_null(find(g, "halves"));
    for (int v = 0; v < g->n_values; v++)
        assert_int_equal(g->values[v]->id, v);
    drop(g);
    // Before IR version 4 initializers had to be listed as inputs: they are constants.
    model = model_with_default(3);
    g = load(&model);
    check(g);
    seed = find(g, "seed");
    assert_int_equal(g->n_inputs, 1);
    assert_true(stp_value_is_constant(seed) && seed->dims[0] == 1);
    drop(g);
}

static void test_many_nodes(void **state)
{
    (void)state;
    // Backwards, so that sorting has to go as deep as there are nodes.
    enum { COUNT = 100000 };
    struct stp_message graph = {0};
    char in[16], out[16];
    for (int i = COUNT; i > 0; i--) {
        snprintf(in, sizeof in, "v%d", i - 1);
        snprintf(out, sizeof out, "v%d", i);
        put_node(&graph, "Relu", "", in, out);
    }
    stp_put_port(&graph, 11, "v0", F32, -1, NULL);
    stp_put_port(&graph, 12, out, F32, -1, NULL);
    struct stp_message model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 13);
    struct stp_graph *g = load(&model);
    check(g);
    assert_int_equal(g->n_nodes, COUNT);
    assert_string_equal(g->nodes[0]->name, "v1");
    assert_string_equal(g->nodes[COUNT - 1]->name, "v100000");
    drop(g);
}

static void test_unique_names(void **state)
{
    (void)state;
    struct stp_graph *g = stp_graph_create(context);
    for (int i = 0; i < 1000; i++)
        assert_non_null(stp_graph_add_value(g, stp_graph_unique_name(g, i % 2 ? "a" : "a_7")));
    for (int i = 0; i < g->n_values; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(g->values[i]->name, g->values[j]->name);
    stp_graph_destroy(g);
}

// Functions ----------------------------------------------------------------------------------------------------------

static void put_ref(struct stp_message *node, const char *name, int type, const char *ref)
{
    struct stp_message attr = stp_attr_message(name, type);
    stp_put_string(&attr, 21, ref);
    stp_put_message(node, 5, &attr);
}

// f(x, b) = Add(Cast(x, to = @to), b) with a default for `to`, and an inner constant; g(x) = f(f(x))
static struct stp_message model_with_functions(void)
{
    struct stp_message graph = {0}, f = {0}, g = {0};
    struct stp_message node = stp_node_message("Cast", "", "cast", "x", "inner");
    put_ref(&node, "to", 2, "to");
    stp_put_message(&f, 7, &node);
    node = stp_node_message("Constant", "", "", "", "one");
    struct stp_message attr = stp_attr_message("value_float", 1);
    stp_put_float(&attr, 2, 1);
    stp_put_message(&node, 5, &attr);
    stp_put_message(&f, 7, &node);
    node = stp_node_message("Max", "", "", "inner one b", "out");
    stp_put_message(&f, 7, &node);
    stp_put_string(&f, 1, "F");
    stp_put_words(&f, 4, "x b");
    stp_put_words(&f, 5, "out");
    attr = stp_attr_message("to", 2);
    stp_put_int(&attr, 3, 1);
    stp_put_message(&f, 11, &attr);
    stp_put_import(&f, 9, "", 13);
    stp_put_string(&f, 10, "local");

    node = stp_node_message("F", "local", "once", "x", "inner");
    stp_put_message(&g, 7, &node);
    node = stp_node_message("F", "local", "twice", "inner", "out");
    stp_put_message(&g, 7, &node);
    stp_put_string(&g, 1, "G");
    stp_put_words(&g, 4, "x");
    stp_put_words(&g, 5, "out");
    stp_put_import(&g, 9, "local", 1);
    stp_put_string(&g, 10, "local");

    node = stp_node_message("G", "local", "call", "x", "call/once/inner"); // a name that inlining would like to have
    stp_put_message(&graph, 1, &node);
    node = stp_node_message("F", "local", "", "call/once/inner z", "y");
    stp_put_message(&graph, 1, &node);
    stp_put_port(&graph, 11, "x", F32, -1, NULL);
    stp_put_port(&graph, 11, "z", F32, -1, NULL);
    stp_put_port(&graph, 12, "y", F32, -1, NULL);
    struct stp_message model = stp_model_message(&graph, 10);
    stp_put_import(&model, 8, "", 18);
    stp_put_import(&model, 8, "local", 1);
    stp_put_message(&model, 25, &f);
    stp_put_message(&model, 25, &g);
    return model;
}

static void test_functions(void **state)
{
    (void)state;
    struct stp_message model = model_with_functions();
    struct stp_graph *g = load(&model);
    static const char *const names[] = {"call/once/cast", "call/once/out", "call/twice/cast",
                                        "call/twice/out", "y/cast",        "y/out"};
    assert_int_equal(g->n_nodes, STP_LENGTH(names));
    for (size_t i = 0; i < STP_LENGTH(names); i++) {
        const struct stp_node *node = g->nodes[i];
        assert_string_equal(node->name, names[i]);
        assert_int_equal(node->version, 13); // the function's import, not the model's
        assert_int_equal(node->n_inputs, i % 2 == 0 ? 1 : i == 5 ? 3 : 2); // b left out by the caller, but in the last call
        if (i % 2 == 0) {
            assert_string_equal(node->type, "Cast");
            assert_string_equal(node->attrs[0].name, "to");
            assert_int_equal(node->attrs[0].i, 1);
        } else {
            assert_true(stp_value_is_constant(node->inputs[1]));
        }
    }
    assert_ptr_equal(g->nodes[2]->inputs[0], g->nodes[1]->outputs[0]);
    assert_ptr_equal(g->nodes[5]->outputs[0], g->outputs[0]);
    assert_ptr_equal(g->nodes[5]->inputs[2], find(g, "z"));
    for (int i = 0; i < g->n_values; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(g->values[i]->name, g->values[j]->name);
    drop(g);
}

static void test_our_functions_stay(void **state)
{
    (void)state;
    struct stp_message graph = {0}, f = {0}, node = stp_node_message("Sample", "stipple", "s", "x seed", "y");
    stp_put_message(&graph, 1, &node);
    stp_put_port(&graph, 11, "x", F32, -1, NULL);
    stp_put_port(&graph, 11, "seed", I64, -1, NULL);
    stp_put_port(&graph, 12, "y", F32, -1, NULL);
    node = stp_node_message("Whatever", "", "", "logits seed", "mask");
    stp_put_message(&f, 7, &node);
    stp_put_string(&f, 1, "Sample");
    stp_put_words(&f, 4, "logits seed");
    stp_put_words(&f, 5, "mask");
    stp_put_string(&f, 10, "stipple");
    struct stp_message model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 18);
    stp_put_import(&model, 8, "stipple", 1);
    stp_put_message(&model, 25, &f);
    struct stp_graph *g = load(&model);
    assert_int_equal(g->n_nodes, 1);
    assert_string_equal(g->nodes[0]->type, "Sample");
    assert_string_equal(g->nodes[0]->domain, "stipple");
    assert_int_equal(g->nodes[0]->version, 1);
    drop(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_numbers),
        cmocka_unit_test(test_wire_errors),
        cmocka_unit_test(test_wire_depth),
        cmocka_unit_test(test_tensor_forms),
        cmocka_unit_test(test_plain_model),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_many_nodes),
        cmocka_unit_test(test_unique_names),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_our_functions_stay),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
