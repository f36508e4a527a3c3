// SPDX-License-Identifier: Apache-2.0
// The database's file: where it is, whose it is, whether it is sound.
//
// The journal is SQLite's ordinary rollback journal: a process that is killed, or a machine that goes down, leaves a sound
// file. Not a write-ahead log: that needs shared memory, which network folders lack, and a folder that readers may write
// to; and there is little to win, since nothing is written but after a build.
#define _GNU_SOURCE // secure_getenv()
#include "device/cache_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_NAME "stipple.db"

enum {
    APPLICATION = 0x7374706c, // "stpl"
    FORMAT = 1,               // of the tables
    BUSY_MS = 100,            // how long another process's lock is waited for
    MOST_VALUE = 80 << 20,    // bytes of any value or row
};

static const char schema[] = "CREATE TABLE programs("
                             " id INTEGER PRIMARY KEY,"
                             " hash INTEGER NOT NULL,"  // of `key`
                             " bytes INTEGER NOT NULL," // of key, failure and binary
                             " made INTEGER NOT NULL,"  // seconds since 1970
                             " used INTEGER NOT NULL,"
                             " title TEXT NOT NULL, device TEXT NOT NULL, driver TEXT NOT NULL,"
                             " failure TEXT,"              // what the compiler said; NULL: it built
                             " checksum INTEGER NOT NULL," // of `binary`
                             " key BLOB NOT NULL,"
                             " binary BLOB NOT NULL);"
                             "CREATE INDEX programs_by_hash ON programs(hash);"
                             "CREATE INDEX programs_by_use ON programs(used, bytes);"
                             "CREATE TABLE measurements("
                             " kind TEXT NOT NULL, device TEXT NOT NULL, driver TEXT NOT NULL, subject TEXT NOT NULL,"
                             " made INTEGER NOT NULL,"
                             " value TEXT NOT NULL,"
                             " PRIMARY KEY(kind, device, driver, subject)) WITHOUT ROWID;";

// Cannot be prepared where a table or a column is missing.
static const char all_columns[] =
    "SELECT id, hash, bytes, used, title, failure, checksum, key, binary, kind, subject, value,"
    " programs.made, programs.device, programs.driver,"
    " measurements.made, measurements.device, measurements.driver FROM programs, measurements";

// Giving up ----------------------------------------------------------------------------------------------------------

static void give_reason(struct stp_cache *cache, stp_log_level level, const char *effect, const char *reason)
{
    snprintf(cache->reason, sizeof cache->reason, "%.300s: %s", cache->path, reason);
    if (!cache->quiet)
        stp_log(cache->context, level, "%s: %s", effect, cache->reason);
}

static void give_up(struct stp_cache *cache, stp_log_level level, const char *reason)
{
    give_reason(cache, level, "going on without the cache", reason);
    sqlite3_close_v2(cache->db);
    cache->db = NULL;
}

static void repair(struct stp_cache *cache);

void stp_cache_judge(struct stp_cache *cache, int code, bool writing)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: give_up(cache, STP_LOG_INFO, "another process keeps it locked"); break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: repair(cache); break;
    case SQLITE_CANTOPEN:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        if (writing) {
            give_reason(cache, STP_LOG_INFO, "nothing can be added to the cache", sqlite3_errstr(code));
            cache->read_only = true;
            break;
        } // fall through
    default: give_up(cache, STP_LOG_INFO, sqlite3_errstr(code)); break;
    }
}

// Statements ---------------------------------------------------------------------------------------------------------

