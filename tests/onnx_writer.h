// SPDX-License-Identifier: Apache-2.0
// What the tests of the ONNX reader share: the context, and more of what writes ONNX messages (onnx/write.h).
#ifndef STP_TEST_ONNX_WRITER_H
#define STP_TEST_ONNX_WRITER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <stipple/context.h>

#include "onnx/write.h"

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

enum { F32 = 1, U8 = 2, I32 = 6, I64 = 7, STRING = 8, BOOL = 9, F16 = 10, F64 = 11 };

static inline void put_pair(struct stp_message *m, uint32_t field, const char *key, const char *value)
{
    struct stp_message pair = {0};
    stp_put_string(&pair, 1, key);
    stp_put_string(&pair, 2, value);
    stp_put_message(m, field, &pair);
}

static inline struct stp_message raw_tensor(const char *name, int data_type, size_t rank, const int64_t *dims,
                                        const void *bytes, size_t size)
{
    struct stp_message m = stp_tensor_message(name, data_type, rank, dims);
    stp_put_bytes(&m, 9, bytes, size);
    return m;
}

#endif
