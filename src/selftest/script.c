// SPDX-License-Identifier: Apache-2.0
#include "selftest/script.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx/write.h"

enum { MOST_WORDS = 24, MOST_VALUES = 64, WORD = 48, INT64 = 7 };

struct statement {
    char words[MOST_WORDS][WORD];
    int count;
};

struct reader {
    struct stp_script *script;
    struct stp_message graph;
    char made[MOST_VALUES][WORD]; // by nodes
    bool is_read[MOST_VALUES];
    int n_made;
    uint32_t seed;
};

// The statement at `text`; returns where the next one starts.
static const char *read_statement(struct statement *out, const char *text)
{
    out->count = 0;
    while (*text && *text != ';') {
        text += strspn(text, " ");
        const size_t length = strcspn(text, " ;");
        if (!length)
            continue;
        assert(out->count < MOST_WORDS && length < WORD);
        snprintf(out->words[out->count++], WORD, "%.*s", (int)length, text);
        text += length;
    }
    return *text ? text + 1 : text;
}

static size_t read_dims(int64_t *dims, const struct statement *s)
{
    for (int i = 2; i < s->count; i++)
        dims[i - 2] = strtoll(s->words[i], NULL, 10);
    return (size_t)(s->count - 2);
}

static void put_input(struct reader *reader, const struct statement *s)
{
    assert(reader->script->n_inputs < STP_SCRIPT_INPUTS);
    int64_t dims[MOST_WORDS];
    const int rank = (int)read_dims(dims, s);
    struct stp_script_input *input = &reader->script->inputs[reader->script->n_inputs++];
    snprintf(input->name, sizeof input->name, "%.15s", s->words[1]);
    input->tensor = stp_tensor_make(STP_F32, rank, dims);
    stp_put_port(&reader->graph, STP_GRAPH_INPUT, s->words[1], STP_ONNX_FLOAT, rank, dims);
}

static void put_ones(struct reader *reader, const struct statement *s)
{
    const float one = 1;
    int64_t dims[MOST_WORDS], count = 1;
    const size_t rank = read_dims(dims, s);
    struct stp_message tensor = stp_tensor_message(s->words[1], STP_ONNX_FLOAT, rank, dims), raw = {0};
    for (size_t i = 0; i < rank; i++)
        count *= dims[i];
    for (int64_t i = 0; i < count; i++)
        stp_put_raw(&raw, &one, sizeof one);
    stp_put_message(&tensor, STP_TENSOR_RAW, &raw);
    stp_put_message(&reader->graph, STP_GRAPH_CONSTANT, &tensor);
}

static void put_ints(struct reader *reader, const struct statement *s)
{
    int64_t values[MOST_WORDS];
    const int64_t count = (int64_t)read_dims(values, s);
    struct stp_message tensor = stp_tensor_message(s->words[1], INT64, 1, &count);
    stp_put_bytes(&tensor, STP_TENSOR_RAW, values, (size_t)count * sizeof *values);
    stp_put_message(&reader->graph, STP_GRAPH_CONSTANT, &tensor);
}

// "pads=1,1,1,1"
static void put_attribute(struct stp_message *node, const char *word)
{
    enum { ATTRIBUTE_FLOAT = 2, TYPE_FLOAT = 1 };
    const char *value = strchr(word, '=') + 1;
    const bool is_float = value[strlen(value) - 1] == 'f', is_list = strchr(value, ',');
    char name[WORD];
    snprintf(name, sizeof name, "%.*s", (int)(value - 1 - word), word);
    struct stp_message attribute = stp_attr_message(name, is_float ? TYPE_FLOAT : is_list ? STP_ONNX_INTS : STP_ONNX_INT);
    if (is_float)
        stp_put_float(&attribute, ATTRIBUTE_FLOAT, strtof(value, NULL));
    for (const char *at = value; !is_float && at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        stp_put_int(&attribute, is_list ? STP_ATTRIBUTE_INTS : STP_ATTRIBUTE_INT, strtoll(at, NULL, 10));
    stp_put_message(node, STP_NODE_ATTRIBUTE, &attribute);
}

static void note_read(struct reader *reader, const char *name)
{
    for (int i = 0; i < reader->n_made; i++)
        if (!strcmp(reader->made[i], name))
            reader->is_read[i] = true;
}

static void append(char *words, size_t size, const char *word)
{
    const size_t used = strlen(words);
    snprintf(words + used, size - used, "%s%s", used ? " " : "", word);
}

static void put_node(struct reader *reader, const struct statement *s)
{
    char inputs[MOST_WORDS * WORD] = "", outputs[MOST_WORDS * WORD] = "";
    int i = 1;
    for (; strcmp(s->words[i], "->") != 0; i++) {
        note_read(reader, s->words[i]);
        append(inputs, sizeof inputs, s->words[i]);
    }
    const char *name = s->words[++i];
    for (; i < s->count && !strchr(s->words[i], '='); i++) {
        assert(reader->n_made < MOST_VALUES);
        snprintf(reader->made[reader->n_made++], WORD, "%s", s->words[i]);
        append(outputs, sizeof outputs, s->words[i]);
    }
    const bool ours = !strcmp(s->words[0], "Sample") || !strcmp(s->words[0], "Interpolate");
    struct stp_message node = stp_node_message(s->words[0], ours ? "stipple" : "", name, inputs, outputs);
    for (; i < s->count; i++)
        put_attribute(&node, s->words[i]);
    stp_put_message(&reader->graph, STP_GRAPH_NODE, &node);
}

static void put_statement(struct reader *reader, const struct statement *s)
{
    int64_t dims[MOST_WORDS];
    if (!strcmp(s->words[0], "in"))
        put_input(reader, s);
    else if (!strcmp(s->words[0], "const"))
        stp_put_noise(&reader->graph, s->words[1], read_dims(dims, s), dims, 0.5f, ++reader->seed);
    else if (!strcmp(s->words[0], "ones"))
        put_ones(reader, s);
    else if (!strcmp(s->words[0], "ints"))
        put_ints(reader, s);
    else
        put_node(reader, s);
}

stp_status stp_script_read(struct stp_script *out, stp_context *context, const char *text)
{
    struct reader reader = {.script = out};
    struct statement statement;
    *out = (struct stp_script){0};
    while (*text) {
        text = read_statement(&statement, text);
        if (statement.count)
            put_statement(&reader, &statement);
    }
    for (int i = 0; i < reader.n_made; i++)
        if (!reader.is_read[i])
            stp_put_port(&reader.graph, STP_GRAPH_OUTPUT, reader.made[i], STP_ONNX_FLOAT, -1, NULL);
    struct stp_message model = stp_finish_model(&reader.graph, "selftest");
    if (model.failed) {
        free(model.bytes);
        return stp_fail_memory(context, model.size, "a model of the selftest");
    }
    out->bytes = model.bytes;
    out->size = model.size;
    return STP_OK;
}
