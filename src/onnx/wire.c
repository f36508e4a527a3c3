// SPDX-License-Identifier: Apache-2.0
#include "onnx/wire.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "protobuf's fixed fields and ONNX's raw data are read where they lie, which takes a little-endian machine"
#endif

static bool fail(struct stp_wire *wire, const char *error)
{
    if (!wire->error)
        wire->error = error;
    wire->at = wire->end;
    return false;
}

// Returns what is wrong, or NULL.
static const char *read_varint(const unsigned char **at, const unsigned char *end, uint64_t *out)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (*at == end)
            return "it ends in the middle of a number";
        unsigned char byte = *(*at)++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return NULL;
        }
    }
    return "a number takes more than 64 bits";
}

static bool read_fixed(struct stp_wire *wire, size_t size, uint64_t *out)
{
    if ((size_t)(wire->end - wire->at) < size)
        return fail(wire, "it ends in the middle of a number");
    *out = 0;
    memcpy(out, wire->at, size);
    wire->at += size;
    return true;
}

struct stp_wire stp_wire_open(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    return (struct stp_wire){.at = at, .end = at + size};
}

bool stp_wire_next(struct stp_wire *wire, struct stp_field *field)
{
    if (wire->at == wire->end)
        return false;
    uint64_t tag;
    const char *error = read_varint(&wire->at, wire->end, &tag);
    if (error)
        return fail(wire, error);
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return fail(wire, "a field has an impossible number");
    *field = (struct stp_field){.number = (uint32_t)(tag >> 3), .type = (enum stp_wire_type)(tag & 7)};
    switch (tag & 7) {
    case STP_WIRE_VARINT:
        error = read_varint(&wire->at, wire->end, &field->value);
        return error ? fail(wire, error) : true;
    case STP_WIRE_FIXED64: return read_fixed(wire, 8, &field->value);
    case STP_WIRE_FIXED32: return read_fixed(wire, 4, &field->value);
    case STP_WIRE_BYTES: break;
    default: return fail(wire, "a field has a wire type that ONNX does not use");
    }
    uint64_t size;
    error = read_varint(&wire->at, wire->end, &size);
    if (error)
        return fail(wire, error);
    if (size > (uint64_t)(wire->end - wire->at))
        return fail(wire, "a length runs beyond the end (truncated or damaged)");
    field->bytes = wire->at;
    field->size = (size_t)size;
    wire->at += size;
    return true;
}

bool stp_wire_find(struct stp_wire *wire, uint32_t number, struct stp_field *field)
{
    while (stp_wire_next(wire, field))
        if (field->number == number)
            return true;
    return false;
}

static bool expect(struct stp_wire *wire, const struct stp_field *field, enum stp_wire_type type)
{
    return field->type == type || fail(wire, "a field has the wrong wire type");
}

int64_t stp_wire_int(struct stp_wire *wire, const struct stp_field *field)
{
    return expect(wire, field, STP_WIRE_VARINT) ? (int64_t)field->value : 0;
}

static float float_of_bits(uint64_t value)
{
    uint32_t bits = (uint32_t)value;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

float stp_wire_float(struct stp_wire *wire, const struct stp_field *field)
{
    return expect(wire, field, STP_WIRE_FIXED32) ? float_of_bits(field->value) : 0;
}

bool stp_wire_bytes(struct stp_wire *wire, const struct stp_field *field)
{
    return expect(wire, field, STP_WIRE_BYTES);
}

struct stp_wire stp_wire_message(struct stp_wire *wire, const struct stp_field *field)
{
    struct stp_wire message = {.at = wire->end, .end = wire->end, .depth = wire->depth + 1};
    if (!expect(wire, field, STP_WIRE_BYTES))
        return message;
    if (message.depth > STP_WIRE_MAX_DEPTH) {
        fail(wire, "messages nest too deeply");
        return message;
    }
    message.at = field->bytes;
    message.end = field->bytes + field->size;
    return message;
}

size_t stp_wire_count_ints(struct stp_wire *wire, const struct stp_field *field)
{
    if (field->type == STP_WIRE_VARINT)
        return 1;
    if (!expect(wire, field, STP_WIRE_BYTES))
        return 0;
    const unsigned char *at = field->bytes, *end = at + field->size;
    size_t count = 0;
    for (uint64_t value; at < end; count++) {
        const char *error = read_varint(&at, end, &value);
        if (error) {
            fail(wire, error);
            return 0;
        }
    }
    return count;
}

int64_t *stp_wire_read_ints(const struct stp_field *field, int64_t *out)
{
    if (field->type == STP_WIRE_VARINT) {
        *out++ = (int64_t)field->value;
        return out;
    }
    const unsigned char *at = field->bytes, *end = at + field->size;
    for (uint64_t value; at < end && !read_varint(&at, end, &value);)
        *out++ = (int64_t)value;
    return out;
}

size_t stp_wire_count_floats(struct stp_wire *wire, const struct stp_field *field)
{
    if (field->type == STP_WIRE_FIXED32)
        return 1;
    if (!expect(wire, field, STP_WIRE_BYTES))
        return 0;
    if (field->size % sizeof(float)) {
        fail(wire, "it ends in the middle of a number");
        return 0;
    }
    return field->size / sizeof(float);
}

float *stp_wire_read_floats(const struct stp_field *field, float *out)
{
    if (field->type == STP_WIRE_FIXED32) {
        *out++ = float_of_bits(field->value);
        return out;
    }
    if (field->size)
        memcpy(out, field->bytes, field->size);
    return out + field->size / sizeof *out;
}
