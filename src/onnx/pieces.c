// SPDX-License-Identifier: Apache-2.0
// Small messages and strings of the ONNX format.
#include "onnx/loader.h"

#include <limits.h>

stp_status stp_onnx_end(struct stp_loader *loader, const struct stp_wire *wire, const char *what)
{
    return wire->error ? stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: %s", what, wire->error) : STP_OK;
}

int stp_onnx_count(struct stp_wire message, uint32_t number)
{
    int count = 0;
    for (struct stp_field field; count < INT_MAX && stp_wire_find(&message, number, &field);)
        count++;
    return count;
}

stp_status stp_onnx_no_memory(struct stp_loader *loader)
{
    return stp_fail(loader->context, STP_ERROR_OUT_OF_MEMORY, "out of memory while reading the model");
}

// Bytes of the UTF-8 character at `at`, 0 if it is none (Unicode 15, table 3-7).
static size_t utf8_length(const unsigned char *at, size_t size)
{
    unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size < length)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

// What is wrong with a text, or NULL.
static const char *text_fault(const unsigned char *bytes, size_t size, bool is_name)
{
    for (size_t i = 0; i < size;) {
        if (bytes[i] == 0)
            return "holds a NUL byte";
        if (is_name && (bytes[i] < 0x20 || bytes[i] == 0x7f))
            return "holds a control character";
        size_t length = utf8_length(bytes + i, size - i);
        if (!length)
            return "is not valid UTF-8";
        i += length;
    }
    return NULL;
}

stp_status stp_onnx_text(struct stp_loader *loader, struct stp_wire *wire, const struct stp_field *field, bool is_name,
                         const char *what, const char **out)
{
    if (!stp_wire_bytes(wire, field))
        return stp_onnx_end(loader, wire, what);
    const char *fault = text_fault(field->bytes, field->size, is_name);
    if (fault)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: a name or text in it %s", what, fault);
    *out = stp_arena_string(loader->arena, (const char *)field->bytes, field->size);
    return *out ? STP_OK : stp_onnx_no_memory(loader);
}

stp_status stp_onnx_texts(struct stp_loader *loader, struct stp_wire message, uint32_t number, const char *what,
                          const char ***out, int *count)
{
    *count = 0;
    *out = stp_arena_array(loader->arena, (size_t)stp_onnx_count(message, number), sizeof **out);
    if (!*out)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&message, number, &field);)
        STP_TRY(stp_onnx_text(loader, &message, &field, true, what, &(*out)[(*count)++]));
    return stp_onnx_end(loader, &message, what);
}

stp_status stp_onnx_pair(struct stp_loader *loader, struct stp_wire message, const char *what, const char **key,
                         const char **value)
{
    *key = *value = "";
    struct stp_field field;
    while (stp_wire_next(&message, &field)) {
        if (field.number == 1)
            STP_TRY(stp_onnx_text(loader, &message, &field, true, what, key));
        else if (field.number == 2)
            STP_TRY(stp_onnx_text(loader, &message, &field, false, what, value));
    }
    return stp_onnx_end(loader, &message, what);
}

const char *stp_onnx_domain(const char *domain)
{
    return strcmp(domain, "ai.onnx") ? domain : "";
}

int stp_onnx_version(const struct onnx_imports *imports, const char *domain)
{
    for (int i = 0; i < imports->count; i++)
        if (!strcmp(imports->list[i].domain, domain))
            return imports->list[i].version;
    return 0;
}

static stp_status read_import(struct stp_loader *loader, struct stp_wire message, const char *what,
                              struct onnx_imports *imports)
{
    const char *domain = "";
    int64_t version = 0;
    struct stp_field field;
    while (stp_wire_next(&message, &field)) {
        if (field.number == 1)
            STP_TRY(stp_onnx_text(loader, &message, &field, true, what, &domain));
        else if (field.number == 2)
            version = stp_wire_int(&message, &field);
    }
    STP_TRY(stp_onnx_end(loader, &message, what));
    domain = stp_onnx_domain(domain);
    if (version < 1 || version > INT_MAX)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: opset %lld of domain '%s' cannot be", what,
                        (long long)version, domain);
    if (!domain[0] && version < 6)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "%s: opset %lld is older than 6, the first supported one",
                        what, (long long)version);
    if (stp_onnx_version(imports, domain))
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: the opset of domain '%s' is given twice", what,
                        domain);
    imports->list[imports->count++] = (struct onnx_import){.domain = domain, .version = (int)version};
    return STP_OK;
}

stp_status stp_onnx_imports(struct stp_loader *loader, struct stp_wire message, uint32_t number, const char *what,
                            struct onnx_imports *out)
{
    int wanted = stp_onnx_count(message, number);
    if (wanted > STP_ONNX_MAX_IMPORTS)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "%s: %d opset imports, at most %d are supported", what,
                        wanted, STP_ONNX_MAX_IMPORTS);
    out->count = 0;
    out->list = stp_arena_array(loader->arena, (size_t)wanted, sizeof *out->list);
    if (!out->list)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&message, number, &field);)
        STP_TRY(read_import(loader, stp_wire_message(&message, &field), what, out));
    return stp_onnx_end(loader, &message, what);
}
