// SPDX-License-Identifier: Apache-2.0
#include "npy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr;
    stp_dtype dtype;
} types[] = {{"<f4", STP_F32}, {"<i4", STP_I32}, {"<i8", STP_I64}, {"|b1", STP_BOOL}, {"|u1", STP_U8}};

bool stp_npy_is(const void *bytes, size_t size)
{
    return size >= 6 && !memcmp(bytes, "\x93NUMPY", 6);
}

// Header -------------------------------------------------------------------------------------------------------------

// The header is a Python dictionary of three known keys. `at` never passes `end`; `bad` names what could not be read.
struct header {
    const char *at, *end;
    const char *bad;
    char descr[16];
    bool fortran;
    stp_tensor shape;
};

static void skip_space(struct header *header)
{
    while (header->at < header->end && (*header->at == ' ' || *header->at == '\n'))
        header->at++;
}

static bool skip(struct header *header, char symbol)
{
    skip_space(header);
    bool found = header->at < header->end && *header->at == symbol;
    header->at += found;
    return found;
}

static bool read_word(struct header *header, const char *word)
{
    size_t length = strlen(word);
    skip_space(header);
    bool found = (size_t)(header->end - header->at) >= length && !memcmp(header->at, word, length);
    header->at += found ? length : 0;
    return found;
}

// 'text' or "text", shorter than `size`.
static bool read_text(struct header *header, char *text, size_t size)
{
    char quote = skip(header, '\'') ? '\'' : skip(header, '"') ? '"' : 0;
    size_t length = 0;
    for (; quote && header->at < header->end && *header->at != quote; header->at++) {
        if (length + 1 == size)
            return false;
        text[length++] = *header->at;
    }
    text[length] = 0;
    return quote && skip(header, quote);
}

static bool read_dimension(struct header *header, int64_t *out)
{
    skip_space(header);
    const char *start = header->at;
    for (*out = 0; header->at < header->end && *header->at >= '0' && *header->at <= '9'; header->at++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *header->at - '0', out))
            return false;
    return header->at > start;
}

static bool read_shape(struct header *header)
{
    if (!skip(header, '('))
        return false;
    while (!skip(header, ')')) {
        if (header->shape.rank == STP_MAX_RANK || !read_dimension(header, header->shape.dims + header->shape.rank))
            return false;
        header->shape.rank++;
        if (!skip(header, ','))
            return skip(header, ')');
    }
    return true;
}

static bool read_item(struct header *header)
{
    char key[16];
    header->bad = "header";
    if (!read_text(header, key, sizeof key) || !skip(header, ':'))
        return false;
    if (!strcmp(key, "descr")) {
        header->bad = "element type";
        return read_text(header, header->descr, sizeof header->descr);
    }
    if (!strcmp(key, "fortran_order")) {
        header->fortran = read_word(header, "True");
        return header->fortran || read_word(header, "False");
    }
    header->bad = "shape";
    return !strcmp(key, "shape") && read_shape(header);
}

static bool read_header(struct header *header)
{
    header->bad = "header";
    if (!skip(header, '{'))
        return false;
    int items = 0;
    while (!skip(header, '}')) {
        if (!read_item(header))
            return false;
        items++;
        if (!skip(header, ',') && (header->at == header->end || *header->at != '}'))
            return false;
    }
    return items == 3 && header->descr[0];
}

// Where the elements start; 0 if the file is too short or of an unknown version.
static size_t find_header(struct header *header, const unsigned char *bytes, size_t size)
{
    if (size < 12 || bytes[6] < 1 || bytes[6] > 3)
        return 0;
    size_t start = bytes[6] == 1 ? 10 : 12;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size - start)
        return 0;
    header->at = (const char *)bytes + start;
    header->end = header->at + length;
    return start + length;
}

// Elements -----------------------------------------------------------------------------------------------------------

// Counts through the tensor in C order while `from` follows in Fortran order.
static void copy_fortran(const stp_tensor *to, const unsigned char *from, int64_t elements)
{
    size_t width = stp_dtype_size(to->dtype);
    int64_t place[STP_MAX_RANK] = {0};
    for (int64_t i = 0; i < elements; i++) {
        int64_t at = 0;
        for (int axis = to->rank - 1; axis >= 0; axis--)
            at = at * to->dims[axis] + place[axis];
        memcpy((unsigned char *)to->data + (size_t)i * width, from + (size_t)at * width, width);
        for (int axis = to->rank - 1; axis >= 0 && ++place[axis] == to->dims[axis]; axis--)
            place[axis] = 0;
    }
}

static bool copy_elements(stp_tensor *out, const unsigned char *from, size_t size, bool fortran, const char *name,
                          struct stp_error *error)
{
    int64_t elements = stp_tensor_elements(out);
    size_t width = stp_dtype_size(out->dtype);
    if (elements < 0 || (uint64_t)elements > SIZE_MAX / width || (size_t)elements * width != size)
        return stp_error_set(error, "%s holds %zu bytes of elements, which does not fit its shape", name, size);
    out->data = malloc(size + !size);
    if (!out->data)
        return stp_error_set(error, "out of memory: %zu bytes for %s", size, name);
    if (fortran && out->rank > 1)
        copy_fortran(out, from, elements);
    else
        memcpy(out->data, from, size);
    unsigned char *bytes = out->data;
    for (size_t i = 0; out->dtype == STP_BOOL && i < size; i++)
        bytes[i] = bytes[i] != 0;
    return true;
}

bool stp_npy_parse(stp_tensor *out, const void *bytes, size_t size, const char *name, struct stp_error *error)
{
    *out = (stp_tensor){0};
    struct header header = {0};
    size_t start = find_header(&header, bytes, size);
    if (!start)
        return stp_error_set(error, "%s is not a .npy file of version 1 to 3, or is cut off", name);
    if (!read_header(&header))
        return stp_error_set(error, "%s: the %s of the .npy file cannot be understood", name, header.bad);
    *out = header.shape;
    for (size_t i = 0; i < STP_COUNT(types); i++)
        if (!strcmp(header.descr, types[i].descr))
            out->dtype = types[i].dtype;
    bool ok = out->dtype || stp_error_set(error,
                                          "%s holds elements of type %s; float32, int32, int64, bool and uint8 "
                                          "in little-endian order can be read (numpy: .astype('float32'))",
                                          name, header.descr);
    ok = ok && copy_elements(out, (const unsigned char *)bytes + start, size - start, header.fortran, name, error);
    if (!ok)
        *out = (stp_tensor){0};
    return ok;
}

bool stp_npy_write(FILE *file, const stp_tensor *tensor)
{
    const char *descr = "";
    for (size_t i = 0; i < STP_COUNT(types); i++)
        if (types[i].dtype == tensor->dtype)
            descr = types[i].descr;
    enum { HEAD = 10, ROOM = 310 }; // eight dimensions of 19 digits fit
    char text[ROOM];
    int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < tensor->rank; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%" PRId64 ", ", tensor->dims[i]);
    used += snprintf(text + used, sizeof text - (size_t)used, "), }");
    int padded = (HEAD + used + 1 + 63) / 64 * 64 - HEAD; // elements start at a multiple of 64
    unsigned char head[HEAD] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(padded & 255), (unsigned char)(padded >> 8)};
    fwrite(head, 1, HEAD, file);
    fprintf(file, "%s%*s\n", text, padded - used - 1, "");
    fwrite(tensor->data, stp_dtype_size(tensor->dtype), (size_t)stp_tensor_elements(tensor), file);
    return !ferror(file);
}
