// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "device/tuned.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/cache.h"
#include "device/child.h"
#include "device/probe.h"

// Classes ------------------------------------------------------------------------------------------------------------

struct stp_conv_shape stp_conv_class(const struct stp_conv_shape *shape)
{
    enum { MOST_ROWS = 1 << 29 }; // nine digits
    struct stp_conv_shape class = *shape;
    class.winograd_tiles = shape->winograd_tiles > 0;
    for (class.rows = 1; class.rows < shape->rows && class.rows < MOST_ROWS;)
        class.rows *= 2;
    return class;
}

static bool same_class(const struct stp_conv_shape *a, const struct stp_conv_shape *b)
{
    return !memcmp(a, b, sizeof *a); // int64_t alone
}

void stp_tuned_destroy(struct stp_tuned_table **table)
{
    if (!table || !*table)
        return;
    free((*table)->items);
    free(*table);
    *table = NULL;
}

struct stp_tuned *stp_tuned_find(const struct stp_tuned_table *table, const struct stp_conv_shape *shape)
{
    const struct stp_conv_shape class = stp_conv_class(shape);
    for (size_t i = 0; i < table->count; i++)
        if (same_class(&table->items[i].class, &class))
            return &table->items[i];
    return NULL;
}

struct stp_conv_choice stp_tuned_choose(const struct stp_tuned_table *table, const struct stp_limits *limits,
                                        const struct stp_conv_shape *shape)
{
    const struct stp_tuned *tuned = stp_tuned_find(table, shape);
    return tuned && stp_worksize_conv_fits(limits, shape, &tuned->choice) ? tuned->choice : stp_worksize_conv(limits, shape);
}

bool stp_tuned_put(struct stp_tuned_table *table, const struct stp_tuned *tuned)
{
    struct stp_tuned *known = stp_tuned_find(table, &tuned->class);
    if (known) {
        *known = *tuned;
        return true;
    }
    struct stp_tuned *grown = stp_grow(table->items, table->count, &table->capacity, sizeof *grown);
    if (!grown)
        return false;
    table->items = grown;
    table->items[table->count++] = *tuned;
    return true;
}

// Texts --------------------------------------------------------------------------------------------------------------

// Numbers of no more than nine digits: they fit into an int.
#define CLASS_FORMAT(number) \
    "conv groups " number " channels " number " taps " number " columns " number " rows " number " winograd " number
#define TILE_FORMAT(number) "rows " number " vec " number " vecs " number " block " number
#define LOCAL_FORMAT(number) \
    "across " number " down " number " columns " number " rows " number " depth " number " ahead " number " piece " number \
    " unroll " number " groups " number

static const char winograd_word[] = "winograd ";

void stp_conv_class_text(char *out, const struct stp_conv_shape *class)
{
    snprintf(out, STP_TUNED_TEXT, CLASS_FORMAT("%d"), (int)class->groups, (int)class->channels, (int)class->taps, (int)class->columns,
             (int)class->rows, (int)class->winograd_tiles);
}

// Whether all of the text was read, as it would have been written.
static bool is_whole(const char *text, const char *written)
{
    return !strcmp(text, written);
}

bool stp_conv_class_read(struct stp_conv_shape *out, const char *text)
{
    int n[6];
    if (sscanf(text, CLASS_FORMAT("%9d"), n, n + 1, n + 2, n + 3, n + 4, n + 5) != 6)
        return false;
    for (int i = 0; i < 5; i++)
        if (n[i] < 1)
            return false;
    *out = (struct stp_conv_shape){n[0], n[1], n[2], n[3], n[4], n[5]};
    const struct stp_conv_shape class = stp_conv_class(out);
    char written[STP_TUNED_TEXT];
    stp_conv_class_text(written, out);
    return same_class(out, &class) && is_whole(text, written);
}

void stp_conv_choice_text(char *out, const struct stp_conv_choice *choice)
{
    const struct stp_local_tile *l = &choice->local;
    const struct stp_tile *t = &choice->tile;
    if (l->across)
        snprintf(out, STP_TUNED_TEXT, LOCAL_FORMAT("%d"), l->across, l->down, l->columns, l->rows, l->depth, l->ahead, l->piece, l->unroll,
                 (int)l->groups);
    else
        snprintf(out, STP_TUNED_TEXT, "%s" TILE_FORMAT("%d"), choice->winograd ? winograd_word : "", t->rows, t->vec, t->vecs, t->block);
}

