// SPDX-License-Identifier: Apache-2.0
// A tensor is a view of a dense host array: type, shape, pointer.
#ifndef STIPPLE_TENSOR_H
#define STIPPLE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include <stipple/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STP_MAX_RANK 8

typedef enum stp_dtype {
    STP_DTYPE_NONE = 0, // unknown
    STP_F32,            // IEEE binary32
    STP_I32,
    STP_I64,
    STP_BOOL,           // one byte, 0 or 1
    STP_U8,             // host side only
} stp_dtype;

// Row-major (C order), in ONNX's logical order (images: N×C×H×W). `rank` 0 is a scalar. Owns nothing.
// Thread-safety: plain data.
typedef struct stp_tensor {
    stp_dtype dtype;
    int rank;                   // 0 … STP_MAX_RANK
    int64_t dims[STP_MAX_RANK]; // the first `rank` count; each ≥ 0
    void *data;
} stp_tensor;

// Bytes per element; 0 for STP_DTYPE_NONE. Thread-safety: any thread.
STP_API size_t stp_dtype_size(stp_dtype dtype);

// "float32", "int64", "bool" … Never NULL. Thread-safety: any thread.
STP_API const char *stp_dtype_name(stp_dtype dtype);

// Number of elements, -1 if the product overflows or a dimension is negative. Thread-safety: any thread.
STP_API int64_t stp_tensor_elements(const stp_tensor *tensor);

// Reads an ONNX TensorProto (the content of a .pb file) from `bytes`. On success out->data is malloc'ed: the caller frees it
// with free(). On failure *out is zeroed. Errors: invalid model (malformed), unsupported (type), out of memory.
STP_API stp_status stp_tensor_parse(stp_tensor *out, stp_context *context, const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif
#endif
