// SPDX-License-Identifier: Apache-2.0
#include "graph/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct stp_names_slot {
    const char *name; // NULL: free
    int number;
};

static uint64_t hash_name(const char *name, uint64_t seed)
{
    uint64_t hash = seed;
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash;
}

// The slot that holds `name`, or the free one where it belongs.
static struct stp_names_slot *find_slot(const struct stp_names *names, const char *name)
{
    size_t i = hash_name(name, names->seed) & (names->capacity - 1);
    while (names->slots[i].name && strcmp(names->slots[i].name, name))
        i = (i + 1) & (names->capacity - 1);
    return &names->slots[i];
}

static bool grow(struct stp_names *names)
{
    struct stp_names wider = {.capacity = names->capacity ? names->capacity * 2 : 16, .count = names->count};
    wider.slots = calloc(wider.capacity, sizeof *wider.slots);
    if (!wider.slots)
        return false;
    wider.seed = (uint64_t)(uintptr_t)wider.slots ^ (uint64_t)(stp_now_ms() * 1e6);
    for (size_t i = 0; i < names->capacity; i++)
        if (names->slots[i].name)
            *find_slot(&wider, names->slots[i].name) = names->slots[i];
    free(names->slots);
    *names = wider;
    return true;
}

bool stp_names_add(struct stp_names *names, const char *name, int number)
{
    if (2 * (names->count + 1) > names->capacity && !grow(names))
        return false;
    *find_slot(names, name) = (struct stp_names_slot){.name = name, .number = number};
    names->count++;
    return true;
}

bool stp_names_find(const struct stp_names *names, const char *name, int *number)
{
    const struct stp_names_slot *slot = names->capacity ? find_slot(names, name) : NULL;
    if (!slot || !slot->name)
        return false;
    if (number)
        *number = slot->number;
    return true;
}

void stp_names_free(struct stp_names *names)
{
    free(names->slots);
    *names = (struct stp_names){0};
}
