// SPDX-License-Identifier: Apache-2.0
#ifndef STP_SELFTEST_CASES_H
#define STP_SELFTEST_CASES_H

#include <stddef.h>

// Groups of small models (selftest/script.h). Together they hold every operator.
struct stp_selftest_group {
    const char *name;
    const char *models[10]; // NULL behind the last
};
extern const struct stp_selftest_group stp_selftest_groups[];
extern const size_t stp_selftest_group_count;

#endif
