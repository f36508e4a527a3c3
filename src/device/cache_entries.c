// SPDX-License-Identifier: Apache-2.0
// Programs and measurements in the cache's database.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "device/cache_db.h"

enum {
    MOST_BINARY = 64 << 20,    // bytes
    MOST_PROGRAMS = 256 << 20, // bytes of all
    DAY = 24 * 60 * 60,        // seconds: use is noted once in so long, and a failed build is tried again
};

// Programs -----------------------------------------------------------------------------------------------------------

struct blob {
    char *bytes;
    size_t size;
    sqlite3_int64 hash;
};

static sqlite3_int64 hash_bytes(const void *bytes, size_t size)
{
    return (sqlite3_int64)stp_hash(STP_HASH, bytes, size);
}

// The parts of a key, each with its NUL.
static bool join(struct blob *out, const struct stp_program_key *key)
{
    *out = (struct blob){0};
    for (size_t i = 0; i < STP_LENGTH(key->parts); i++)
        out->size += strlen(key->parts[i]) + 1;
    out->bytes = malloc(out->size);
    if (!out->bytes)
        return false;
    char *to = out->bytes;
    for (size_t i = 0; i < STP_LENGTH(key->parts); i++)
        to = stpcpy(to, key->parts[i]) + 1;
    out->hash = hash_bytes(out->bytes, out->size);
    return true;
}

// id, used, made, failure, checksum, binary
static bool read_program(struct stp_cache *cache, sqlite3_stmt *row, struct stp_cached_program *out)
{
    sqlite3_int64 now = time(NULL), age = now - sqlite3_column_int64(row, 2);
    const char *failure = (const char *)sqlite3_column_text(row, 3);
    const void *binary = sqlite3_column_blob(row, 5);
    size_t size = (size_t)sqlite3_column_bytes(row, 5);
    if (failure && (age < 0 || age > DAY)) // it may have been a full disk's fault
        return false;
    if (!failure && (!size || sqlite3_column_int64(row, 4) != hash_bytes(binary, size)))
        return false;
    out->error = failure ? strdup(failure) : NULL;
    out->binary = failure ? NULL : malloc(size);
    out->size = failure ? 0 : size;
    if (!out->error && !out->binary)
        return false;
    if (out->binary)
        memcpy(out->binary, binary, size);
    sqlite3_int64 unused = now - sqlite3_column_int64(row, 1);
    if ((unused < 0 || unused > DAY) && cache->n_touched < STP_CACHE_TOUCHED)
        cache->touched[cache->n_touched++] = sqlite3_column_int64(row, 0);
    return true;
}

bool stp_cache_find_program(struct stp_cache *cache, const struct stp_program_key *key, struct stp_cached_program *out)
{
    *out = (struct stp_cached_program){0};
    struct blob blob;
    if (!cache || !cache->db || !join(&blob, key))
        return false;
    sqlite3_stmt *row = stp_cache_query(
        cache, "SELECT id, used, made, failure, checksum, binary FROM programs WHERE hash = ?1 AND key = ?2", "ib",
        blob.hash, blob.bytes, blob.size);
    int code = stp_cache_step(cache, row);
    bool found = code == SQLITE_ROW && read_program(cache, row, out);
    sqlite3_finalize(row);
    free(blob.bytes);
    stp_cache_judge(cache, code, false);
    return found;
}

bool stp_cache_has_program(struct stp_cache *cache, const struct stp_program_key *key)
{
    struct blob blob;
    if (!cache || !cache->db || !join(&blob, key))
        return false;
    sqlite3_stmt *row = stp_cache_query(cache, "SELECT 1 FROM programs WHERE hash = ?1 AND key = ?2", "ib", blob.hash,
                                        blob.bytes, blob.size);
    int code = stp_cache_step(cache, row);
    sqlite3_finalize(row);
    free(blob.bytes);
    stp_cache_judge(cache, code, false);
    return code == SQLITE_ROW;
}

bool stp_cache_keeps(const struct stp_cache *cache)
{
    return cache && cache->db && !cache->read_only;
}

