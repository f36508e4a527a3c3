// SPDX-License-Identifier: Apache-2.0
// A table from names to numbers. Its order shows nowhere.
#ifndef STP_NAMES_H
#define STP_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Zeroed: empty.
struct stp_names {
    struct stp_names_slot *slots;
    size_t capacity, count; // capacity: a power of two, at least twice the count
    uint64_t seed;          // drawn per table, so that a file cannot choose names that collide
};

// The name is not copied, and must not be in the table yet. False when memory is short.
bool stp_names_add(struct stp_names *names, const char *name, int number);
// `number` may be NULL.
bool stp_names_find(const struct stp_names *names, const char *name, int *number);
void stp_names_free(struct stp_names *names);

#endif
