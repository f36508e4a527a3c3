// SPDX-License-Identifier: Apache-2.0
// A bounded reader of protobuf's wire format over memory. It copies nothing and never recurses: a message inside a message is
// entered by the caller, one level at a time, no deeper than STP_WIRE_MAX_DEPTH.
#ifndef STP_WIRE_H
#define STP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STP_WIRE_MAX_DEPTH 64

enum stp_wire_type {
    STP_WIRE_VARINT = 0,
    STP_WIRE_FIXED64 = 1,
    STP_WIRE_BYTES = 2, // strings, messages, packed repeated fields
    STP_WIRE_FIXED32 = 5,
};

// One message. The first error stays, as a clause for people, and ends the message: loops need not look at it, whoever is done
// with the message does.
struct stp_wire {
    const unsigned char *at, *end;
    int depth;
    const char *error; // NULL: none
};

struct stp_field {
    uint32_t number;
    enum stp_wire_type type;
    uint64_t value;             // varint, fixed
    const unsigned char *bytes; // STP_WIRE_BYTES; inside the message
    size_t size;
};

struct stp_wire stp_wire_open(const void *bytes, size_t size);
// The next field, or false at the end of the message or on an error.
bool stp_wire_next(struct stp_wire *wire, struct stp_field *field);
// The next field of that number; the others are skipped.
bool stp_wire_find(struct stp_wire *wire, uint32_t number, struct stp_field *field);

// A field's content as what it ought to be. Another wire type is an error of `wire`; the result is then 0 or empty.
int64_t stp_wire_int(struct stp_wire *wire, const struct stp_field *field);
float stp_wire_float(struct stp_wire *wire, const struct stp_field *field);
bool stp_wire_bytes(struct stp_wire *wire, const struct stp_field *field);
// An error inside the result is not one of `wire`.
struct stp_wire stp_wire_message(struct stp_wire *wire, const struct stp_field *field);

// Repeated numbers, packed or single. First all fields are counted (0 on an error), then room is made, then they are read;
// reading returns the place behind the last number.
size_t stp_wire_count_ints(struct stp_wire *wire, const struct stp_field *field);
int64_t *stp_wire_read_ints(const struct stp_field *field, int64_t *out);
size_t stp_wire_count_floats(struct stp_wire *wire, const struct stp_field *field);
float *stp_wire_read_floats(const struct stp_field *field, float *out);

#endif
