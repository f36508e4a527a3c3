// SPDX-License-Identifier: Apache-2.0
// The cache's database for those who read and change it: cache_entries.c, cache_list.c.
#ifndef STP_DEVICE_CACHE_DB_H
#define STP_DEVICE_CACHE_DB_H

#include <limits.h>
#include <sqlite3.h>

#include "device/cache.h"

enum { STP_CACHE_TOUCHED = 64 };

struct stp_cache {
    stp_context *context;
    sqlite3 *db;      // NULL: given up
    bool read_only;   // found out by writing
    bool repaired;    // once is enough
    bool quiet;       // the caller tells `reason`
    char reason[512]; // why it was given up or is read-only
    char path[PATH_MAX];
    sqlite3_int64 touched[STP_CACHE_TOUCHED]; // programs whose use is noted when the handle is closed
    int n_touched;
};

// The database's path. False, and why, where there is none.
bool stp_cache_locate(char *path, size_t size, const char **why);
// An object in any case but short memory; without a connection if it was given up, and then with the reason.
struct stp_cache *stp_cache_open_file(stp_context *context, bool quiet);
// For those whose business is the cache itself: an error says why there is none; and, after changes, why they are not in it.
stp_status stp_cache_open_or_fail(struct stp_cache **out, stp_context *context);
stp_status stp_cache_check_changes(const struct stp_cache *cache);

// Statements need a connection. Codes are SQLite's. What a code means for the cache (give up, start empty, write no more)
// is stp_cache_judge()'s business, when no statement is open.

// Prepared and bound; `types` tells what follows: i sqlite3_int64, t const char *, b const void * and size_t. NULL on
// failure, with the code in the connection, where stp_cache_step() finds it.
sqlite3_stmt *stp_cache_query(struct stp_cache *cache, const char *sql, const char *types, ...);
int stp_cache_step(struct stp_cache *cache, sqlite3_stmt *statement);
// Runs to the first row and finalizes: SQLITE_OK or an error.
int stp_cache_run(struct stp_cache *cache, sqlite3_stmt *statement);
void stp_cache_judge(struct stp_cache *cache, int code, bool writing);

// Starts a change. False: nothing can be changed; `cache` may be NULL or given up.
bool stp_cache_begin(struct stp_cache *cache);
// Ends it, with the code of what was done since: all or nothing. Judges.
void stp_cache_end(struct stp_cache *cache, int code);

#endif
