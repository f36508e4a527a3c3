// SPDX-License-Identifier: Apache-2.0
// The ONNX reader: what it says of bad files, and that damaged ones neither crash nor hang it.
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph/op.h"
#include "onnx/load.h"
#include "onnx_writer.h"

#define DIMS(...) (sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

// Loads and checks a copy of just that size, so that reading beyond it shows.
static stp_status try_bytes(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size)
        memcpy(copy, bytes, size);
    struct stp_graph *graph;
    context->error[0] = 0;
    stp_status status = stp_onnx_load_memory(&graph, context, copy, size);
    if (status == STP_OK) {
        status = stp_graph_check(graph);
        stp_graph_destroy(graph);
    } else {
        assert_null(graph);
    }
    if (status != STP_OK)
        assert_true(context->error[0]);
    free(copy);
    return status;
}

// The model is taken over.
static void expect_error(struct stp_message *model, stp_status status, const char *sentence)
{
    stp_status got = try_bytes(model->bytes, model->size);
    if (got != status || !strstr(stp_last_error(context), sentence))
        fail_msg("wanted \"%s\" (%s), got \"%s\" (%s)", sentence, stp_status_name(status), stp_last_error(context),
                 stp_status_name(got));
    free(model->bytes);
    *model = (struct stp_message){0};
}

static void expect_ok(struct stp_message *model)
{
    if (try_bytes(model->bytes, model->size) != STP_OK)
        fail_msg("%s", stp_last_error(context));
    free(model->bytes);
    *model = (struct stp_message){0};
}

static void put_node(struct stp_message *graph, const char *type, const char *name, const char *inputs, const char *outputs)
{
    struct stp_message node = stp_node_message(type, "", name, inputs, outputs);
    stp_put_message(graph, 1, &node);
}

// A graph with input x and output y, float vectors.
static struct stp_message graph_of_x_y(void)
{
    struct stp_message graph = {0};
    stp_put_port(&graph, 11, "x", F32, 1, (const int64_t[]){-1});
    stp_put_port(&graph, 12, "y", F32, 1, (const int64_t[]){-1});
    return graph;
}

static struct stp_message finish(struct stp_message *graph)
{
    struct stp_message model = stp_model_message(graph, 8);
    stp_put_import(&model, 8, "", 13);
    return model;
}

// Whole files --------------------------------------------------------------------------------------------------------

static void test_not_a_model(void **state)
{
    (void)state;
    struct stp_message m = {0};
    expect_error(&m, STP_ERROR_INVALID_MODEL, "is empty");
    stp_put_raw(&m, "\x89PNG\r\n\x1a\n", 8);
    expect_error(&m, STP_ERROR_INVALID_MODEL, "not an ONNX model, or a damaged one: ");
    stp_put_raw(&m, "<!DOCTYPE html><html>", 21);
    expect_error(&m, STP_ERROR_INVALID_MODEL, "not an ONNX model");
    stp_put_int(&m, 1, 8);
    expect_error(&m, STP_ERROR_INVALID_MODEL, "it holds 0 graphs");
    stp_put_bytes(&m, 7, "", 0);
    expect_error(&m, STP_ERROR_INVALID_MODEL, "it has no IR version");
    stp_put_int(&m, 1, 99);
    stp_put_bytes(&m, 7, "", 0);
    expect_error(&m, STP_ERROR_UNSUPPORTED, "IR version 99 is newer than 14");
    stp_put_int(&m, 1, 8);
    stp_put_bytes(&m, 7, "", 0);
    expect_error(&m, STP_ERROR_INVALID_MODEL, "the graph has no outputs");
    stp_put_int(&m, 1, 8);
    stp_put_bytes(&m, 7, "\x0a\x7f", 2);
    expect_error(&m, STP_ERROR_INVALID_MODEL, "a length runs beyond the end");
}

static void test_opsets(void **state)
{
    (void)state;
    struct stp_message graph = graph_of_x_y();
    put_node(&graph, "Relu", "r", "x", "y");
    struct stp_message model = stp_model_message(&graph, 8);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "Relu 'r': the model imports no opset of domain ''");
    graph = graph_of_x_y();
    put_node(&graph, "Relu", "r", "x", "y");
    model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 5);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "opset 5 is older than 6");
    graph = graph_of_x_y();
    put_node(&graph, "Relu", "r", "x", "y");
    model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 99999);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "Relu version 99999 (6 to ");
    graph = graph_of_x_y();
    model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 13);
    stp_put_import(&model, 8, "ai.onnx", 14);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "is given twice");
    graph = graph_of_x_y();
    model = stp_model_message(&graph, 8);
    stp_put_import(&model, 8, "", 0);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "opset 0 of domain '' cannot be");
}

