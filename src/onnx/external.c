// SPDX-License-Identifier: Apache-2.0
// Weights in files beside the model: inside its folder only.
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <stdlib.h>

#include "onnx/loader.h"

enum { EXTERNAL_DATA = 13 }; // of TensorProto

// A decimal number without sign, space or excess.
static bool read_number(const char *text, uint64_t *out)
{
    *out = 0;
    for (const char *c = text; *c; c++)
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(*c - '0'), out))
            return false;
    return *text != 0;
}

// A relative path without a component "..".
static bool stays_below(const char *location)
{
    if (!location[0] || location[0] == '/')
        return false;
    for (const char *at = location; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (!strncmp(at, "..", 2) && (at[2] == '/' || !at[2]))
            return false;
    }
    return true;
}

// *out: the real path, so that links are known for what they are; to be freed.
static stp_status resolve(struct stp_loader *loader, const char *what, const char *location, char **out)
{
    *out = NULL;
    if (!stays_below(location))
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: external data '%s' is outside the model's folder",
                        what, location);
    size_t folder = strlen(loader->folder), room = folder + strlen(location) + 2;
    char *path = malloc(room);
    if (!path)
        return stp_onnx_no_memory(loader);
    memcpy(path, loader->folder, folder);
    path[folder] = '/';
    memcpy(path + folder + 1, location, room - folder - 1);
    char *real = realpath(path, NULL);
    stp_status status = STP_OK;
    if (!real)
        status = stp_fail(loader->context, STP_ERROR_IO, "%s: cannot open external data %s: %s", what, path,
                          strerror(errno));
    free(path);
    bool is_root = folder == 1; // "/" ends in the separator already
    if (real && (strncmp(real, loader->folder, folder) || (!is_root && real[folder] != '/'))) {
        status = stp_fail(loader->context, STP_ERROR_INVALID_MODEL,
                          "%s: external data '%s' is a link out of the model's folder", what, location);
        free(real);
        real = NULL;
    }
    *out = real;
    return status;
}

static stp_status map_external(struct stp_loader *loader, const char *path, int *index)
{
    if (stp_names_find(&loader->externals, path, index))
        return STP_OK;
    struct stp_graph *graph = loader->graph;
    if (graph->n_externals == loader->cap_externals) {
        int wanted = loader->cap_externals ? loader->cap_externals * 2 : 4;
        struct stp_file *wider = stp_arena_array(loader->arena, (size_t)wanted, sizeof *wider);
        if (!wider)
            return stp_onnx_no_memory(loader);
        if (graph->n_externals)
            memcpy(wider, graph->externals, (size_t)graph->n_externals * sizeof *wider);
        graph->externals = wider;
        loader->cap_externals = wanted;
    }
    STP_TRY(stp_file_map(&graph->externals[graph->n_externals], loader->context, path));
    *index = graph->n_externals++;
    const char *key = stp_arena_string(loader->arena, path, strlen(path));
    return key && stp_names_add(&loader->externals, key, *index) ? STP_OK : stp_onnx_no_memory(loader);
}

// Where the file keeps the data: `length` is `size` where it does not say.
static stp_status read_place(struct stp_loader *loader, struct stp_wire message, const char *what, size_t size,
                             const char **location, uint64_t *offset)
{
    uint64_t length = size;
    for (struct stp_field field; stp_wire_find(&message, EXTERNAL_DATA, &field);) {
        const char *key, *value;
        STP_TRY(stp_onnx_pair(loader, stp_wire_message(&message, &field), what, &key, &value));
        bool good = true;
        if (!strcmp(key, "location"))
            *location = value;
        else if (!strcmp(key, "offset"))
            good = read_number(value, offset);
        else if (!strcmp(key, "length"))
            good = read_number(value, &length);
        if (!good)
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: external data has %s '%s'", what, key, value);
    }
    STP_TRY(stp_onnx_end(loader, &message, what));
    if (!*location)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: external data names no file", what);
    if (length != size)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL,
                        "%s: external data has %llu bytes where the tensor's shape wants %zu", what,
                        (unsigned long long)length, size);
    return STP_OK;
}

stp_status stp_onnx_external(struct stp_loader *loader, struct stp_wire message, const char *what, size_t size,
                             const void **out)
{
    const char *location = NULL;
    uint64_t offset = 0;
    STP_TRY(read_place(loader, message, what, size, &location, &offset));
    if (!loader->folder)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL,
                        "%s: has external data ('%s'), but what is read is not a file with a folder", what, location);
    char *path;
    STP_TRY(resolve(loader, what, location, &path));
    int index;
    stp_status status = map_external(loader, path, &index);
    free(path);
    if (status != STP_OK)
        return status;
    const struct stp_file *file = &loader->graph->externals[index];
    if (offset > file->size || size > file->size - offset)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL,
                        "%s: external data '%s' holds %zu bytes, %zu are wanted from byte %llu", what, location,
                        file->size, size, (unsigned long long)offset);
    *out = (const char *)file->data + offset;
    return STP_OK;
}
