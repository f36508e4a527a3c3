// SPDX-License-Identifier: Apache-2.0
#include "onnx/write.h"

#include <stdlib.h>
#include <string.h>

void stp_put_raw(struct stp_message *m, const void *bytes, size_t size)
{
    if (size > m->capacity - m->size && !m->failed) {
        const size_t capacity = (m->size + size) * 2;
        unsigned char *grown = realloc(m->bytes, capacity);
        m->failed = !grown;
        if (grown) {
            m->bytes = grown;
            m->capacity = capacity;
        }
    }
    if (m->failed || !size)
        return;
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

void stp_put_varint(struct stp_message *m, uint64_t value)
{
    do {
        const unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        stp_put_raw(m, &byte, 1);
        value >>= 7;
    } while (value);
}

void stp_put_int(struct stp_message *m, uint32_t field, int64_t value)
{
    stp_put_varint(m, (uint64_t)field << 3);
    stp_put_varint(m, (uint64_t)value);
}

void stp_put_float(struct stp_message *m, uint32_t field, float value)
{
    stp_put_varint(m, (uint64_t)field << 3 | 5);
    stp_put_raw(m, &value, sizeof value);
}

void stp_put_bytes(struct stp_message *m, uint32_t field, const void *bytes, size_t size)
{
    stp_put_varint(m, (uint64_t)field << 3 | 2);
    stp_put_varint(m, size);
    stp_put_raw(m, bytes, size);
}

void stp_put_string(struct stp_message *m, uint32_t field, const char *text)
{
    stp_put_bytes(m, field, text, strlen(text));
}

void stp_put_message(struct stp_message *m, uint32_t field, struct stp_message *inner)
{
    m->failed |= inner->failed;
    stp_put_bytes(m, field, inner->bytes, inner->size);
    free(inner->bytes);
    *inner = (struct stp_message){0};
}

void stp_put_words(struct stp_message *m, uint32_t field, const char *words)
{
    while (*words) {
        const size_t size = strcspn(words, " ");
        stp_put_bytes(m, field, words, size == 1 && *words == '-' ? 0 : size);
        words += size + (words[size] == ' ');
    }
}

struct stp_message stp_tensor_message(const char *name, int data_type, size_t rank, const int64_t *dims)
{
    struct stp_message m = {0};
    for (size_t i = 0; i < rank; i++)
        stp_put_int(&m, 1, dims[i]);
    stp_put_int(&m, 2, data_type);
    if (name)
        stp_put_string(&m, 8, name);
    return m;
}

struct stp_message stp_node_message(const char *type, const char *domain, const char *name, const char *inputs, const char *outputs)
{
    struct stp_message m = {0};
    stp_put_words(&m, 1, inputs);
    stp_put_words(&m, 2, outputs);
    if (*name)
        stp_put_string(&m, 3, name);
    stp_put_string(&m, 4, type);
    if (*domain)
        stp_put_string(&m, 7, domain);
    return m;
}

struct stp_message stp_attr_message(const char *name, int type)
{
    struct stp_message m = {0};
    stp_put_string(&m, 1, name);
    stp_put_int(&m, 20, type);
    return m;
}

void stp_put_port(struct stp_message *graph, uint32_t field, const char *name, int data_type, int rank, const int64_t *dims)
{
    struct stp_message info = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < rank; i++) {
        struct stp_message dim = {0};
        const char text[3] = {'N', (char)(i ? '0' + i : 0), 0};
        if (dims[i] < 0)
            stp_put_string(&dim, 2, text);
        else
            stp_put_int(&dim, 1, dims[i]);
        stp_put_message(&shape, 1, &dim);
    }
    stp_put_int(&tensor, 1, data_type);
    if (rank >= 0)
        stp_put_message(&tensor, 2, &shape);
    else
        free(shape.bytes);
    stp_put_message(&type, 1, &tensor);
    stp_put_string(&info, 1, name);
    stp_put_message(&info, 2, &type);
    stp_put_message(graph, field, &info);
}

void stp_put_import(struct stp_message *m, uint32_t field, const char *domain, int64_t version)
{
    struct stp_message import = {0};
    stp_put_string(&import, 1, domain);
    stp_put_int(&import, 2, version);
    stp_put_message(m, field, &import);
}

struct stp_message stp_model_message(struct stp_message *graph, int64_t ir_version)
{
    struct stp_message m = {0};
    stp_put_int(&m, 1, ir_version);
    stp_put_message(&m, 7, graph);
    return m;
}

struct stp_message stp_finish_model(struct stp_message *graph, const char *name)
{
    enum { IR_VERSION = 8, OPSET = 18 };
    stp_put_string(graph, STP_GRAPH_NAME, name);
    struct stp_message model = stp_model_message(graph, IR_VERSION);
    stp_put_import(&model, STP_MODEL_IMPORT, "", OPSET);
    stp_put_import(&model, STP_MODEL_IMPORT, "stipple", 1);
    return model;
}

void stp_put_node(struct stp_message *graph, const char *type, const char *inputs, const char *output)
{
    struct stp_message node = stp_node_message(type, "", output, inputs, output);
    stp_put_message(graph, STP_GRAPH_NODE, &node);
}

void stp_put_conv(struct stp_message *graph, const char *inputs, const char *output, const int64_t pads[4], int64_t stride, int64_t groups)
{
    struct stp_message node = stp_node_message("Conv", "", output, inputs, output);
    struct stp_message pad = stp_attr_message("pads", STP_ONNX_INTS), step = stp_attr_message("strides", STP_ONNX_INTS),
                       group = stp_attr_message("group", STP_ONNX_INT);
    for (int i = 0; i < 4; i++)
        stp_put_int(&pad, STP_ATTRIBUTE_INTS, pads[i]);
    for (int i = 0; i < 2; i++)
        stp_put_int(&step, STP_ATTRIBUTE_INTS, stride);
    stp_put_int(&group, STP_ATTRIBUTE_INT, groups);
    stp_put_message(&node, STP_NODE_ATTRIBUTE, &pad);
    stp_put_message(&node, STP_NODE_ATTRIBUTE, &step);
    stp_put_message(&node, STP_NODE_ATTRIBUTE, &group);
    stp_put_message(graph, STP_GRAPH_NODE, &node);
}

// A linear congruential generator
void stp_fill_noise(float *floats, int64_t count, float scale, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        floats[i] = (float)(int32_t)seed * 0x1p-31f * scale;
    }
}

void stp_put_noise(struct stp_message *graph, const char *name, size_t rank, const int64_t *dims, float scale, uint32_t seed)
{
    int64_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= dims[i];
    float *floats = malloc((size_t)count * sizeof *floats);
    struct stp_message tensor = stp_tensor_message(name, STP_ONNX_FLOAT, rank, dims);
    if (floats) {
        stp_fill_noise(floats, count, scale, seed);
        stp_put_bytes(&tensor, STP_TENSOR_RAW, floats, (size_t)count * sizeof *floats);
    }
    tensor.failed |= !floats;
    free(floats);
    stp_put_message(graph, STP_GRAPH_CONSTANT, &tensor);
}