// Graphs -------------------------------------------------------------------------------------------------------------

static void test_graph_errors(void **state)
{
    (void)state;
    // Nodes as "Type name inputs → outputs", and the sentence.
    static const struct {
        struct {
            const char *type, *name, *inputs, *outputs;
        } nodes[3];
        stp_status status;
        const char *sentence;
    } cases[] = {
        {{{"Relu", "a", "x", "p"}, {"Add", "b", "p q", "q2"}, {"Relu", "c", "q2", "y"}},
         STP_ERROR_INVALID_MODEL, "Add 'b': reads 'q', which is no input, no initializer and no node's output"},
        {{{"Add", "a", "x q", "p"}, {"Relu", "b", "p", "q"}, {"Relu", "c", "q", "y"}},
         STP_ERROR_INVALID_MODEL, "the graph is cyclic"},
        {{{"Add", "a", "x y", "y"}}, STP_ERROR_INVALID_MODEL, "Add 'a': the graph is cyclic: 'y'"},
        {{{"Relu", "a", "x", "y"}, {"Relu", "b", "x", "y"}},
         STP_ERROR_INVALID_MODEL, "Relu 'b': makes 'y', which another node makes too"},
        {{{"Relu", "a", "x", "x"}, {"Relu", "b", "x", "y"}}, STP_ERROR_INVALID_MODEL, "Relu 'a': makes 'x'"},
        {{{"Split", "a", "x", "y y"}}, STP_ERROR_INVALID_MODEL, "Split 'a': makes 'y'"},
        {{{"Relu", "a", "x", "z"}}, STP_ERROR_INVALID_MODEL, "output 'y' is never made"},
        {{{"Relu", "", "x x", "y"}}, STP_ERROR_INVALID_MODEL, "Relu 'y': has 2 inputs, at most 1 are allowed"},
        {{{"Relu", "a", "", "y"}}, STP_ERROR_INVALID_MODEL, "Relu 'a': input 0 is missing"},
        {{{"Add", "a", "- x", "y"}}, STP_ERROR_INVALID_MODEL, "Add 'a': input 0 is missing"},
        {{{"Relu", "a", "x", "y z"}}, STP_ERROR_INVALID_MODEL, "Relu 'a': has 2 outputs"},
        {{{"Relu", "a", "x", "-"}, {"Relu", "b", "x", "y"}}, STP_ERROR_INVALID_MODEL, "Relu 'a': node 0 of the graph has no output"},
        {{{"", "a", "x", "y"}}, STP_ERROR_INVALID_MODEL, "node 0 of the graph ('a') names no operator"},
        {{{"Constant", "a", "", "y"}}, STP_ERROR_INVALID_MODEL, "Constant 'a': must have exactly one attribute"},
        {{{"Constant", "a", "x", "y"}}, STP_ERROR_INVALID_MODEL, "Constant 'a': must have no input and one output"},
        {{{"Relu", "bad\nname", "x", "y"}}, STP_ERROR_INVALID_MODEL, "node 0 of the graph: a name or text in it holds a control character"},
        {{{"Relu", "bad\xc0\x80name", "x", "y"}}, STP_ERROR_INVALID_MODEL, "is not valid UTF-8"},
        {{{"Relu", "bad\xed\xa0\x80", "x", "y"}}, STP_ERROR_INVALID_MODEL, "is not valid UTF-8"},
        {{{"Relu", "cut\xe2\x82", "x", "y"}}, STP_ERROR_INVALID_MODEL, "is not valid UTF-8"},
        {{{"Cast", "a", "x", "y"}}, STP_ERROR_INVALID_MODEL, "Cast 'a': "},
        {{{"Flup", "a", "x", "p"}, {"Glop", "b", "p", "q"}, {"Flup", "c", "q", "y"}},
         STP_ERROR_UNSUPPORTED, "operators that are not implemented: Flup ('a', 'c'), Glop ('b')"},
    };
    for (size_t i = 0; i < STP_LENGTH(cases); i++) {
        struct stp_message graph = graph_of_x_y();
        for (size_t n = 0; n < STP_LENGTH(cases[i].nodes) && cases[i].nodes[n].type; n++)
            put_node(&graph, cases[i].nodes[n].type, cases[i].nodes[n].name, cases[i].nodes[n].inputs,
                     cases[i].nodes[n].outputs);
        struct stp_message model = finish(&graph);
        expect_error(&model, cases[i].status, cases[i].sentence);
    }
}