static int replace_program(struct stp_cache *cache, const struct stp_program_key *key, const struct blob *blob,
                           const void *binary, size_t size, const char *error)
{
    int code = stp_cache_run(cache, stp_cache_query(cache, "DELETE FROM programs WHERE hash = ?1 AND key = ?2", "ib",
                                                    blob->hash, blob->bytes, blob->size));
    if (code != SQLITE_OK)
        return code;
    sqlite3_int64 now = time(NULL), bytes = (sqlite3_int64)(blob->size + size + (error ? strlen(error) : 0));
    code = stp_cache_run(
        cache,
        stp_cache_query(
            cache,
            "INSERT INTO programs(hash, bytes, made, used, title, device, driver, failure, checksum, key, binary)"
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iiiittttibb", blob->hash, bytes, now, now, key->title, key->device, key->driver, error,
            hash_bytes(binary, size), blob->bytes, blob->size, binary, size));
    if (code != SQLITE_OK)
        return code;
    // Those used last stay, as many as fit.
    return stp_cache_run(cache,
                         stp_cache_query(cache,
                                         "DELETE FROM programs WHERE id IN (SELECT id FROM (SELECT id, sum(bytes) OVER"
                                         " (ORDER BY used DESC, id DESC) AS total FROM programs) WHERE total > ?1)",
                                         "i", (sqlite3_int64)MOST_PROGRAMS));
}

void stp_cache_store_program(struct stp_cache *cache, const struct stp_program_key *key, const void *binary,
                             size_t size, const char *error)
{
    struct blob blob;
    if (!cache || !cache->db || cache->read_only || size > MOST_BINARY || !join(&blob, key))
        return;
    if (stp_cache_begin(cache))
        stp_cache_end(cache, replace_program(cache, key, &blob, error ? "" : binary, error ? 0 : size, error));
    free(blob.bytes);
}

// Measurements -------------------------------------------------------------------------------------------------------

bool stp_cache_find_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, char *value,
                                size_t size)
{
    if (!cache || !cache->db)
        return false;
    sqlite3_stmt *row = stp_cache_query(
        cache, "SELECT value FROM measurements WHERE kind = ?1 AND device = ?2 AND driver = ?3 AND subject = ?4",
        "tttt", key->kind, key->device, key->driver, key->subject);
    int code = stp_cache_step(cache, row);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(row, 0) : NULL;
    bool found = text && snprintf(value, size, "%s", text) < (int)size;
    sqlite3_finalize(row);
    stp_cache_judge(cache, code, false);
    return found;
}

static int insert_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, const char *value)
{
    return stp_cache_run(cache, stp_cache_query(cache,
                                                "INSERT OR REPLACE INTO measurements(kind, device, driver, subject, made, value)"
                                                " VALUES(?, ?, ?, ?, ?, ?)",
                                                "ttttit", key->kind, key->device, key->driver, key->subject, (sqlite3_int64)time(NULL),
                                                value));
}

void stp_cache_store_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, const char *value)
{
    if (stp_cache_begin(cache))
        stp_cache_end(cache, insert_measurement(cache, key, value));
}

void stp_cache_replace_measurement(struct stp_cache *cache, const struct stp_measurement_key *key, const char *value)
{
    if (!stp_cache_begin(cache))
        return;
    int code = stp_cache_run(cache, stp_cache_query(cache, "DELETE FROM measurements WHERE kind = ?1 AND device = ?2 AND subject = ?3", "ttt",
                                                    key->kind, key->device, key->subject));
    if (code == SQLITE_OK && value)
        code = insert_measurement(cache, key, value);
    stp_cache_end(cache, code);
}

void stp_cache_each_measurement(struct stp_cache *cache, const char *kind, const char *device, stp_measurement_visit visit, void *user)
{
    if (!cache || !cache->db)
        return;
    sqlite3_stmt *row = stp_cache_query(
        cache,
        "SELECT device, driver, subject, value FROM measurements WHERE kind = ?1 AND (?2 IS NULL OR device = ?2)"
        " ORDER BY made DESC, device, driver, subject",
        "tt", kind, device);
    int code;
    while ((code = stp_cache_step(cache, row)) == SQLITE_ROW) {
        const struct stp_measurement_key key = {.kind = kind,
                                                .device = (const char *)sqlite3_column_text(row, 0),
                                                .driver = (const char *)sqlite3_column_text(row, 1),
                                                .subject = (const char *)sqlite3_column_text(row, 2)};
        const char *value = (const char *)sqlite3_column_text(row, 3);
        if (key.device && key.driver && key.subject && value)
            visit(user, &key, value);
    }
    sqlite3_finalize(row);
    stp_cache_judge(cache, code, false);
}

void stp_cache_drop_measurements(struct stp_cache *cache, const char *kind, const char *device)
{
    if (stp_cache_begin(cache))
        stp_cache_end(cache, stp_cache_run(cache, stp_cache_query(cache, "DELETE FROM measurements WHERE kind = ?1 AND device = ?2", "tt",
                                                                  kind, device)));
}
