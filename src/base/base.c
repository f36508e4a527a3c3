// SPDX-License-Identifier: Apache-2.0
#define _DEFAULT_SOURCE // madvise(): posix_madvise() keeps the pages
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <stipple/status.h>

#include "base/parallel.h"

const char *stp_status_name(stp_status status)
{
    switch (status) {
    case STP_OK: return "ok";
    case STP_ERROR_INVALID_ARGUMENT: return "invalid argument";
    case STP_ERROR_INVALID_MODEL: return "invalid model";
    case STP_ERROR_UNSUPPORTED: return "unsupported";
    case STP_ERROR_OUT_OF_MEMORY: return "out of memory";
    case STP_ERROR_DEVICE: return "device";
    case STP_ERROR_IO: return "input/output";
    }
    return "unknown status";
}

const char *stp_version(void)
{
    return STP_VERSION;
}

stp_status stp_context_create(stp_context **out, const stp_context_params *params)
{
    if (!out)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return STP_ERROR_OUT_OF_MEMORY;
    if (params) {
        (*out)->log = params->log;
        (*out)->log_user = params->log_user;
        (*out)->level = params->log_level;
    }
    if ((*out)->level == STP_LOG_DEFAULT)
        (*out)->level = STP_LOG_WARN;
    return STP_OK;
}

void stp_context_destroy(stp_context **context)
{
    if (!context)
        return;
    free(*context);
    *context = NULL;
}

const char *stp_last_error(const stp_context *context)
{
    return context ? context->error : "";
}

stp_status stp_fail(stp_context *context, stp_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    // Through a buffer of its own: the arguments may point into the old message.
    char text[sizeof context->error];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(context->error, text, sizeof text);
    stp_log(context, STP_LOG_ERROR, "%s", context->error);
    return status;
}