static void test_many_unknown_operators(void **state)
{
    (void)state;
    struct stp_message graph = graph_of_x_y();
    char out[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(out, sizeof out, "value_with_a_long_name_%d", i);
        put_node(&graph, "Flup", "", "x", out);
    }
    put_node(&graph, "Glop", "last", "x", "y");
    struct stp_message model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "and 997 more), Glop ('last')");
    // More types than the sentence can hold.
    graph = graph_of_x_y();
    for (int i = 0; i < 1000; i++) {
        char type[64];
        snprintf(type, sizeof type, "Operator%d", i);
        snprintf(out, sizeof out, "v%d", i);
        put_node(&graph, type, "", "x", out);
    }
    put_node(&graph, "Relu", "", "x", "y");
    model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, " …");
}

static void test_inputs_and_outputs(void **state)
{
    (void)state;
    struct stp_message graph = graph_of_x_y();
    stp_put_port(&graph, 11, "x", F32, -1, NULL);
    struct stp_message model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "input 'x' is declared twice");
    graph = graph_of_x_y();
    stp_put_port(&graph, 12, "y", F32, -1, NULL);
    put_node(&graph, "Relu", "r", "x", "y");
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "output 'y' is listed twice");
    graph = graph_of_x_y();
    stp_put_port(&graph, 11, "d", F64, -1, NULL);
    model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "input 'd' is float64, which is not supported");
    graph = graph_of_x_y();
    stp_put_port(&graph, 11, "wide", F32, 9, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1});
    model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "input 'wide' has 9 dimensions, more than 8");
    graph = graph_of_x_y();
    stp_put_bytes(&graph, 11, "\x0a\x01z", 3);
    model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "input 'z' is not declared as a tensor");
    graph = graph_of_x_y();
    stp_put_port(&graph, 13, "y", I64, -1, NULL);
    put_node(&graph, "Relu", "r", "x", "y");
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "value 'y' is declared as int64, but is float32");
    graph = graph_of_x_y();
    stp_put_port(&graph, 13, "z", I64, -1, NULL);
    put_node(&graph, "Relu", "a", "x", "z");
    put_node(&graph, "Relu", "b", "z", "y");
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "Relu 'a': output 'z' is declared as int64, but is float32");
    // A shape with a dimension of −7.
    graph = graph_of_x_y();
    stp_put_bytes(&graph, 11, "\x0a\x01z\x12\x13\x0a\x11\x08\x01\x12\x0d\x0a\x0b\x08\xf9\xff\xff\xff\xff\xff\xff\xff\xff\x01", 24);
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "input 'z': dimension -7 cannot be");
}

// Tensors ------------------------------------------------------------------------------------------------------------

// y = Identity(w), where w is the initializer; taken over.
static struct stp_message model_of_tensor(struct stp_message *tensor)
{
    struct stp_message graph = {0};
    put_node(&graph, "Identity", "i", "w", "y");
    stp_put_port(&graph, 12, "y", F32, -1, NULL);
    stp_put_message(&graph, 5, tensor);
    return finish(&graph);
}

static void expect_tensor_error(struct stp_message *tensor, stp_status status, const char *sentence)
{
    struct stp_message model = model_of_tensor(tensor);
    expect_error(&model, status, sentence);
}

