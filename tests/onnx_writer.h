// SPDX-License-Identifier: Apache-2.0
// What the tests of the ONNX reader share: the context, and writing ONNX messages. Field numbers are those of onnx.proto. Errors of memory
// end the test.
#ifndef STP_TEST_ONNX_WRITER_H
#define STP_TEST_ONNX_WRITER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <stipple/context.h>

// Made for all tests of a program.
static stp_context *context;

static inline int set_up(void **state)
{
    (void)state;
    return stp_context_create(&context, NULL) == STP_OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    stp_context_destroy(&context);
    return 0;
}

struct message {
    unsigned char *bytes;
    size_t size, capacity;
};

static inline void put_raw(struct message *m, const void *bytes, size_t size)
{
    if (m->size + size > m->capacity) {
        m->capacity = (m->size + size) * 2;
        m->bytes = realloc(m->bytes, m->capacity);
        if (!m->bytes)
            abort();
    }
    if (size)
        memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static inline void put_varint(struct message *m, uint64_t value)
{
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put_raw(m, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void put_int(struct message *m, uint32_t field, int64_t value)
{
    put_varint(m, (uint64_t)field << 3);
    put_varint(m, (uint64_t)value);
}

static inline void put_float(struct message *m, uint32_t field, float value)
{
    put_varint(m, (uint64_t)field << 3 | 5);
    put_raw(m, &value, sizeof value);
}

static inline void put_bytes(struct message *m, uint32_t field, const void *bytes, size_t size)
{
    put_varint(m, (uint64_t)field << 3 | 2);
    put_varint(m, size);
    put_raw(m, bytes, size);
}

static inline void put_text(struct message *m, uint32_t field, const char *text)
{
    put_bytes(m, field, text, strlen(text));
}

// Takes `inner` over: it is empty afterwards.
static inline void put_message(struct message *m, uint32_t field, struct message *inner)
{
    put_bytes(m, field, inner->bytes, inner->size);
    free(inner->bytes);
    *inner = (struct message){0};
}

static inline void put_pair(struct message *m, uint32_t field, const char *key, const char *value)
{
    struct message pair = {0};
    put_text(&pair, 1, key);
    put_text(&pair, 2, value);
    put_message(m, field, &pair);
}

// A text field per word of `words`; "-" stands for an empty one.
static inline void put_words(struct message *m, uint32_t field, const char *words)
{
    while (*words) {
        size_t size = strcspn(words, " ");
        put_bytes(m, field, words, size == 1 && *words == '-' ? 0 : size);
        words += size + (words[size] == ' ');
    }
}

enum { F32 = 1, U8 = 2, I32 = 6, I64 = 7, STRING = 8, BOOL = 9, F16 = 10, F64 = 11 };

static inline struct message tensor_head(const char *name, int data_type, size_t rank, const int64_t *dims)
{
    struct message m = {0};
    for (size_t i = 0; i < rank; i++)
        put_int(&m, 1, dims[i]);
    put_int(&m, 2, data_type);
    if (name)
        put_text(&m, 8, name);
    return m;
}

static inline struct message raw_tensor(const char *name, int data_type, size_t rank, const int64_t *dims,
                                        const void *bytes, size_t size)
{
    struct message m = tensor_head(name, data_type, rank, dims);
    put_bytes(&m, 9, bytes, size);
    return m;
}

// dims: −1 is free and gets the name "N", "N1" … of its position.
static inline void put_info(struct message *graph, uint32_t field, const char *name, int data_type, int rank,
                            const int64_t *dims)
{
    struct message info = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < rank; i++) {
        struct message dim = {0};
        const char text[3] = {'N', (char)(i ? '0' + i : 0), 0};
        if (dims[i] < 0)
            put_text(&dim, 2, text);
        else
            put_int(&dim, 1, dims[i]);
        put_message(&shape, 1, &dim);
    }
    put_int(&tensor, 1, data_type);
    if (rank >= 0)
        put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    put_text(&info, 1, name);
    put_message(&info, 2, &type);
    put_message(graph, field, &info);
}

static inline struct message node_of(const char *type, const char *domain, const char *name, const char *inputs,
                                     const char *outputs)
{
    struct message m = {0};
    put_words(&m, 1, inputs);
    put_words(&m, 2, outputs);
    if (*name)
        put_text(&m, 3, name);
    put_text(&m, 4, type);
    if (*domain)
        put_text(&m, 7, domain);
    return m;
}

static inline struct message attr_of(const char *name, int type)
{
    struct message m = {0};
    put_text(&m, 1, name);
    put_int(&m, 20, type);
    return m;
}

static inline void put_import(struct message *m, uint32_t field, const char *domain, int64_t version)
{
    struct message import = {0};
    put_text(&import, 1, domain);
    put_int(&import, 2, version);
    put_message(m, field, &import);
}

// IR version and graph; takes `graph` over.
static inline struct message model_of(struct message *graph, int64_t ir_version)
{
    struct message m = {0};
    put_int(&m, 1, ir_version);
    put_message(&m, 7, graph);
    return m;
}

#endif