stp_status stp_fail_memory(stp_context *context, size_t bytes, const char *what)
{
    return stp_fail(context, STP_ERROR_OUT_OF_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}

void stp_log(stp_context *context, stp_log_level level, const char *format, ...)
{
    if (!context->log || level > context->level)
        return;
    va_list args;
    va_start(args, format);
    char text[sizeof context->error];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    context->log(context->log_user, level, text);
}

void *stp_grow(void *array, size_t used, size_t *capacity, size_t size)
{
    if (used < *capacity)
        return array;
    const size_t more = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(array, more * size);
    if (grown)
        *capacity = more;
    return grown;
}

uint64_t stp_hash(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

double stp_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

// Arena --------------------------------------------------------------------------------------------------------------

struct stp_arena_block {
    struct stp_arena_block *next;
    size_t size, used; // of `bytes`
    _Alignas(64) char bytes[];
};

void *stp_arena_alloc(struct stp_arena *arena, size_t size)
{
    enum { BLOCK = 64 << 10 };
    size_t align = size >= 64 ? 64 : 16;
    struct stp_arena_block *block = arena->blocks;
    size_t start = block ? (block->used + align - 1) / align * align : 0;
    if (!block || start > block->size || block->size - start < size) {
        size_t want = size > BLOCK / 4 ? size : BLOCK;
        if (want > SIZE_MAX / 2)
            return NULL;
        size_t bytes = (sizeof *block + want + 63) / 64 * 64;
        struct stp_arena_block *fresh = aligned_alloc(64, bytes);
        if (!fresh)
            return NULL;
        fresh->size = bytes - sizeof *fresh;
        fresh->used = 0;
        // A large object gets a block of its own behind the current one, whose rest stays in use.
        if (block && want == size) {
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->blocks = fresh;
        }
        block = fresh;
        start = 0;
    }
    block->used = start + size;
    memset(block->bytes + start, 0, size);
    return block->bytes + start;
}

void *stp_arena_array(struct stp_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return stp_mul_size(&bytes, count, size) ? stp_arena_alloc(arena, bytes) : NULL;
}

char *stp_arena_string(struct stp_arena *arena, const char *bytes, size_t size)
{
    char *copy = size < SIZE_MAX ? stp_arena_alloc(arena, size + 1) : NULL;
    if (copy && size)
        memcpy(copy, bytes, size);
    return copy;
}

char *stp_arena_format(struct stp_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char text[1024];
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    return stp_arena_string(arena, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

void stp_arena_free(struct stp_arena *arena)
{
    while (arena->blocks) {
        struct stp_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}

// Files --------------------------------------------------------------------------------------------------------------

stp_status stp_file_map(struct stp_file *out, stp_context *context, const char *path)
{
    static const char empty[1];
    *out = (struct stp_file){.data = empty};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe without a writer would keep us waiting
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) {
        stp_status status = stp_fail(context, STP_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    stp_status status = STP_OK;
    if (!S_ISREG(info.st_mode)) {
        status = stp_fail(context, STP_ERROR_IO, "%s is not a regular file", path);
    } else if (info.st_size > 0) {
        void *mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapping == MAP_FAILED)
            status = stp_fail(context, STP_ERROR_IO, "cannot map %s: %s", path, strerror(errno));
        else
            *out = (struct stp_file){.data = mapping, .size = (size_t)info.st_size, .mapping = mapping};
    }
    close(fd);
    return status;
}

void stp_file_unmap(struct stp_file *file)
{
    if (file->mapping)
        munmap(file->mapping, file->size);
    *file = (struct stp_file){0};
}

void stp_file_forget(const struct stp_file *file)
{
    if (file->mapping)
        madvise(file->mapping, file->size, MADV_DONTNEED);
}

// Tensors ------------------------------------------------------------------------------------------------------------

size_t stp_dtype_size(stp_dtype dtype)
{
    switch (dtype) {
    case STP_F32:
    case STP_I32: return 4;
    case STP_I64: return 8;
    case STP_BOOL:
    case STP_U8: return 1;
    case STP_DTYPE_NONE: break;
    }
    return 0;
}

const char *stp_dtype_name(stp_dtype dtype)
{
    switch (dtype) {
    case STP_F32: return "float32";
    case STP_I32: return "int32";
    case STP_I64: return "int64";
    case STP_BOOL: return "bool";
    case STP_U8: return "uint8";
    case STP_DTYPE_NONE: break;
    }
    return "unknown type";
}

int64_t stp_tensor_elements(const stp_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] < 0 || __builtin_mul_overflow(count, tensor->dims[i], &count))
            return -1;
    return count;
}

struct finite_search {
    const void *floats;
    int64_t count;
    bool *bad; // per part
};
enum { FINITE_PART = 1 << 18 };

static void search_part(void *user, int64_t part)
{
    const struct finite_search *search = user;
    int64_t first = part * FINITE_PART, end = stp_min64(first + FINITE_PART, search->count);
    unsigned bad = 0;
    for (int64_t i = first; i < end; i++) { // without a way out, so that it is done in vectors
        uint32_t bits;
        memcpy(&bits, (const char *)search->floats + (size_t)i * sizeof bits, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    search->bad[part] = bad;
}

int64_t stp_find_not_finite(const void *floats, int64_t count)
{
    bool bad[256];
    for (int64_t at = 0; at < count;) {
        int64_t parts = stp_min64(stp_div_up(count - at, FINITE_PART), (int64_t)STP_LENGTH(bad));
        struct finite_search search = {.floats = (const char *)floats + (size_t)at * sizeof(float), .count = count - at, .bad = bad};
        stp_parallel(parts, search_part, &search);
        for (int64_t part = 0; part < parts; part++, at = stp_min64(at + FINITE_PART, count))
            if (bad[part]) {
                while (isfinite(stp_float_at(floats, at)))
                    at++;
                return at;
            }
    }
    return count;
}

double stp_number_at(const stp_tensor *tensor, int64_t i)
{
    const char *at = (const char *)tensor->data + (size_t)i * stp_dtype_size(tensor->dtype);
    int32_t small;
    int64_t large;
    switch (tensor->dtype) {
    case STP_F32: return (double)stp_float_at(tensor->data, i);
    case STP_I32: memcpy(&small, at, sizeof small); return small;
    case STP_I64: memcpy(&large, at, sizeof large); return (double)large;
    case STP_BOOL:
    case STP_U8: return *(const unsigned char *)at;
    case STP_DTYPE_NONE: break;
    }
    return 0;
}

stp_tensor stp_tensor_make(stp_dtype dtype, int rank, const int64_t *dims)
{
    stp_tensor tensor = {.dtype = dtype, .rank = rank};
    if (rank > 0)
        memcpy(tensor.dims, dims, (size_t)rank * sizeof *dims);
    return tensor;
}

bool stp_tensor_same_shape(const stp_tensor *a, const stp_tensor *b)
{
    return a->rank == b->rank && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

char *stp_shape_text(char *text, size_t size, int rank, const int64_t *dims)
{
    size_t used = 0;
    if (size)
        text[0] = 0;
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, dims[i] < 0 ? "%s?" : "%s%lld", i ? "×" : "",
                                 (long long)dims[i]);
    if (rank == 0)
        snprintf(text, size, "scalar");
    return text;
}