static void test_tensor_errors(void **state)
{
    (void)state;
    const float floats[] = {1, 2, 3};
    struct stp_message t = raw_tensor("w", F32, DIMS(2), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': 12 bytes of data do not make float32 of shape 2");
    t = raw_tensor("w", F32, DIMS(4), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': 12 bytes");
    t = stp_tensor_message("w", F32, DIMS(3));
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': 0 elements of data do not make float32 of shape 3");
    t = stp_tensor_message("w", F32, DIMS(3));
    stp_put_bytes(&t, 4, floats, 11);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': it ends in the middle of a number");
    t = raw_tensor("w", F32, DIMS(-3), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': dimension -3 cannot be");
    t = raw_tensor("w", F32, DIMS(INT64_MAX, INT64_MAX), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "cannot be");
    t = raw_tensor("w", F32, DIMS((int64_t)1 << 62), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': shape 4611686018427387904 cannot be");
    t = raw_tensor("w", BOOL, DIMS(2), "\x01\x02", 2);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': 2 is not a value of type bool");
    t = stp_tensor_message("w", U8, DIMS(1));
    stp_put_int(&t, 5, 256);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "256 is not a value of type uint8");
    t = raw_tensor("w", F32, DIMS(3), floats, 12);
    stp_put_float(&t, 4, 1);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': has data in two places");
    t = stp_tensor_message("w", F32, DIMS(3));
    stp_put_int(&t, 14, 7);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "data location 7 is unknown");
    t = raw_tensor("w", 0, DIMS(3), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': has no data type");
    t = raw_tensor("w", F16, DIMS(6), floats, 12);
    expect_tensor_error(&t, STP_ERROR_UNSUPPORTED, "Identity 'i': reads 'w', which is not supported: it is float16");
    t = raw_tensor("w", 1000, DIMS(6), floats, 12);
    expect_tensor_error(&t, STP_ERROR_UNSUPPORTED, "it is of an unknown data type");
    t = raw_tensor("w", F32, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 3), floats, 12);
    expect_tensor_error(&t, STP_ERROR_UNSUPPORTED, "it has 9 dimensions, more than 8");
    t = raw_tensor("", F32, DIMS(3), floats, 12);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "an initializer has no name");
    t = stp_tensor_message("w", F32, DIMS(3));
    stp_put_int(&t, 14, 1);
    put_pair(&t, 13, "location", "w.bin");
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "not a file with a folder");
    // A dimension that is written as text.
    t = raw_tensor("w", F32, DIMS(3), floats, 12);
    stp_put_float(&t, 2, 1);
    expect_tensor_error(&t, STP_ERROR_INVALID_MODEL, "initializer 'w': a field has the wrong wire type");
}

static void test_initializer_errors(void **state)
{
    (void)state;
    const float floats[] = {1, 2, 3};
    struct stp_message graph = graph_of_x_y(), t = raw_tensor("w", F32, DIMS(3), floats, 12);
    stp_put_message(&graph, 5, &t);
    t = raw_tensor("w", F32, DIMS(3), floats, 12);
    stp_put_message(&graph, 5, &t);
    struct stp_message model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "initializer 'w' is there twice");
    graph = graph_of_x_y();
    t = raw_tensor("x", F32, DIMS(3, 1), floats, 12);
    stp_put_message(&graph, 5, &t);
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "input 'x' is declared with another type or shape");
    graph = graph_of_x_y();
    t = raw_tensor("w", F32, DIMS(3), floats, 12);
    stp_put_message(&graph, 5, &t);
    put_node(&graph, "Relu", "r", "x", "w");
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "Relu 'r': makes 'w'");
    struct stp_message sparse = {0};
    graph = graph_of_x_y();
    t = raw_tensor("w", F32, DIMS(3), floats, 12);
    stp_put_message(&sparse, 1, &t);
    stp_put_message(&graph, 15, &sparse);
    put_node(&graph, "Add", "a", "x w", "y");
    model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "Add 'a': reads 'w', which is not supported: it is a sparse tensor");
}

// Attributes ---------------------------------------------------------------------------------------------------------

static void expect_attr_error(struct stp_message *a, struct stp_message *b, stp_status status, const char *sentence)
{
    struct stp_message graph = graph_of_x_y(), node = stp_node_message("Relu", "", "r", "x", "y");
    stp_put_message(&node, 5, a);
    if (b)
        stp_put_message(&node, 5, b);
    stp_put_message(&graph, 1, &node);
    struct stp_message model = finish(&graph);
    expect_error(&model, status, sentence);
}

