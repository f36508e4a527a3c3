// SPDX-License-Identifier: Apache-2.0
// The selftest: whether a device computes what it should, on the user's own machine.
#ifndef STIPPLE_SELFTEST_H
#define STIPPLE_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>

#include <stipple/device.h>

#ifdef __cplusplus
extern "C" {
#endif

// Operators of one kind on small models, ways of computing convolutions, or a measurement. Strings are the selftest's.
typedef struct stp_selftest_part {
    const char *name;    // "interpolation"
    bool passed;
    size_t checks;       // comparisons with the C reference, bit for bit, whose outputs are all elements of a run
    const char *detail;  // what went wrong first, how the driver died, or what was found; "" if there is nothing to say
    double seconds;
} stp_selftest_part;

// Thread-safety: read-only after creation; any thread.
typedef struct stp_selftest stp_selftest;

// Told before each part: `done` of `total`.
typedef void (*stp_selftest_fn)(void *user, const char *name, size_t done, size_t total);

// Runs every operator, sparse, dense and with rows that nobody computes made NaN, against the C reference; every way of computing
// convolutions that tuning would try first; a fixed sparse network, whose masks and outputs have a hash that is the same on every exact
// device; and measures. Each part in a child process (stipple-probe), so that a driver that crashes or hangs fails that part and no more.
// A device that is not exact (stp_device_info.inexact) may fail without being wrong. On success *out is the caller's
// (stp_selftest_destroy), whether parts failed or not. `progress` may be NULL. Errors: I/O (stipple-probe cannot be run), unsupported (a
// device that an application brought: it is not known what it is called elsewhere).
STP_API stp_status stp_selftest_run(stp_selftest **out, stp_device *device, stp_selftest_fn progress, void *user);
STP_API void stp_selftest_destroy(stp_selftest **selftest);
STP_API size_t stp_selftest_count(const stp_selftest *selftest);
// NULL beyond the end.
STP_API const stp_selftest_part *stp_selftest_get(const stp_selftest *selftest, size_t index);

// What is known of the device's driver and worked around, a line each with its reason and a link; NULL beyond the end.
STP_API const char *stp_device_quirk(const stp_device *device, size_t index);

#ifdef __cplusplus
}
#endif
#endif