bool stp_conv_choice_read(struct stp_conv_choice *out, const char *text)
{
    struct stp_local_tile *l = &out->local;
    struct stp_tile *t = &out->tile;
    int groups = 0;
    *out = (struct stp_conv_choice){.winograd = !strncmp(text, winograd_word, strlen(winograd_word))};
    const char *tile = out->winograd ? text + strlen(winograd_word) : text;
    if (sscanf(tile, TILE_FORMAT("%9d"), &t->rows, &t->vec, &t->vecs, &t->block) != 4 &&
        sscanf(text, LOCAL_FORMAT("%9d"), &l->across, &l->down, &l->columns, &l->rows, &l->depth, &l->ahead, &l->piece, &l->unroll,
               &groups) != 9)
        return false;
    l->groups = (size_t)groups;
    char written[STP_TUNED_TEXT];
    stp_conv_choice_text(written, out);
    return is_whole(text, written);
}

// The cache ----------------------------------------------------------------------------------------------------------

static uint64_t kernels; // hash of the sources of the kernels that tuning chooses for

static void hash_kernels(void)
{
    static const char *const files[] = {"numerics", "conv_rows", "conv_tile", "winograd"};
    kernels = STP_HASH;
    for (size_t i = 0; i < STP_LENGTH(files); i++)
        kernels = stp_hash(kernels, stp_kernel_text(files[i]), strlen(stp_kernel_text(files[i])));
}

void stp_tuned_subject(char *out, const struct stp_conv_shape *shape)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; // it takes as long as reading a row of the cache
    char text[STP_TUNED_TEXT];
    const struct stp_conv_shape class = stp_conv_class(shape);
    pthread_once(&once, hash_kernels);
    stp_conv_class_text(text, &class);
    snprintf(out, STP_TUNED_TEXT, "%016llx %.200s", (unsigned long long)kernels, text);
}

void stp_tuned_value(char *out, const struct stp_tuned *tuned)
{
    char text[STP_TUNED_TEXT];
    stp_conv_choice_text(text, &tuned->choice);
    snprintf(out, STP_TUNED_TEXT, "%.180s: %d permille", text, tuned->permille);
}

bool stp_tuned_read(struct stp_tuned *out, const char *subject, const char *value)
{
    char choice[STP_TUNED_TEXT], written[STP_TUNED_TEXT];
    const char *class = strchr(subject, ' '), *colon = strchr(value, ':');
    *out = (struct stp_tuned){0};
    if (!class || !colon || colon - value >= STP_TUNED_TEXT || sscanf(colon, ": %9d permille", &out->permille) != 1 || out->permille < 1)
        return false;
    snprintf(choice, sizeof choice, "%.*s", (int)(colon - value), value);
    if (!stp_conv_class_read(&out->class, class + 1) || !stp_conv_choice_read(&out->choice, choice))
        return false;
    stp_tuned_subject(written, &out->class);
    if (!is_whole(subject, written))
        return false;
    stp_tuned_value(written, out);
    return is_whole(value, written);
}

struct reading {
    struct stp_tuned_table *table;
    const char *driver;
    bool short_memory;
};

// The latest comes first; there should be one of a class.
static void read_entry(void *user, const struct stp_measurement_key *key, const char *value)
{
    struct reading *reading = user;
    struct stp_tuned tuned;
    if (!stp_tuned_read(&tuned, key->subject, value) || stp_tuned_find(reading->table, &tuned.class))
        return;
    tuned.is_verified = !strcmp(key->driver, reading->driver);
    reading->short_memory |= !stp_tuned_put(reading->table, &tuned);
}

struct stp_tuned_table *stp_device_tuned(struct stp_device *device)
{
    if (device->tuned)
        return device->tuned;
    const struct stp_device_key key = stp_device_key(&device->info);
    struct reading reading = {.table = calloc(1, sizeof *reading.table), .driver = key.driver};
    if (!reading.table)
        return NULL;
    stp_cache_each_measurement(stp_device_cache(device), STP_TUNING, key.device, read_entry, &reading);
    if (reading.short_memory)
        stp_tuned_destroy(&reading.table);
    device->tuned = reading.table;
    return device->tuned;
}