static void test_attribute_errors(void **state)
{
    (void)state;
    struct stp_message a = stp_attr_message("a", 2), b = stp_attr_message("a", 2);
    expect_attr_error(&a, &b, STP_ERROR_INVALID_MODEL, "Relu 'r' has two attributes 'a'");
    a = stp_attr_message("a", 2);
    stp_put_float(&a, 2, 1);
    expect_attr_error(&a, NULL, STP_ERROR_INVALID_MODEL, "attribute 'a' of Relu 'r': ought to be an integer, but holds something else");
    a = stp_attr_message("", 2);
    expect_attr_error(&a, NULL, STP_ERROR_INVALID_MODEL, "Relu 'r' has an attribute without a name");
    a = stp_attr_message("a", 77);
    expect_attr_error(&a, NULL, STP_ERROR_INVALID_MODEL, "attribute 'a' of Relu 'r': type 77 is none");
    a = stp_attr_message("a", 4);
    expect_attr_error(&a, NULL, STP_ERROR_INVALID_MODEL, "attribute 'a' of Relu 'r': holds no tensor");
    a = stp_attr_message("then_branch", 5);
    stp_put_bytes(&a, 6, "", 0);
    expect_attr_error(&a, NULL, STP_ERROR_UNSUPPORTED, "Relu 'r': attribute 'then_branch' is a subgraph, which is not supported");
    a = stp_attr_message("a", 4);
    b = raw_tensor("t", F64, DIMS(1), "12345678", 8);
    stp_put_message(&a, 5, &b);
    expect_attr_error(&a, NULL, STP_ERROR_UNSUPPORTED, "attribute 'a' is a tensor that is float64, which is not supported");
    a = stp_attr_message("a", 2);
    stp_put_string(&a, 21, "b");
    expect_attr_error(&a, NULL, STP_ERROR_INVALID_MODEL, "Relu 'r': attribute 'a' refers to a function's attribute");
    a = stp_attr_message("a", 3);
    stp_put_bytes(&a, 4, "SAME\0UPPER", 10);
    expect_attr_error(&a, NULL, STP_ERROR_INVALID_MODEL, "attribute 'a' of Relu 'r': a name or text in it holds a NUL byte");
    struct stp_message graph = graph_of_x_y(), node = stp_node_message("Relu", "", "r", "x", "y");
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        a = stp_attr_message(name, 2);
        stp_put_message(&node, 5, &a);
    }
    stp_put_message(&graph, 1, &node);
    struct stp_message model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "Relu 'r' has 300 attributes");
}

// Messages nested 100,000 deep, each as field `number` of the one around it.
static struct stp_message nest(uint32_t number)
{
    enum { DEEP = 100000 };
    struct stp_message backwards = {0}, out = {0};
    // From the inside out, written backwards.
    for (int i = 0; i < DEEP; i++) {
        struct stp_message head = {0};
        stp_put_varint(&head, (uint64_t)number << 3 | 2);
        stp_put_varint(&head, backwards.size);
        for (size_t j = head.size; j-- > 0;)
            stp_put_raw(&backwards, &head.bytes[j], 1);
        free(head.bytes);
    }
    for (size_t j = backwards.size; j-- > 0;)
        stp_put_raw(&out, &backwards.bytes[j], 1);
    free(backwards.bytes);
    return out;
}

static void test_deep_messages(void **state)
{
    (void)state;
    struct stp_message a = stp_attr_message("body", 5), deep = nest(1);
    stp_put_message(&a, 6, &deep);
    expect_attr_error(&a, NULL, STP_ERROR_UNSUPPORTED, "attribute 'body' is a subgraph");
    // A sequence of sequences of … as an input's type.
    struct stp_message graph = graph_of_x_y(), info = {0};
    deep = nest(4);
    stp_put_string(&info, 1, "z");
    stp_put_message(&info, 2, &deep);
    stp_put_message(&graph, 11, &info);
    struct stp_message model = finish(&graph);
    expect_error(&model, STP_ERROR_UNSUPPORTED, "input 'z' is not declared as a tensor");
    graph = graph_of_x_y();
    put_node(&graph, "Relu", "r", "x", "y");
    deep = nest(1);
    stp_put_message(&graph, 1, &deep);
    model = finish(&graph);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "node 1 of the graph");
}

// Functions ----------------------------------------------------------------------------------------------------------

struct body_node {
    const char *type, *domain, *inputs, *outputs;
};

// A function of domain "local"; `nodes` ends with a NULL type.
static void put_function(struct stp_message *model, const char *name, const char *inputs, const char *outputs,
                         const struct body_node *nodes)
{
    struct stp_message f = {0};
    stp_put_string(&f, 1, name);
    stp_put_words(&f, 4, inputs);
    stp_put_words(&f, 5, outputs);
    for (; nodes->type; nodes++) {
        struct stp_message node = stp_node_message(nodes->type, nodes->domain, "", nodes->inputs, nodes->outputs);
        stp_put_message(&f, 7, &node);
    }
    stp_put_import(&f, 9, "", 13);
    stp_put_import(&f, 9, "local", 1);
    stp_put_string(&f, 10, "local");
    stp_put_message(model, 25, &f);
}

// y = F(x)
static struct stp_message model_that_calls(const char *inputs, const char *outputs)
{
    struct stp_message graph = graph_of_x_y(), node = stp_node_message("F", "local", "call", inputs, outputs);
    stp_put_message(&graph, 1, &node);
    struct stp_message model = finish(&graph);
    stp_put_import(&model, 8, "local", 1);
    return model;
}

