// SPDX-License-Identifier: Apache-2.0
// TensorProto → tensor.
#include <stdlib.h>

#include "onnx/loader.h"

// Field numbers of TensorProto.
enum {
    DIMS = 1, DATA_TYPE = 2, SEGMENT = 3, FLOAT_DATA = 4, INT32_DATA = 5, STRING_DATA = 6, INT64_DATA = 7,
    RAW_DATA = 9, DOUBLE_DATA = 10, UINT64_DATA = 11, DATA_LOCATION = 14,
};

stp_dtype stp_onnx_dtype(int64_t data_type)
{
    switch (data_type) {
    case 1: return STP_F32;
    case 2: return STP_U8;
    case 6: return STP_I32;
    case 7: return STP_I64;
    case 9: return STP_BOOL;
    default: return STP_DTYPE_NONE;
    }
}

const char *stp_onnx_dtype_name(int64_t data_type)
{
    static const char *const names[] = {
        "undefined", "float32",   "uint8",      "int8",     "uint16",       "int16",      "int32",
        "int64",     "string",    "bool",       "float16",  "float64",      "uint32",     "uint64",
        "complex64", "complex128", "bfloat16",  "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz",
        "uint4",     "int4",      "float4e2m1", "float8e8m0", "uint2",      "int2",       "float6e2m3",
        "float6e3m2",
    };
    return data_type >= 0 && data_type < (int64_t)STP_LENGTH(names) ? names[data_type] : "of an unknown data type";
}

// What a message says before its numbers are copied.
struct contents {
    int64_t dims[STP_MAX_RANK];
    size_t rank;              // as the file says
    int64_t data_type, location;
    bool has_raw, has_segment, has_other; // other: data fields of types that are not supported
    struct stp_field raw;
    size_t floats, int32s, int64s;
};

static void read_dims(struct stp_wire *wire, const struct stp_field *field, struct contents *out)
{
    size_t count = stp_wire_count_ints(wire, field);
    if (out->rank <= STP_MAX_RANK && count <= STP_MAX_RANK - out->rank)
        stp_wire_read_ints(field, out->dims + out->rank);
    out->rank += count;
}

static stp_status read_contents(struct stp_loader *loader, struct stp_wire wire, const char *what, struct contents *out)
{
    *out = (struct contents){.rank = 0};
    struct stp_field field;
    while (stp_wire_next(&wire, &field)) {
        switch (field.number) {
        case DIMS: read_dims(&wire, &field, out); break;
        case DATA_TYPE: out->data_type = stp_wire_int(&wire, &field); break;
        case SEGMENT: out->has_segment = true; break;
        case FLOAT_DATA: out->floats += stp_wire_count_floats(&wire, &field); break;
        case INT32_DATA: out->int32s += stp_wire_count_ints(&wire, &field); break;
        case INT64_DATA: out->int64s += stp_wire_count_ints(&wire, &field); break;
        case STRING_DATA:
        case DOUBLE_DATA:
        case UINT64_DATA: out->has_other = true; break;
        case RAW_DATA:
            out->has_raw = stp_wire_bytes(&wire, &field);
            out->raw = field;
            break;
        case DATA_LOCATION: out->location = stp_wire_int(&wire, &field); break;
        default: break;
        }
    }
    return stp_onnx_end(loader, &wire, what);
}

static stp_status fail_data(struct stp_loader *loader, const char *what, const stp_tensor *tensor, const char *has,
                            size_t count)
{
    char shape[128];
    return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: %zu %s of data do not make %s of shape %s", what,
                    count, has, stp_dtype_name(tensor->dtype),
                    stp_shape_text(shape, sizeof shape, tensor->rank, tensor->dims));
}

// The numbers of a typed data field, into out->data.
static stp_status copy_numbers(struct stp_loader *loader, struct stp_wire wire, const char *what, uint32_t number,
                               int64_t elements, stp_tensor *out)
{
    int64_t *numbers = NULL;
    if (out->dtype == STP_F32 || out->dtype == STP_I64) {
        char *at = out->data;
        for (struct stp_field field; stp_wire_find(&wire, number, &field);)
            at = out->dtype == STP_F32 ? (char *)stp_wire_read_floats(&field, (float *)at)
                                       : (char *)stp_wire_read_ints(&field, (int64_t *)at);
        return STP_OK;
    }
    int64_t *at = numbers = malloc((size_t)elements * sizeof *numbers + 1);
    if (!numbers)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&wire, number, &field);)
        at = stp_wire_read_ints(&field, at);
    int64_t least = out->dtype == STP_I32 ? INT32_MIN : 0;
    int64_t most = out->dtype == STP_I32 ? INT32_MAX : out->dtype == STP_U8 ? UINT8_MAX : 1;
    stp_status status = STP_OK;
    for (int64_t i = 0; i < elements && status == STP_OK; i++) {
        if (numbers[i] < least || numbers[i] > most)
            status = stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: %lld is not a value of type %s", what,
                              (long long)numbers[i], stp_dtype_name(out->dtype));
        else if (out->dtype == STP_I32)
            ((int32_t *)out->data)[i] = (int32_t)numbers[i];
        else
            ((uint8_t *)out->data)[i] = (uint8_t)numbers[i];
    }
    free(numbers);
    return status;
}

