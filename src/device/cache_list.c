// SPDX-License-Identifier: Apache-2.0
// The cache for those who look at it and empty it: include/stipple/cache.h.
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/cache_db.h"

enum { MOST_LISTED = 100000 };

struct stp_cache_list {
    struct stp_arena arena;
    size_t count, capacity;
    stp_cache_entry *entries;
};

stp_status stp_cache_path(char *out, size_t size, stp_context *context)
{
    if (!out || !size || !context)
        return STP_ERROR_INVALID_ARGUMENT;
    char path[PATH_MAX];
    const char *why = "";
    out[0] = 0;
    if (!stp_cache_locate(path, sizeof path, &why))
        return stp_fail(context, STP_ERROR_IO, "nothing is kept: %s", why);
    if (snprintf(out, size, "%s", path) < (int)size)
        return STP_OK;
    out[0] = 0;
    return stp_fail(context, STP_ERROR_INVALID_ARGUMENT, "the path of the cache has more than %zu bytes", size - 1);
}

// For the functions below: *out is NULL where there is no file yet.
static stp_status open_file(struct stp_cache **out, stp_context *context)
{
    *out = NULL;
    char path[PATH_MAX];
    STP_TRY(stp_cache_path(path, sizeof path, context));
    if (access(path, F_OK) && errno == ENOENT)
        return STP_OK;
    return stp_cache_open_or_fail(out, context);
}

static const char *text_column(stp_cache_list *list, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    if (!text)
        text = "";
    return stp_arena_string(&list->arena, text, strlen(text));
}

// kind, name, device, driver, bytes, made, used
static bool add_entry(stp_cache_list *list, sqlite3_stmt *row)
{
    stp_cache_entry *grown = stp_grow(list->entries, list->count, &list->capacity, sizeof *grown);
    if (!grown)
        return false;
    list->entries = grown;
    stp_cache_entry *entry = &list->entries[list->count];
    *entry = (stp_cache_entry){
        .kind = text_column(list, row, 0),
        .name = text_column(list, row, 1),
        .device = text_column(list, row, 2),
        .driver = text_column(list, row, 3),
        .bytes = (uint64_t)stp_max64(sqlite3_column_int64(row, 4), 0),
        .made = sqlite3_column_int64(row, 5),
        .used = sqlite3_column_int64(row, 6),
    };
    if (!entry->kind || !entry->name || !entry->device || !entry->driver)
        return false;
    list->count++;
    return true;
}

static stp_status read_entries(stp_cache_list *list, struct stp_cache *cache)
{
    sqlite3_stmt *row = stp_cache_query(
        cache,
        "SELECT iif(failure IS NULL, 'program', 'failed build'), substr(title, 1, 1000),"
        " substr(device, 1, 1000), substr(driver, 1, 1000), bytes, made, used FROM programs"
        " UNION ALL SELECT substr(kind, 1, 1000), trim(substr(subject, 1, 1000) || ' ' || substr(value, 1, 1000)),"
        " substr(device, 1, 1000), substr(driver, 1, 1000), length(value), made, made FROM measurements"
        " ORDER BY 7 DESC, 2 LIMIT ?1",
        "i", (sqlite3_int64)MOST_LISTED);
    int code = stp_cache_step(cache, row);
    bool room = true;
    for (; code == SQLITE_ROW && room; code = stp_cache_step(cache, row))
        room = add_entry(list, row);
    sqlite3_finalize(row);
    if (!room)
        return stp_fail_memory(cache->context, list->count * sizeof *list->entries, "the list of the cache");
    stp_cache_judge(cache, code, false);
    return cache->db ? STP_OK : stp_fail(cache->context, STP_ERROR_IO, "%s", cache->reason);
}

stp_status stp_cache_list_create(stp_cache_list **out, stp_context *context)
{
    if (!out || !context)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return stp_fail_memory(context, sizeof **out, "the list of the cache");
    struct stp_cache *cache;
    stp_status status = open_file(&cache, context);
    if (status == STP_OK && cache)
        status = read_entries(*out, cache);
    stp_cache_close(&cache);
    if (status != STP_OK)
        stp_cache_list_destroy(out);
    return status;
}

void stp_cache_list_destroy(stp_cache_list **list)
{
    if (!list || !*list)
        return;
    stp_arena_free(&(*list)->arena);
    free((*list)->entries);
    free(*list);
    *list = NULL;
}

size_t stp_cache_list_count(const stp_cache_list *list)
{
    return list ? list->count : 0;
}

const stp_cache_entry *stp_cache_list_get(const stp_cache_list *list, size_t index)
{
    return list && index < list->count ? &list->entries[index] : NULL;
}

stp_status stp_cache_clear(stp_context *context)
{
    if (!context)
        return STP_ERROR_INVALID_ARGUMENT;
    struct stp_cache *cache;
    stp_status status = open_file(&cache, context);
    if (status == STP_OK && cache) {
        if (stp_cache_begin(cache))
            stp_cache_end(cache,
                          sqlite3_exec(cache->db,
                                       "DELETE FROM programs;"
                                       "DELETE FROM measurements WHERE kind NOT IN ('" STP_TUNING "', '" STP_TRIAL "')",
                                       NULL, NULL, NULL));
        status = stp_cache_check_changes(cache);
        // Gives the disk its room back; the entries are gone without it too.
        if (status == STP_OK)
            sqlite3_exec(cache->db, "VACUUM", NULL, NULL, NULL);
    }
    stp_cache_close(&cache);
    return status;
}
