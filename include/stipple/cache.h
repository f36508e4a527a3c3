// SPDX-License-Identifier: Apache-2.0
// What is kept between processes: compiled programs and measurements of devices, in one SQLite database. It is used by
// itself wherever a device is; here it is looked at and emptied.
//
// Where: in the folder $STIPPLE_CACHE_DIR, else $XDG_CACHE_HOME/stipple, else $HOME/.cache/stipple, which is made if need
// be. STIPPLE_CACHE=off: nowhere, nothing is read or written. Several processes at once are fine. A database that is
// damaged is replaced by an empty one, one that is locked, not writable or not stipple's is done without; none of this is
// an error for those who run a model.
#ifndef STIPPLE_CACHE_H
#define STIPPLE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <stipple/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stp_cache_entry {
    const char *kind;   // "program", "failed build", or what was measured: "speed", "tuning", "trial"
    const char *name;   // a program's file and options; of a measurement what it is about, or its value
    const char *device; // CL_DEVICE_NAME
    const char *driver; // platform and driver version
    uint64_t bytes;     // what it takes
    int64_t made, used; // seconds since 1970; use is noted once a day
} stp_cache_entry;

// The database's path, as a string of at most `size` bytes with its NUL; the file need not exist. Errors: I/O (nothing is
// kept; the message says why), invalid argument (`size` is too small).
STP_API stp_status stp_cache_path(char *out, size_t size, stp_context *context);

// A list of all entries, latest use first. Thread-safety: read-only after creation; any thread.
typedef struct stp_cache_list stp_cache_list;

// On success *out is the caller's (stp_cache_list_destroy). No database yet is an empty list. Errors: I/O (nothing is
// kept, or the database cannot be read; the message says why).
STP_API stp_status stp_cache_list_create(stp_cache_list **out, stp_context *context);
// Accepts NULL and a pointer to NULL.
STP_API void stp_cache_list_destroy(stp_cache_list **list);
STP_API size_t stp_cache_list_count(const stp_cache_list *list);
// NULL beyond the end. Owned by the list.
STP_API const stp_cache_entry *stp_cache_list_get(const stp_cache_list *list, size_t index);

// Removes every entry but the results of tuning (stp_tuning_reset()), measurements too. Errors: I/O (the database is locked, cannot be written, or is not stipple's).
STP_API stp_status stp_cache_clear(stp_context *context);

#ifdef __cplusplus
}
#endif
#endif