sqlite3_stmt *stp_cache_query(struct stp_cache *cache, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(cache->db, sql, -1, &statement, NULL);
    va_list args;
    va_start(args, types);
    for (int i = 0; types[i] && code == SQLITE_OK; i++) {
        if (types[i] == 'i') {
            code = sqlite3_bind_int64(statement, i + 1, va_arg(args, sqlite3_int64));
        } else if (types[i] == 't') {
            code = sqlite3_bind_text(statement, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else {
            const void *bytes = va_arg(args, const void *);
            code = sqlite3_bind_blob64(statement, i + 1, bytes, va_arg(args, size_t), SQLITE_STATIC);
        }
    }
    va_end(args);
    if (code == SQLITE_OK)
        return statement;
    sqlite3_finalize(statement);
    return NULL;
}

int stp_cache_step(struct stp_cache *cache, sqlite3_stmt *statement)
{
    return statement ? sqlite3_step(statement) : sqlite3_errcode(cache->db);
}

int stp_cache_run(struct stp_cache *cache, sqlite3_stmt *statement)
{
    int code = stp_cache_step(cache, statement);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

bool stp_cache_begin(struct stp_cache *cache)
{
    if (!cache || !cache->db || cache->read_only)
        return false;
    // A file that was removed or replaced must not be written to: its journal would pass for that of the new file.
    int moved = 0;
    if (sqlite3_file_control(cache->db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
        give_up(cache, STP_LOG_INFO, "it was removed meanwhile");
        return false;
    }
    int code = stp_cache_run(cache, stp_cache_query(cache, "BEGIN IMMEDIATE", ""));
    stp_cache_judge(cache, code, true);
    return code == SQLITE_OK;
}

void stp_cache_end(struct stp_cache *cache, int code)
{
    if (code == SQLITE_OK)
        code = stp_cache_run(cache, stp_cache_query(cache, "COMMIT", ""));
    if (!sqlite3_get_autocommit(cache->db))
        sqlite3_exec(cache->db, "ROLLBACK", NULL, NULL, NULL); // what it fails with, the next statement will too
    stp_cache_judge(cache, code, true);
}

// Whose file it is ---------------------------------------------------------------------------------------------------

struct identity {
    sqlite3_int64 tables, application, format;
};

static int ask(struct stp_cache *cache, const char *sql, sqlite3_int64 *answer)
{
    sqlite3_stmt *row = stp_cache_query(cache, sql, "");
    int code = stp_cache_step(cache, row);
    if (code == SQLITE_ROW)
        *answer = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int identify(struct stp_cache *cache, struct identity *out)
{
    int code = ask(cache, "SELECT count(*) FROM sqlite_master", &out->tables);
    if (code == SQLITE_OK)
        code = ask(cache, "PRAGMA application_id", &out->application);
    return code == SQLITE_OK ? ask(cache, "PRAGMA user_version", &out->format) : code;
}

static bool is_empty(const struct identity *identity)
{
    return !identity->application && !identity->format && !identity->tables;
}

static int create_tables(struct stp_cache *cache)
{
    struct identity identity = {0};
    int code = identify(cache, &identity);
    if (code != SQLITE_OK || !is_empty(&identity)) // another process was faster
        return code;
    char pragmas[96];
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION, FORMAT);
    code = sqlite3_exec(cache->db, schema, NULL, NULL, NULL);
    return code == SQLITE_OK ? sqlite3_exec(cache->db, pragmas, NULL, NULL, NULL) : code;
}

// Gives up a file that is not ours, makes an empty one ours.
static void adopt(struct stp_cache *cache)
{
    struct identity identity = {0};
    int code = identify(cache, &identity);
    if (code != SQLITE_OK) {
        stp_cache_judge(cache, code, false);
    } else if (is_empty(&identity)) {
        if (stp_cache_begin(cache))
            stp_cache_end(cache, create_tables(cache));
        if (cache->db && cache->read_only)
            give_up(cache, STP_LOG_DEBUG, "it is empty");
    } else if (identity.application != APPLICATION) {
        give_up(cache, STP_LOG_WARN, "it is a database of some other program");
    } else if (identity.format > FORMAT) {
        give_up(cache, STP_LOG_INFO, "it belongs to a newer stipple");
    } else {
        sqlite3_stmt *statement = stp_cache_query(cache, all_columns, "");
        code = statement ? SQLITE_OK : sqlite3_errcode(cache->db);
        sqlite3_finalize(statement);
        stp_cache_judge(cache, code == SQLITE_ERROR || identity.format < FORMAT ? SQLITE_CORRUPT : code, false);
    }
}

// Empties a damaged file in place, under SQLite's locks: a file that is removed or renamed may be in use elsewhere.
static void repair(struct stp_cache *cache)
{
    if (cache->repaired) {
        give_up(cache, STP_LOG_WARN, "it is damaged");
        return;
    }
    cache->repaired = true;
    sqlite3_db_config(cache->db, SQLITE_DBCONFIG_RESET_DATABASE, 1, NULL);
    int code = sqlite3_exec(cache->db, "VACUUM", NULL, NULL, NULL);
    sqlite3_db_config(cache->db, SQLITE_DBCONFIG_RESET_DATABASE, 0, NULL);
    if (code == SQLITE_OK) {
        stp_log(cache->context, STP_LOG_WARN, "the cache was damaged and starts empty: %s", cache->path);
        adopt(cache);
    } else {
        stp_cache_judge(cache, code, false);
    }
}

// Opening ------------------------------------------------------------------------------------------------------------

bool stp_cache_locate(char *path, size_t size, const char **why)
{
    const char *word = secure_getenv("STIPPLE_CACHE"), *own = secure_getenv("STIPPLE_CACHE_DIR");
    const char *xdg = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    int length = -1;
    if (word && (!strcmp(word, "off") || !strcmp(word, "0")))
        *why = "STIPPLE_CACHE is off";
    else if (own && *own)
        length = snprintf(path, size, "%s/" FILE_NAME, own);
    else if (xdg && *xdg == '/') // its specification ignores relative ones
        length = snprintf(path, size, "%s/stipple/" FILE_NAME, xdg);
    else if (home && *home)
        length = snprintf(path, size, "%s/.cache/stipple/" FILE_NAME, home);
    else
        *why = "none of STIPPLE_CACHE_DIR, XDG_CACHE_HOME and HOME is set";
    if (length >= (int)size)
        *why = "the name of its folder is too long";
    return length >= 0 && length < (int)size;
}

// The folders that `path` lies in, those that are missing for the user alone.
static void make_folders(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(folder, 0700); // whether it worked shows when the file is opened
        *slash = '/';
    }
}

// The file may be anyone's: nothing in it is trusted to be code, and no value may be too large.
static int configure(struct stp_cache *cache)
{
    static const int off[] = {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                              SQLITE_DBCONFIG_TRUSTED_SCHEMA};
    for (size_t i = 0; i < STP_LENGTH(off); i++)
        sqlite3_db_config(cache->db, off[i], 0, NULL);
    sqlite3_db_config(cache->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_limit(cache->db, SQLITE_LIMIT_LENGTH, MOST_VALUE);
    sqlite3_busy_timeout(cache->db, BUSY_MS);
    // A mapped file that another process cuts short would be a SIGBUS.
    return sqlite3_exec(cache->db, "PRAGMA synchronous = NORMAL; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0",
                        NULL, NULL, NULL);
}

struct stp_cache *stp_cache_open_file(stp_context *context, bool quiet)
{
    struct stp_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->context = context;
    cache->quiet = quiet;
    const char *why = "";
    if (!stp_cache_locate(cache->path, sizeof cache->path, &why)) {
        snprintf(cache->reason, sizeof cache->reason, "nothing is kept: %s", why);
        return cache;
    }
    make_folders(cache->path);
    int code = sqlite3_open_v2(cache->path, &cache->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code == SQLITE_OK)
        code = configure(cache);
    if (code == SQLITE_OK)
        adopt(cache);
    else
        stp_cache_judge(cache, code, false);
    return cache;
}

struct stp_cache *stp_cache_open(stp_context *context)
{
    struct stp_cache *cache = stp_cache_open_file(context, false);
    if (cache && !cache->db)
        stp_cache_close(&cache);
    return cache;
}

stp_status stp_cache_open_or_fail(struct stp_cache **out, stp_context *context)
{
    *out = stp_cache_open_file(context, true);
    if (!*out)
        return stp_fail_memory(context, sizeof **out, "the cache");
    if ((*out)->db)
        return STP_OK;
    const stp_status status = stp_fail(context, STP_ERROR_IO, "%s", (*out)->reason);
    stp_cache_close(out);
    return status;
}

stp_status stp_cache_check_changes(const struct stp_cache *cache)
{
    return cache->db && !cache->read_only ? STP_OK : stp_fail(cache->context, STP_ERROR_IO, "%s", cache->reason);
}

static void note_use(struct stp_cache *cache)
{
    if (!cache->n_touched || !stp_cache_begin(cache))
        return;
    int code = SQLITE_OK;
    for (int i = 0; i < cache->n_touched && code == SQLITE_OK; i++)
        code = stp_cache_run(cache, stp_cache_query(cache, "UPDATE programs SET used = ?1 WHERE id = ?2", "ii",
                                                    (sqlite3_int64)time(NULL), cache->touched[i]));
    stp_cache_end(cache, code);
}

void stp_cache_be_patient(struct stp_cache *cache)
{
    enum { PATIENT_MS = 10000 };
    if (cache && cache->db)
        sqlite3_busy_timeout(cache->db, PATIENT_MS);
}

void stp_cache_close(struct stp_cache **cache)
{
    if (!cache || !*cache)
        return;
    note_use(*cache);
    sqlite3_close_v2((*cache)->db);
    free(*cache);
    *cache = NULL;
}