// In place of what there is of the class, with whatever driver; `tuned` NULL: nothing.
static void store(struct stp_device *device, const struct stp_conv_shape *class, const struct stp_tuned *tuned)
{
    const struct stp_device_key texts = stp_device_key(&device->info);
    char subject[STP_TUNED_TEXT], value[STP_TUNED_TEXT];
    stp_tuned_subject(subject, class);
    if (tuned)
        stp_tuned_value(value, tuned);
    const struct stp_measurement_key key = {.kind = STP_TUNING, .device = texts.device, .driver = texts.driver, .subject = subject};
    stp_cache_replace_measurement(stp_device_cache(device), &key, tuned ? value : NULL);
}

stp_status stp_device_keep_tuned(struct stp_device *device, const struct stp_tuned *tuned)
{
    struct stp_tuned kept = *tuned;
    kept.is_verified = true;
    struct stp_tuned_table *table = stp_device_tuned(device);
    if (!table || !stp_tuned_put(table, &kept))
        return stp_fail_memory(device->context, sizeof kept, "a result of tuning");
    store(device, &tuned->class, &kept);
    return STP_OK;
}

void stp_device_drop_tuned(struct stp_device *device, const struct stp_conv_shape *class)
{
    struct stp_tuned_table *table = stp_device_tuned(device);
    struct stp_tuned *tuned = table ? stp_tuned_find(table, class) : NULL;
    store(device, class, NULL);
    if (tuned)
        *tuned = table->items[--table->count];
}

// Verifying ----------------------------------------------------------------------------------------------------------

enum stp_verdict stp_device_verify(struct stp_device *device, const struct stp_conv_shape *class, const struct stp_conv_choice *choice)
{
    char helper[4096], number[16], class_text[STP_TUNED_TEXT], choice_text[STP_TUNED_TEXT];
    struct stp_child child;
    if (device->info.index < 0 || !stp_child_helper(helper, sizeof helper))
        return STP_VERDICT_UNASKED;
    snprintf(number, sizeof number, "%d", device->info.index);
    stp_conv_class_text(class_text, class);
    stp_conv_choice_text(choice_text, choice);
    const char *const arguments[] = {"verify", number, device->info.platform, device->info.name, class_text, choice_text, NULL};
    if (stp_child_run(&child, device->context, helper, arguments, NULL, STP_PROBE_TIMEOUT_MS) != STP_OK)
        return STP_VERDICT_UNASKED;
    if (!strcmp(child.answer, "right"))
        return STP_VERDICT_RIGHT;
    const bool is_wrong = child.crashed || !strncmp(child.answer, "wrong", 5);
    stp_log(device->context, is_wrong ? STP_LOG_WARN : STP_LOG_INFO, "not used: %s for %s: %s", choice_text, class_text,
            child.answer[0] ? child.answer : child.death);
    return is_wrong ? STP_VERDICT_WRONG : STP_VERDICT_UNKNOWN;
}

struct stp_conv_choice stp_device_choice(struct stp_device *device, const struct stp_conv_shape *shape)
{
    const struct stp_limits *limits = &device->limits;
    struct stp_tuned_table *table = stp_device_tuned(device);
    struct stp_tuned *tuned = table ? stp_tuned_find(table, shape) : NULL;
    if (!tuned || !stp_worksize_conv_fits(limits, shape, &tuned->choice))
        return stp_worksize_conv(limits, shape);
    if (tuned->is_verified)
        return tuned->choice;
    char text[STP_TUNED_TEXT];
    stp_conv_choice_text(text, &tuned->choice);
    stp_log(device->context, STP_LOG_INFO, "verifying a result of tuning that was not found with this driver: %s", text);
    switch (stp_device_verify(device, &tuned->class, &tuned->choice)) {
    case STP_VERDICT_RIGHT:
        tuned->is_verified = true;
        store(device, &tuned->class, tuned);
        return tuned->choice;
    case STP_VERDICT_WRONG: stp_device_drop_tuned(device, shape); break;
    case STP_VERDICT_UNKNOWN:
    case STP_VERDICT_UNASKED: break;
    }
    return stp_worksize_conv(limits, shape);
}