static stp_status read_typed(struct stp_loader *loader, struct stp_wire message, const char *what,
                             const struct contents *contents, int64_t elements, size_t size, stp_tensor *out)
{
    uint32_t number = out->dtype == STP_F32 ? FLOAT_DATA : out->dtype == STP_I64 ? INT64_DATA : INT32_DATA;
    size_t count = out->dtype == STP_F32   ? contents->floats
                   : out->dtype == STP_I64 ? contents->int64s
                                           : contents->int32s;
    if (count != (size_t)elements)
        return fail_data(loader, what, out, "elements", count);
    // As many elements as there are in the file: no more memory than a few times its size.
    out->data = stp_arena_alloc(loader->arena, size);
    if (!out->data)
        return stp_onnx_no_memory(loader);
    return copy_numbers(loader, message, what, number, elements, out);
}

static stp_status check_bools(struct stp_loader *loader, const char *what, const stp_tensor *tensor, size_t count)
{
    const uint8_t *bytes = tensor->data;
    for (size_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: %d is not a value of type bool", what, bytes[i]);
    return STP_OK;
}

// Integers are read on the host, as shapes and axes: those that lie askew in the file are copied.
static stp_status align_integers(struct stp_loader *loader, size_t size, stp_tensor *tensor)
{
    if (tensor->dtype == STP_F32 || (uintptr_t)tensor->data % stp_dtype_size(tensor->dtype) == 0)
        return STP_OK;
    void *copy = stp_arena_alloc(loader->arena, size);
    if (!copy)
        return stp_onnx_no_memory(loader);
    tensor->data = memcpy(copy, tensor->data, size);
    return STP_OK;
}

static stp_status find_data(struct stp_loader *loader, struct stp_wire message, const char *what,
                            const struct contents *contents, stp_tensor *out)
{
    enum { EXTERNAL = 1 };
    char shape[128];
    for (int i = 0; i < out->rank; i++)
        if (out->dims[i] < 0)
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: dimension %lld cannot be", what,
                            (long long)out->dims[i]);
    int64_t elements = stp_tensor_elements(out);
    size_t size;
    if (elements < 0 || !stp_mul_size(&size, (size_t)elements, stp_dtype_size(out->dtype)) || size > PTRDIFF_MAX)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: shape %s cannot be", what,
                        stp_shape_text(shape, sizeof shape, out->rank, out->dims));
    size_t typed = contents->floats + contents->int32s + contents->int64s;
    if (contents->location < 0 || contents->location > EXTERNAL)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: data location %lld is unknown", what,
                        (long long)contents->location);
    if ((contents->has_raw && (typed || contents->has_other)) || (contents->location == EXTERNAL && typed))
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: has data in two places", what);
    const void *data = NULL;
    if (contents->location == EXTERNAL)
        STP_TRY(stp_onnx_external(loader, message, what, size, &data));
    else if (contents->has_raw && contents->raw.size != size)
        return fail_data(loader, what, out, "bytes", contents->raw.size);
    else if (contents->has_raw)
        data = contents->raw.bytes;
    else
        return read_typed(loader, message, what, contents, elements, size, out);
    out->data = (void *)(uintptr_t)data;
    return align_integers(loader, size, out);
}

stp_status stp_onnx_tensor(struct stp_loader *loader, struct stp_wire message, const char *what,
                           struct onnx_tensor *out)
{
    *out = (struct onnx_tensor){.unsupported = NULL};
    struct contents contents;
    STP_TRY(read_contents(loader, message, what, &contents));
    stp_dtype dtype = stp_onnx_dtype(contents.data_type);
    if (contents.data_type == 0)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: has no data type", what);
    if (dtype == STP_DTYPE_NONE)
        out->unsupported = stp_arena_format(loader->arena, "is %s", stp_onnx_dtype_name(contents.data_type));
    else if (contents.rank > STP_MAX_RANK)
        out->unsupported = stp_arena_format(loader->arena, "has %zu dimensions, more than %d", contents.rank, STP_MAX_RANK);
    else if (contents.has_segment)
        out->unsupported = "is stored in segments";
    else {
        out->tensor = stp_tensor_make(dtype, (int)contents.rank, contents.dims);
        STP_TRY(find_data(loader, message, what, &contents, &out->tensor));
        return dtype == STP_BOOL ? check_bools(loader, what, &out->tensor, (size_t)stp_tensor_elements(&out->tensor))
                                 : STP_OK;
    }
    return out->unsupported ? STP_OK : stp_onnx_no_memory(loader);
}

stp_status stp_tensor_parse(stp_tensor *out, stp_context *context, const void *bytes, size_t size)
{
    if (out)
        *out = (stp_tensor){.rank = 0};
    if (!context)
        return STP_ERROR_INVALID_ARGUMENT;
    if (!out || (!bytes && size))
        return stp_fail(context, STP_ERROR_INVALID_ARGUMENT, "stp_tensor_parse: an argument is NULL");
    struct stp_arena arena = {.blocks = NULL};
    struct stp_loader loader = {.context = context, .arena = &arena};
    struct onnx_tensor tensor;
    stp_status status = stp_onnx_tensor(&loader, stp_wire_open(bytes ? bytes : "", size), "the tensor file", &tensor);
    if (status == STP_OK && tensor.unsupported)
        status = stp_fail(context, STP_ERROR_UNSUPPORTED, "the tensor file is not supported: it %s", tensor.unsupported);
    if (status == STP_OK) {
        size_t length = (size_t)stp_tensor_elements(&tensor.tensor) * stp_dtype_size(tensor.tensor.dtype);
        void *copy = malloc(length + 1);
        if (copy) {
            *out = tensor.tensor;
            out->data = memcpy(copy, tensor.tensor.data, length);
        } else {
            status = stp_fail_memory(context, length, "a tensor");
        }
    }
    stp_arena_free(&arena);
    return status;
}
