// SPDX-License-Identifier: Apache-2.0
// Status, log, memory and files: what every other part stands on.
#ifndef STP_BASE_H
#define STP_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <stipple/context.h>
#include <stipple/tensor.h>

#define STP_LENGTH(array) (sizeof(array) / sizeof *(array))

// Returns the enclosing function's status if `call` failed.
#define STP_TRY(call)                                                                                                  \
    do {                                                                                                               \
        stp_status try_status = (call);                                                                                \
        if (try_status != STP_OK)                                                                                      \
            return try_status;                                                                                         \
    } while (0)

struct stp_context {
    stp_log_fn log;
    void *log_user;
    stp_log_level level;
    char error[2048];
};

// Records the sentence as the context's last error, logs it at STP_LOG_ERROR, and returns `status`.
stp_status stp_fail(stp_context *context, stp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// stp_fail(STP_ERROR_OUT_OF_MEMORY) with a sentence that says how much was wanted and what for.
stp_status stp_fail_memory(stp_context *context, size_t bytes, const char *what);
void stp_log(stp_context *context, stp_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Monotonic time in milliseconds.
double stp_now_ms(void);

// *out = a · b; false on overflow.
static inline bool stp_mul_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

// FNV-1a, 64 bits, going on from `hash`; it starts at STP_HASH.
#define STP_HASH 0xcbf29ce484222325u
uint64_t stp_hash(uint64_t hash, const void *bytes, size_t size);

static inline int64_t stp_min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t stp_max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// ⌈a / b⌉ for a ≥ 0, b > 0
static inline int64_t stp_div_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

// Makes room for one more in an array of `used` elements of `size` bytes: the array, perhaps moved. NULL: short memory; then it is as it was.
void *stp_grow(void *array, size_t used, size_t *capacity, size_t size);

// An arena: objects that live and die together. Allocations are zeroed and aligned to 64 bytes for those of 64 bytes or more, to 16 otherwise.
struct stp_arena {
    struct stp_arena_block *blocks;
};
// NULL when memory is short. A size of 0 gives a pointer that must not be read.
void *stp_arena_alloc(struct stp_arena *arena, size_t size);
// count · size, overflow checked.
void *stp_arena_array(struct stp_arena *arena, size_t count, size_t size);
// A NUL-terminated copy; NULL when memory is short.
char *stp_arena_string(struct stp_arena *arena, const char *bytes, size_t size);
char *stp_arena_format(struct stp_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void stp_arena_free(struct stp_arena *arena);

// A file mapped read-only. An empty file maps to size 0 and a non-NULL pointer.
struct stp_file {
    const void *data;
    size_t size;
    void *mapping; // NULL if nothing is to be unmapped
};
// Regular files only. The error names the path.
stp_status stp_file_map(struct stp_file *out, stp_context *context, const char *path);
void stp_file_unmap(struct stp_file *file);
// What was read of a mapping leaves this process's memory; it is read again when it is needed.
void stp_file_forget(const struct stp_file *file);

// Element i of an array of floats that may lie unaligned, as weights in a mapped file do.
static inline float stp_float_at(const void *floats, int64_t i)
{
    float x;
    memcpy(&x, (const char *)floats + (size_t)i * sizeof x, sizeof x);
    return x;
}
// Of the first that is Inf or NaN; `count` if there is none. On several cores where it pays.
int64_t stp_find_not_finite(const void *floats, int64_t count);
// Element i of a tensor of any type, aligned or not.
double stp_number_at(const stp_tensor *tensor, int64_t i);

// Sets dtype, rank and dims; data stays NULL.
stp_tensor stp_tensor_make(stp_dtype dtype, int rank, const int64_t *dims);
bool stp_tensor_same_shape(const stp_tensor *a, const stp_tensor *b);
// "3×1×7×7" into `text`; returns `text`.
char *stp_shape_text(char *text, size_t size, int rank, const int64_t *dims);

#endif