static void test_function_errors(void **state)
{
    (void)state;
    const struct body_node relu[] = {{"Relu", "", "a", "b"}, {0}};
    struct stp_message model = model_that_calls("x", "y");
    expect_error(&model, STP_ERROR_UNSUPPORTED, "F of domain local ('call')");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "b", relu);
    expect_ok(&model);
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "b", relu);
    put_function(&model, "F", "a", "b", relu);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "function 'F' of domain 'local' is defined twice");
    model = model_that_calls("x x", "y");
    put_function(&model, "F", "a", "b", relu);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "F 'call': has 2 inputs and 1 outputs where function 'F' has 1 and 1");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "c", relu);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "F 'call': function 'F' does not make its output 'c'");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "a", relu);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "function 'F': 'a' cannot be the name of an input or output, it is one already");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "c", "b", relu);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "Relu 'call/b': reads 'a', which is no input");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "b", (const struct body_node[]){{"F", "local", "a", "b"}, {0}});
    expect_error(&model, STP_ERROR_INVALID_MODEL, "function 'F' calls itself");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "b", (const struct body_node[]){{"G", "local", "a", "b"}, {0}});
    put_function(&model, "G", "a", "b", (const struct body_node[]){{"F", "local", "a", "b"}, {0}});
    expect_error(&model, STP_ERROR_INVALID_MODEL, "calls itself");
    model = model_that_calls("x", "y");
    put_function(&model, "F", "a", "b", (const struct body_node[]){{"Relu", "", "a", "b"}, {"Relu", "", "a", "b"}, {0}});
    expect_error(&model, STP_ERROR_INVALID_MODEL, "makes 'b', which another node makes too");
    model = model_that_calls("x", "y");
    struct stp_message f = {0}, node = stp_node_message("Relu", "", "", "a", "b");
    stp_put_string(&f, 1, "F");
    stp_put_words(&f, 4, "a");
    stp_put_words(&f, 5, "b");
    stp_put_message(&f, 7, &node);
    stp_put_string(&f, 10, "local");
    stp_put_message(&model, 25, &f);
    expect_error(&model, STP_ERROR_INVALID_MODEL, "Relu 'call/b': its function imports no opset of domain ''");
}

// F0 calls F1 twice, F1 calls F2 twice …: 2^40 nodes, or calls of an empty function.
static void test_functions_that_explode(void **state)
{
    (void)state;
    for (int empty = 0; empty < 2; empty++) {
        struct stp_message model = model_that_calls(empty ? "" : "x", "y");
        for (int i = 0; i < 40; i++) {
            char name[16] = "F", next[16];
            if (i)
                snprintf(name, sizeof name, "F%d", i);
            snprintf(next, sizeof next, "F%d", i + 1);
            if (empty)
                put_function(&model, name, "", "", (const struct body_node[]){{next, "local", "", "p"}, {next, "local", "", "q"}, {0}});
            else
                put_function(&model, name, "a", "b", (const struct body_node[]){{next, "local", "a", "p"}, {next, "local", "p", "b"}, {0}});
        }
        put_function(&model, "F40", "a", "b", (const struct body_node[]){{"Relu", "", "a", "b"}, {0}});
        if (empty)
            expect_error(&model, STP_ERROR_INVALID_MODEL, "has 0 inputs and 1 outputs where");
        else
            expect_error(&model, STP_ERROR_UNSUPPORTED, "inlining makes more than");
    }
    // A chain of calls, one deeper than is allowed.
    struct stp_message model = model_that_calls("x", "y");
    for (int i = 0; i < 100; i++) {
        char name[16] = "F", next[16];
        if (i)
            snprintf(name, sizeof name, "F%d", i);
        snprintf(next, sizeof next, "F%d", i + 1);
        put_function(&model, name, "a", "b", (const struct body_node[]){{next, "local", "a", "b"}, {0}});
    }
    put_function(&model, "F100", "a", "b", (const struct body_node[]){{"Relu", "", "a", "b"}, {0}});
    expect_error(&model, STP_ERROR_UNSUPPORTED, "functions call each other more than 64 deep");
}

// External data ------------------------------------------------------------------------------------------------------

static char folder[] = "/tmp/stipple_onnx_XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

// w: three floats at `offset` of `location`.
static stp_status load_external(const char *location, const char *offset, const char *length, float *first)
{
    struct stp_message t = stp_tensor_message("w", F32, DIMS(3));
    stp_put_int(&t, 14, 1);
    if (location)
        put_pair(&t, 13, "location", location);
    if (offset)
        put_pair(&t, 13, "offset", offset);
    if (length)
        put_pair(&t, 13, "length", length);
    struct stp_message model = model_of_tensor(&t);
    write_file("inner/model.onnx", model.bytes, model.size);
    free(model.bytes);
    struct stp_graph *graph;
    stp_status status = stp_onnx_load(&graph, context, path_of("inner/model.onnx"));
    if (status == STP_OK)
        memcpy(first, graph->values[0]->data, sizeof *first);
    stp_graph_destroy(graph);
    return status;
}

