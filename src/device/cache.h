// SPDX-License-Identifier: Apache-2.0
// The database of what was costly to find out (include/stipple/cache.h): program binaries, builds that failed, and
// measurements. A cache never fails: what goes wrong costs the time that it would have saved, and at most one line in the
// log per handle.
#ifndef STP_DEVICE_CACHE_H
#define STP_DEVICE_CACHE_H

#include <stipple/cache.h>

#include "base/base.h"

struct stp_cache;

// NULL where nothing is kept (switched off, no place for it, damaged beyond repair, memory is short): every function here
// takes that too. One thread at a time; several handles and processes may work on one file.
struct stp_cache *stp_cache_open(stp_context *context);
// Accepts NULL and a pointer to NULL.
void stp_cache_close(struct stp_cache **cache);

// What a program is known by: everything that its binary depends on. The whole of it is compared; strings without
// exception, none NULL.
struct stp_program_key {
    const char *parts[12];
    const char *title, *device, *driver; // what stp_cache_entry tells of it
};

struct stp_cached_program {
    unsigned char *binary; // free()
    size_t size;
    char *error; // free(); the build failed and this is what it said; then `binary` is NULL
};

// False: there is none.
bool stp_cache_find_program(struct stp_cache *cache, const struct stp_program_key *key, struct stp_cached_program *out);
// Whether it would find one.
bool stp_cache_has_program(struct stp_cache *cache, const struct stp_program_key *key);
// Whether what is stored is kept, as far as is known. Accepts NULL.
bool stp_cache_keeps(const struct stp_cache *cache);
// In place of what is stored for the key. `error` not NULL: the build failed.
void stp_cache_store_program(struct stp_cache *cache, const struct stp_program_key *key, const void *binary,
                             size_t size, const char *error);

// Kinds of measurement that are not cleared with the rest: what tuning found, and what it tried.
#define STP_TUNING "tuning"
#define STP_TRIAL "trial"

// A measurement: a text for people and for sscanf(), known by what was measured, where, with which driver, and on what.
struct stp_measurement_key {
    const char *kind;    // "speed", STP_TUNING, STP_TRIAL
    const char *device;  // identity of the device, but not its driver
    const char *driver;  // so that what an older driver gave can be told from what holds now
    const char *subject; // kernel, shape class …; "" if the kind has but one
};
// False: there is none, or it does not fit into `size` bytes.
bool stp_cache_find_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, char *value,
                                size_t size);
void stp_cache_store_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, const char *value);
// From now on it waits for another process's lock for seconds before it gives up: for those who found something out in minutes.
void stp_cache_be_patient(struct stp_cache *cache);
// Of that kind and device (NULL: of all), the latest first. The texts live during the call.
typedef void (*stp_measurement_visit)(void *user, const struct stp_measurement_key *key, const char *value);
void stp_cache_each_measurement(struct stp_cache *cache, const char *kind, const char *device, stp_measurement_visit visit, void *user);
// In place of those of that kind, device and subject, with whatever driver. `value` NULL: removes them.
void stp_cache_replace_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, const char *value);
void stp_cache_drop_measurements(struct stp_cache *cache, const char *kind, const char *device);

#endif
