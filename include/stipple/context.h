// SPDX-License-Identifier: Apache-2.0
// A context carries the log callback and the last error. Everything else is created from one.
#ifndef STIPPLE_CONTEXT_H
#define STIPPLE_CONTEXT_H

#include <stipple/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum stp_log_level {
    STP_LOG_DEFAULT = 0, // as a parameter: STP_LOG_WARN
    STP_LOG_NONE,
    STP_LOG_ERROR,
    STP_LOG_WARN,
    STP_LOG_INFO,
    STP_LOG_DEBUG,
} stp_log_level;

// `message` is one line without a newline, valid during the call only. Called on the thread that uses the context.
typedef void (*stp_log_fn)(void *user, stp_log_level level, const char *message);

typedef struct stp_context_params {
    stp_log_fn log;           // NULL: nothing is told
    void *log_user;           // handed to `log`
    stp_log_level log_level;  // messages above this level are not made
} stp_context_params;

#define stp_context_params(...) (&(stp_context_params){__VA_ARGS__})

// Thread-safety: a context, and everything created from it, is used by one thread at a time. Contexts are independent.
typedef struct stp_context stp_context;

// `params` may be NULL (defaults). On success *out is the caller's, to be freed by stp_context_destroy() after everything
// that was created from it. On failure (out of memory) *out is NULL.
STP_API stp_status stp_context_create(stp_context **out, const stp_context_params *params);

// Accepts NULL and a pointer to NULL; sets *context to NULL.
STP_API void stp_context_destroy(stp_context **context);

// The sentence that describes the last failure on this context; "" if none. Valid until the next call on the context.
STP_API const char *stp_last_error(const stp_context *context);

#ifdef __cplusplus
}
#endif
#endif