static void test_external_data(void **state)
{
    (void)state;
    const float floats[] = {0, 1, 2, 3};
    float first = -1;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(path_of("inner"), 0700), 0);
    assert_int_equal(mkdir(path_of("inner/sub"), 0700), 0);
    write_file("secret", floats, sizeof floats);
    write_file("inner/sub/w.bin", floats, sizeof floats);
    assert_int_equal(symlink("../secret", path_of("inner/escape")), 0);
    assert_int_equal(symlink("sub/w.bin", path_of("inner/link")), 0);
    assert_int_equal(symlink("..", path_of("inner/up")), 0);

    assert_int_equal(load_external("sub/w.bin", NULL, NULL, &first), STP_OK);
    assert_true(first == 0);
    assert_int_equal(load_external("./sub/w.bin", "4", "12", &first), STP_OK);
    assert_true(first == 1);
    assert_int_equal(load_external("link", "4", NULL, &first), STP_OK);

    static const struct {
        const char *location, *offset, *length;
        stp_status status;
        const char *sentence;
    } bad[] = {
        {"sub/w.bin", "5", NULL, STP_ERROR_INVALID_MODEL, "initializer 'w': external data 'sub/w.bin' holds 16 bytes, 12 are wanted from byte 5"},
        {"sub/w.bin", "18446744073709551615", NULL, STP_ERROR_INVALID_MODEL, "holds 16 bytes"},
        {"sub/w.bin", "18446744073709551616", NULL, STP_ERROR_INVALID_MODEL, "external data has offset"},
        {"sub/w.bin", "-1", NULL, STP_ERROR_INVALID_MODEL, "external data has offset '-1'"},
        {"sub/w.bin", NULL, "16", STP_ERROR_INVALID_MODEL, "external data has 16 bytes where the tensor's shape wants 12"},
        {NULL, NULL, NULL, STP_ERROR_INVALID_MODEL, "external data names no file"},
        {"", NULL, NULL, STP_ERROR_INVALID_MODEL, "is outside the model's folder"},
        {"/etc/passwd", NULL, NULL, STP_ERROR_INVALID_MODEL, "is outside the model's folder"},
        {"../secret", NULL, NULL, STP_ERROR_INVALID_MODEL, "is outside the model's folder"},
        {"sub/../../secret", NULL, NULL, STP_ERROR_INVALID_MODEL, "is outside the model's folder"},
        {"sub/..", NULL, NULL, STP_ERROR_INVALID_MODEL, "is outside the model's folder"},
        {"escape", NULL, NULL, STP_ERROR_INVALID_MODEL, "is a link out of the model's folder"},
        {"up/secret", NULL, NULL, STP_ERROR_INVALID_MODEL, "is a link out of the model's folder"},
        {"absent", NULL, NULL, STP_ERROR_IO, "initializer 'w': cannot open external data"},
        {"sub", NULL, NULL, STP_ERROR_IO, "not a regular file"},
    };
    for (size_t i = 0; i < STP_LENGTH(bad); i++) {
        assert_int_equal(load_external(bad[i].location, bad[i].offset, bad[i].length, &first), bad[i].status);
        if (!strstr(stp_last_error(context), bad[i].sentence))
            fail_msg("wanted \"%s\", got \"%s\"", bad[i].sentence, stp_last_error(context));
    }
    struct stp_graph *graph;
    assert_int_equal(stp_onnx_load(&graph, context, path_of("absent.onnx")), STP_ERROR_IO);
    assert_null(graph);

    static const char *const files[] = {"inner/sub/w.bin", "inner/escape", "inner/link", "inner/up", "inner/model.onnx",
                                        "secret"};
    for (size_t i = 0; i < STP_LENGTH(files); i++)
        assert_int_equal(unlink(path_of(files[i])), 0);
    assert_int_equal(rmdir(path_of("inner/sub")) | rmdir(path_of("inner")) | rmdir(folder), 0);
}

// Damage -------------------------------------------------------------------------------------------------------------

// A bit of everything.
static struct stp_message rich_model(void)
{
    const float floats[] = {1, 2, 3};
    const int64_t longs[] = {3, 1};
    struct stp_message graph = {0}, node, a, t;
    node = stp_node_message("Constant", "", "", "", "shape");
    a = stp_attr_message("value_ints", 7);
    stp_put_int(&a, 8, 3);
    stp_put_int(&a, 8, 1);
    stp_put_message(&node, 5, &a);
    stp_put_message(&graph, 1, &node);
    put_node(&graph, "Reshape", "reshape", "x shape", "flat");
    node = stp_node_message("F", "local", "call", "flat", "z");
    a = stp_attr_message("to", 2);
    stp_put_int(&a, 3, 1);
    stp_put_message(&node, 5, &a);
    stp_put_message(&graph, 1, &node);
    put_node(&graph, "Add", "add", "z w", "sum");
    node = stp_node_message("Concat", "", "", "sum bias", "y");
    a = stp_attr_message("axis", 2);
    stp_put_int(&a, 3, 1);
    stp_put_message(&node, 5, &a);
    stp_put_message(&graph, 1, &node);
    t = raw_tensor("w", F32, DIMS(3, 1), floats, sizeof floats);
    stp_put_message(&graph, 5, &t);
    t = stp_tensor_message("bias", F32, DIMS(3, 1));
    stp_put_bytes(&t, 4, floats, sizeof floats);
    stp_put_message(&graph, 5, &t);
    t = raw_tensor("unused", I64, DIMS(2), longs, sizeof longs);
    stp_put_message(&graph, 5, &t);
    stp_put_port(&graph, 11, "x", F32, 2, (const int64_t[]){-1, 3});
    stp_put_port(&graph, 12, "y", F32, 2, (const int64_t[]){3, 2});
    stp_put_port(&graph, 13, "sum", F32, 2, (const int64_t[]){3, 1});
    struct stp_message model = finish(&graph), f = {0};
    stp_put_import(&model, 8, "local", 1);
    put_pair(&model, 14, "stipple.labels", "[\"a\"]");
    node = stp_node_message("Cast", "", "", "a", "b");
    a = stp_attr_message("to", 2);
    stp_put_string(&a, 21, "to");
    stp_put_message(&node, 5, &a);
    stp_put_message(&f, 7, &node);
    stp_put_string(&f, 1, "F");
    stp_put_words(&f, 4, "a");
    stp_put_words(&f, 5, "b");
    stp_put_string(&f, 6, "to");
    stp_put_import(&f, 9, "", 13);
    stp_put_string(&f, 10, "local");
    stp_put_message(&model, 25, &f);
    return model;
}

static void test_truncated(void **state)
{
    (void)state;
    struct stp_message model = rich_model();
    assert_int_equal(try_bytes(model.bytes, model.size), STP_OK);
    for (size_t size = 0; size < model.size; size++)
        try_bytes(model.bytes, size);
    free(model.bytes);
}

static void test_every_bit(void **state)
{
    (void)state;
    struct stp_message model = rich_model();
    int good = 0;
    for (size_t bit = 0; bit < 8 * model.size; bit++) {
        model.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        good += try_bytes(model.bytes, model.size) == STP_OK;
        model.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_int_equal(try_bytes(model.bytes, model.size), STP_OK);
    assert_in_range(good, 1, 8 * model.size - 1);
    free(model.bytes);
}

static void test_random_damage(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        struct stp_message model = rich_model();
        for (int i = 0; i < 1 + round % 4; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t from = (size_t)(random >> 33) % model.size, to = (size_t)(random >> 13) % model.size;
            size_t length = 1 + (size_t)(random >> 5) % 8;
            if (round % 2)
                model.bytes[from] = (unsigned char)(random >> 56); // a byte
            else if (from + length < model.size && to + length < model.size)
                memmove(model.bytes + to, model.bytes + from, length); // a piece from elsewhere
        }
        try_bytes(model.bytes, model.size);
        stp_tensor tensor;
        if (stp_tensor_parse(&tensor, context, model.bytes + model.size / 2, model.size / 2) == STP_OK)
            free(tensor.data);
        free(model.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_a_model),
        cmocka_unit_test(test_opsets),
        cmocka_unit_test(test_graph_errors),
        cmocka_unit_test(test_many_unknown_operators),
        cmocka_unit_test(test_inputs_and_outputs),
        cmocka_unit_test(test_tensor_errors),
        cmocka_unit_test(test_initializer_errors),
        cmocka_unit_test(test_attribute_errors),
        cmocka_unit_test(test_deep_messages),
        cmocka_unit_test(test_function_errors),
        cmocka_unit_test(test_functions_that_explode),
        cmocka_unit_test(test_external_data),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_random_damage),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
