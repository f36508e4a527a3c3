// SPDX-License-Identifier: Apache-2.0
// The cache: what is found again, and what becomes of files that are damaged, foreign, locked, full or read-only, of
// processes that are killed or work at once.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "cache_folder.h"
#include "device/cache.h"

// Lines of the log at a level that anybody sees.
static int lines_told(void)
{
    int lines = 0;
    for (const char *line = told; *line; line = strchr(line, '\n') + 1)
        lines += line[0] - '0' <= STP_LOG_INFO;
    return lines;
}

static struct stp_program_key key_of(const char *source)
{
    return (struct stp_program_key){
        .parts = {"format", "prelude", "name", source, "options", "device", "vendor", "version", "driver", "platform",
                  "platform version", "limits"},
        .title = "name.cl options",
        .device = "device",
        .driver = "platform, driver",
    };
}

static void store(struct stp_cache *cache, const char *source, const char *binary)
{
    struct stp_program_key key = key_of(source);
    stp_cache_store_program(cache, &key, binary, strlen(binary), NULL);
}

// Whether `source` is there, with `binary` and no other.
static bool has(struct stp_cache *cache, const char *source, const char *binary)
{
    struct stp_program_key key = key_of(source);
    struct stp_cached_program found;
    if (!stp_cache_find_program(cache, &key, &found))
        return false;
    bool same = !found.error && found.size == strlen(binary) && !memcmp(found.binary, binary, found.size);
    free(found.binary);
    free(found.error);
    return same;
}

static int64_t ask_sql(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(row, 0);
    int64_t answer = text && !strcmp(text, "ok") ? 1 : sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return answer;
}

#define SOUND "PRAGMA integrity_check"

static void write_file(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static char *read_file(size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

// Works as a new one does.
static void expect_working(stp_context *context)
{
    struct stp_cache *cache = stp_cache_open(context);
    assert_non_null(cache);
    store(cache, "works", "binary");
    assert_true(has(cache, "works", "binary"));
    stp_cache_close(&cache);
    cache = stp_cache_open(context);
    assert_true(has(cache, "works", "binary"));
    stp_cache_close(&cache);
    assert_int_equal(ask_sql(SOUND), 1);
}

// Programs -----------------------------------------------------------------------------------------------------------

static void test_programs(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    assert_non_null(cache);
    assert_false(has(cache, "a", "1"));
    store(cache, "a", "1");
    store(cache, "b", "2");
    stp_cache_close(&cache);
    cache = stp_cache_open(context);
    assert_true(has(cache, "a", "1") && has(cache, "b", "2"));
    store(cache, "a", "other");
    assert_true(has(cache, "a", "other"));
    assert_int_equal(ask_sql("SELECT count(*) FROM programs"), 2);
    // Each part counts, and where it ends.
    for (size_t i = 0; i < STP_LENGTH(key_of("a").parts); i++) {
        struct stp_program_key key = key_of("a");
        struct stp_cached_program found;
        key.parts[i] = "x";
        assert_false(stp_cache_find_program(cache, &key, &found));
    }
    struct stp_program_key key = key_of("");
    key.parts[2] = "namea";
    struct stp_cached_program found;
    assert_false(stp_cache_find_program(cache, &key, &found));
    // A hash is an index and no more.
    run_sql("UPDATE programs SET hash = (SELECT hash FROM programs WHERE binary = x'32')");
    assert_true(has(cache, "b", "2"));
    assert_false(has(cache, "a", "other"));
    stp_cache_close(&cache);
    assert_int_equal(lines_told(), 0);
    stp_context_destroy(&context);
}

static void test_bad_entries(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    static const char *const damages[] = {
        "UPDATE programs SET binary = x'ff'",
        "UPDATE programs SET binary = x''",
        "UPDATE programs SET binary = 7",
        "UPDATE programs SET checksum = 'text'",
        "UPDATE programs SET binary = zeroblob(1000000)",
        "UPDATE programs SET failure = zeroblob(100), made = 'long ago'",
    };
    for (size_t i = 0; i < STP_LENGTH(damages); i++) {
        store(cache, "a", "binary");
        assert_true(has(cache, "a", "binary"));
        run_sql(damages[i]);
        assert_false(has(cache, "a", "binary"));
    }
    store(cache, "a", "binary");
    assert_true(has(cache, "a", "binary"));
    // Larger than anything that was stored: refused, and the cache given up.
    run_sql("UPDATE programs SET binary = zeroblob(200000000)");
    assert_false(has(cache, "a", "binary"));
    assert_false(has(cache, "a", "binary"));
    assert_int_equal(lines_told(), 1);
    stp_cache_close(&cache);
    stp_context_destroy(&context);
}

static void test_failures(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    struct stp_program_key key = key_of("a");
    struct stp_cached_program found;
    stp_cache_store_program(cache, &key, NULL, 0, "does not build");
    assert_true(stp_cache_find_program(cache, &key, &found));
    assert_null(found.binary);
    assert_string_equal(found.error, "does not build");
    free(found.error);
    // It is tried again after a day, or if the clock was set back.
    run_sql("UPDATE programs SET made = made - 90000");
    assert_false(stp_cache_find_program(cache, &key, &found));
    run_sql("UPDATE programs SET made = made + 190000");
    assert_false(stp_cache_find_program(cache, &key, &found));
    store(cache, "a", "binary");
    assert_true(has(cache, "a", "binary"));
    assert_int_equal(ask_sql("SELECT count(*) FROM programs"), 1);
    stp_cache_close(&cache);
    stp_context_destroy(&context);
}

static void test_bound(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    store(cache, "old", "1");
    store(cache, "used", "2");
    store(cache, "large", "3");
    run_sql("UPDATE programs SET bytes = 100000000, used = used - 1000000");
    // Use is noted when the handle is closed, once in a day.
    assert_true(has(cache, "used", "2"));
    stp_cache_close(&cache);
    assert_int_equal(ask_sql("SELECT count(*) FROM programs WHERE used > unixepoch() - 1000"), 1);
    // Four of 100 MB do not fit into 256 MiB: those go that were not used for longest.
    cache = stp_cache_open(context);
    run_sql("UPDATE programs SET used = used + 1 WHERE binary = x'33'");
    store(cache, "new", "4");
    assert_true(has(cache, "new", "4") && has(cache, "used", "2") && has(cache, "large", "3"));
    assert_false(has(cache, "old", "1"));
    run_sql("UPDATE programs SET bytes = 200000000 WHERE binary = x'34'");
    store(cache, "newest", "5");
    assert_true(has(cache, "newest", "5") && has(cache, "new", "4"));
    assert_int_equal(ask_sql("SELECT count(*) FROM programs"), 2);
    stp_cache_close(&cache);
    stp_context_destroy(&context);
}

static void test_measurements(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    struct stp_measurement_key key = {.kind = "speed", .device = "device", .driver = "driver 1", .subject = ""};
    char value[16];
    assert_false(stp_cache_find_measurement(cache, &key, value, sizeof value));
    stp_cache_store_measurement(cache, &key, "12 34");
    stp_cache_store_measurement(cache, &key, "56 78");
    assert_true(stp_cache_find_measurement(cache, &key, value, sizeof value));
    assert_string_equal(value, "56 78");
    key.driver = "driver 2";
    assert_false(stp_cache_find_measurement(cache, &key, value, sizeof value));
    key.driver = "driver 1";
    run_sql("UPDATE measurements SET value = 'longer than anybody asked for'");
    assert_false(stp_cache_find_measurement(cache, &key, value, sizeof value));
    stp_cache_close(&cache);
    stp_context_destroy(&context);
}

// The list, and emptying ---------------------------------------------------------------------------------------------

static void test_list(void **state)
{
    (void)state;
    stp_context *context = new_context();
    stp_cache_list *list;
    char where[128];
    assert_int_equal(stp_cache_path(where, sizeof where, context), STP_OK);
    assert_string_equal(where, path);
    assert_int_equal(stp_cache_path(where, 8, context), STP_ERROR_INVALID_ARGUMENT);
    assert_int_equal(stp_cache_list_create(&list, context), STP_OK);
    assert_int_equal(stp_cache_list_count(list), 0);
    stp_cache_list_destroy(&list);
    assert_int_equal(stp_cache_clear(context), STP_OK);
    assert_int_equal(access(path, F_OK), -1); // looking makes nothing

    struct stp_cache *cache = stp_cache_open(context);
    struct stp_program_key bad = key_of("bad");
    store(cache, "a", "binary");
    stp_cache_store_program(cache, &bad, NULL, 0, "does not build");
    stp_cache_store_measurement(cache, &(struct stp_measurement_key){"speed", "device", "driver", ""}, "12 34");
    run_sql(
        "UPDATE programs SET used = used + 5 WHERE failure IS NOT NULL; UPDATE programs SET used = used - 5 WHERE failure IS NULL");
    assert_int_equal(stp_cache_list_create(&list, context), STP_OK);
    assert_int_equal(stp_cache_list_count(list), 3);
    assert_string_equal(stp_cache_list_get(list, 0)->kind, "failed build");
    assert_string_equal(stp_cache_list_get(list, 1)->kind, "speed");
    assert_string_equal(stp_cache_list_get(list, 1)->name, "12 34");
    const stp_cache_entry *entry = stp_cache_list_get(list, 2);
    assert_string_equal(entry->kind, "program");
    assert_string_equal(entry->name, "name.cl options");
    assert_string_equal(entry->device, "device");
    assert_string_equal(entry->driver, "platform, driver");
    assert_true(entry->bytes > 6 && entry->bytes < 200);
    assert_null(stp_cache_list_get(list, 3));
    stp_cache_list_destroy(&list);

    assert_int_equal(stp_cache_clear(context), STP_OK);
    assert_false(has(cache, "a", "binary")); // for those who have it open, too
    store(cache, "a", "again");
    assert_true(has(cache, "a", "again"));
    stp_cache_close(&cache);
    assert_int_equal(ask_sql(SOUND), 1);
    assert_int_equal(lines_told(), 1); // the error of the short buffer
    stp_context_destroy(&context);
}

// Nothing that a file holds may confuse the list.
static void test_strange_values(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    store(cache, "a", "binary");
    stp_cache_store_measurement(cache, &(struct stp_measurement_key){"speed", "device", "driver", ""}, "12 34");
    stp_cache_close(&cache);
    run_sql("UPDATE programs SET title = zeroblob(5000), bytes = -7, used = 'never', device = x'00ff', made = 1e300;"
            "UPDATE measurements SET value = printf('%.*c', 5000, 'x'), made = 9223372036854775807");
    stp_cache_list *list;
    assert_int_equal(stp_cache_list_create(&list, context), STP_OK);
    assert_int_equal(stp_cache_list_count(list), 2);
    for (size_t i = 0; i < 2; i++) {
        const stp_cache_entry *entry = stp_cache_list_get(list, i);
        assert_true(strlen(entry->name) <= 2001 && strlen(entry->device) <= 1000 && entry->bytes < 10000);
    }
    stp_cache_list_destroy(&list);
    stp_context_destroy(&context);
}

// Files in a bad state -----------------------------------------------------------------------------------------------

static void test_damaged(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    char name[16], *binary = malloc(20001);
    memset(binary, 'b', 20000);
    binary[20000] = 0;
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "%d", i);
        store(cache, name, binary);
    }
    stp_cache_close(&cache);
    size_t size;
    char *good = read_file(&size);
    const size_t lengths[] = {1, 15, 16, 99, 100, 1000, 4095, 4096, 4097, 20000, size / 2, size - 4096, size - 1};
    for (size_t i = 0; i < STP_LENGTH(lengths); i++) {
        write_file(good, lengths[i]);
        told[0] = 0;
        cache = stp_cache_open(context);
        for (int k = 0; k < 12; k++) {
            snprintf(name, sizeof name, "%d", k);
            has(cache, name, binary); // finds the damage where opening did not
        }
        stp_cache_close(&cache);
        assert_true(lines_told() <= 1);
        expect_working(context);
    }
    // Bytes overwritten: the header, and anywhere.
    uint32_t random = 1;
    for (int i = 0; i < 40; i++) {
        char *bad = malloc(size);
        memcpy(bad, good, size);
        for (int k = 0; k < 300; k++) {
            random = random * 1664525u + 1013904223u;
            size_t range = i % 2 ? size : 8192;
            bad[(random >> 8) % range] = (char)(random >> 3);
        }
        write_file(bad, size);
        free(bad);
        told[0] = 0;
        cache = stp_cache_open(context);
        for (int k = 0; k < 12; k++) {
            snprintf(name, sizeof name, "%d", k);
            struct stp_program_key key = key_of(name);
            struct stp_cached_program found;
            if (stp_cache_find_program(cache, &key, &found)) {
                assert_true(!found.binary || !memcmp(found.binary, binary, found.size));
                free(found.binary);
                free(found.error);
            }
            store(cache, name, "new");
        }
        stp_cache_close(&cache);
        assert_true(lines_told() <= 1);
    }
    // No database at all.
    for (size_t length = 10; length < 100000; length = length * 7 + 3) {
        char *noise = malloc(length);
        for (size_t k = 0; k < length; k++)
            noise[k] = (char)(k * 37 + 5);
        write_file(noise, length);
        free(noise);
        told[0] = 0;
        expect_working(context);
        if (lines_told() != 1 || !strstr(told, "damaged"))
            fail_msg("%zu bytes: %s", length, told);
    }
    // A schema that lacks something.
    run_sql("DROP TABLE measurements");
    expect_working(context);
    run_sql("ALTER TABLE programs DROP COLUMN checksum");
    expect_working(context);
    write_file("", 0);
    told[0] = 0;
    expect_working(context);
    assert_int_equal(lines_told(), 0);
    free(good);
    free(binary);
    stp_context_destroy(&context);
}

// Files of somebody else stay as they are.
static void expect_left_alone(const char *reason)
{
    stp_context *context = new_context();
    size_t before_size, after_size;
    char *before = read_file(&before_size);
    struct stp_cache *cache = stp_cache_open(context);
    assert_null(cache);
    store(cache, "a", "binary");
    assert_false(has(cache, "a", "binary"));
    assert_int_equal(lines_told(), 1);
    assert_non_null(strstr(told, reason));
    stp_cache_list *list;
    assert_int_equal(stp_cache_list_create(&list, context), STP_ERROR_IO);
    assert_null(list);
    assert_non_null(strstr(stp_last_error(context), reason));
    assert_int_equal(stp_cache_clear(context), STP_ERROR_IO);
    char *after = read_file(&after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
    stp_context_destroy(&context);
}

static void test_foreign(void **state)
{
    (void)state;
    run_sql("CREATE TABLE letters(text); INSERT INTO letters VALUES('dear'), ('all')");
    expect_left_alone("some other program");
    unlink(path);
    run_sql("PRAGMA application_id = 77; PRAGMA user_version = 1; CREATE TABLE programs(id)");
    expect_left_alone("some other program");
    unlink(path);
    stp_context *context = new_context();
    expect_working(context);
    run_sql("PRAGMA user_version = 2; ALTER TABLE programs ADD COLUMN more");
    expect_left_alone("newer");
    stp_context_destroy(&context);
}

static double milliseconds_of_opening(struct stp_cache **cache, stp_context *context)
{
    double start = stp_now_ms();
    *cache = stp_cache_open(context);
    return stp_now_ms() - start;
}

static void test_locked(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache;
    sqlite3 *other;
    expect_working(context);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    told[0] = 0;
    double waited = milliseconds_of_opening(&cache, context);
    assert_null(cache);
    assert_true(waited > 50 && waited < 1000);
    assert_int_equal(lines_told(), 1);
    assert_non_null(strstr(told, "locked"));
    stp_cache_list *list;
    assert_int_equal(stp_cache_list_create(&list, context), STP_ERROR_IO);
    assert_int_equal(stp_cache_clear(context), STP_ERROR_IO);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    expect_working(context);
    // Another one writes: what is there can be read, what is new is not stored, and it is waited for once.
    cache = stp_cache_open(context);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_true(has(cache, "works", "binary"));
    told[0] = 0;
    double start = stp_now_ms();
    for (int i = 0; i < 20; i++)
        store(cache, "more", "binary");
    assert_true(stp_now_ms() - start < 1000);
    assert_int_equal(lines_told(), 1);
    stp_cache_close(&cache);
    sqlite3_close(other);
    expect_working(context);
    stp_context_destroy(&context);
}

static void test_removed(void **state)
{
    (void)state;
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    store(cache, "a", "binary");
    unlink(path);
    expect_working(context); // another process made a new one
    told[0] = 0;
    store(cache, "b", "binary");
    stp_cache_close(&cache);
    assert_int_equal(lines_told(), 1);
    assert_int_equal(ask_sql("SELECT count(*) FROM programs"), 1);
    expect_working(context);
    stp_context_destroy(&context);
}

// Places -------------------------------------------------------------------------------------------------------------

static void expect_none(const char *reason)
{
    stp_context *context = new_context();
    char where[128];
    assert_null(stp_cache_open(context));
    assert_int_equal(lines_told(), 0);
    assert_int_equal(stp_cache_path(where, sizeof where, context), STP_ERROR_IO);
    assert_string_equal(where, "");
    assert_non_null(strstr(stp_last_error(context), reason));
    stp_cache_list *list;
    assert_int_equal(stp_cache_list_create(&list, context), STP_ERROR_IO);
    assert_int_equal(stp_cache_clear(context), STP_ERROR_IO);
    stp_context_destroy(&context);
}

static void expect_place(const char *wanted)
{
    stp_context *context = new_context();
    char where[256];
    assert_int_equal(stp_cache_path(where, sizeof where, context), STP_OK);
    assert_string_equal(where, wanted);
    stp_context_destroy(&context);
}

static void test_places(void **state)
{
    (void)state;
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL, deep[128], wanted[160];
    setenv("STIPPLE_CACHE", "off", 1);
    expect_none("STIPPLE_CACHE is off");
    assert_int_equal(access(path, F_OK), -1);
    unsetenv("STIPPLE_CACHE");
    unsetenv("STIPPLE_CACHE_DIR");
    setenv("XDG_CACHE_HOME", "/some/where", 1);
    setenv("HOME", "/home/user", 1);
    expect_place("/some/where/stipple/stipple.db");
    setenv("XDG_CACHE_HOME", "not/absolute", 1);
    expect_place("/home/user/.cache/stipple/stipple.db");
    unsetenv("XDG_CACHE_HOME");
    expect_place("/home/user/.cache/stipple/stipple.db");
    unsetenv("HOME");
    expect_none("HOME");
    // Folders are made, for the user alone.
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    setenv("HOME", deep, 1);
    snprintf(wanted, sizeof wanted, "%s/.cache/stipple/stipple.db", deep);
    strcpy(path, wanted);
    stp_context *context = new_context();
    expect_working(context);
    struct stat info;
    *strrchr(wanted, '/') = 0;
    assert_int_equal(stat(wanted, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    if (home)
        setenv("HOME", home, 1);
    free(home);
    stp_context_destroy(&context);
}

static void test_impossible_places(void **state)
{
    (void)state;
    static const char *const places[] = {"/dev/null", "/dev/null/below", "/proc/nowhere", "/proc/self/fd/nothing"};
    for (size_t i = 0; i < STP_LENGTH(places); i++) {
        setenv("STIPPLE_CACHE_DIR", places[i], 1);
        stp_context *context = new_context();
        assert_null(stp_cache_open(context));
        assert_int_equal(lines_told(), 1);
        stp_context_destroy(&context);
    }
    // A folder in the file's place; a pipe that nobody writes to.
    setenv("STIPPLE_CACHE_DIR", folder, 1);
    stp_context *context = new_context();
    assert_int_equal(mkdir(path, 0700), 0);
    assert_null(stp_cache_open(context));
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20);
    assert_null(stp_cache_open(context));
    alarm(0);
    stp_context_destroy(&context);
}

// In a child: what it does must not change this process.
static void in_child(void (*work)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        work();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "not so: %s\nlog: %s\n", #condition, told);                                                \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

// Permissions mean nothing to root.
static void become_nobody(void)
{
    if (geteuid() == 0)
        EXPECT(setgid(65534) == 0 && setuid(65534) == 0);
}

static void use_unusable(void)
{
    become_nobody();
    stp_context *context = new_context();
    EXPECT(!stp_cache_open(context));
    EXPECT(lines_told() == 1);
    stp_context_destroy(&context);
}

// What is there is used, nothing is written, one line says so.
static void use_read_only(void)
{
    become_nobody();
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    EXPECT(cache && lines_told() == 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(has(cache, "works", "binary"));
        store(cache, "more", "binary");
    }
    EXPECT(!has(cache, "more", "binary"));
    EXPECT(lines_told() == 1);
    stp_cache_close(&cache);
    stp_cache_list *list;
    EXPECT(stp_cache_list_create(&list, context) == STP_OK && stp_cache_list_count(list) == 1);
    stp_cache_list_destroy(&list);
    EXPECT(stp_cache_clear(context) == STP_ERROR_IO);
    stp_context_destroy(&context);
}

static void test_read_only(void **state)
{
    (void)state;
    stp_context *context = new_context();
    expect_working(context);
    run_sql("UPDATE programs SET used = used - 1000000");
    chmod(path, 0444);
    chmod(folder, 0555);
    in_child(use_read_only);
    chmod(path, 0666);
    in_child(use_read_only); // a journal could not be made
    chmod(path, 0444);
    chmod(folder, 0777);
    in_child(use_read_only);
    // An empty file that cannot be written, a file that cannot be read.
    chmod(path, 0644);
    write_file("", 0);
    chmod(path, 0444);
    chmod(folder, 0555);
    in_child(use_unusable);
    chmod(path, 0);
    in_child(use_unusable);
    chmod(folder, 0700);
    chmod(path, 0600);
    stp_context_destroy(&context);
}

// Files that may not grow, as on a full disk.
static void limit_files(size_t bytes)
{
    signal(SIGXFSZ, SIG_IGN);
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes}) == 0);
}

static void use_full_disk(void)
{
    size_t size;
    free(read_file(&size));
    limit_files(size);
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    EXPECT(cache);
    static char large[100001];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 3; i++)
        store(cache, "large", large);
    EXPECT(has(cache, "works", "binary"));
    EXPECT(!has(cache, "large", large));
    EXPECT(lines_told() == 1);
    stp_cache_close(&cache);
    stp_context_destroy(&context);
}

static void use_no_room(void)
{
    limit_files(100);
    stp_context *context = new_context();
    EXPECT(!stp_cache_open(context));
    EXPECT(lines_told() == 1);
    stp_context_destroy(&context);
}

static void test_full_disk(void **state)
{
    (void)state;
    stp_context *context = new_context();
    expect_working(context);
    in_child(use_full_disk);
    expect_working(context);
    unlink(path);
    in_child(use_no_room);
    expect_working(context);
    stp_context_destroy(&context);
}

// Processes ----------------------------------------------------------------------------------------------------------

static void write_without_end(int seed)
{
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    static char binary[30001];
    memset(binary, 'k', sizeof binary - 1);
    for (unsigned i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof name, "%u", (i * 7 + (unsigned)seed) % 40);
        store(cache, name, binary);
        stp_cache_store_measurement(cache, &(struct stp_measurement_key){"speed", name, "driver", ""}, "1 2");
    }
}

static void test_killed(void **state)
{
    (void)state;
    stp_context *context = new_context();
    expect_working(context);
    for (int i = 0; i < 60; i++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_without_end(i);
        usleep((useconds_t)(i * 1700 % 40000));
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        told[0] = 0;
        struct stp_cache *cache = stp_cache_open(context);
        assert_true(has(cache, "works", "binary"));
        stp_cache_close(&cache);
        assert_int_equal(lines_told(), 0);
        assert_int_equal(ask_sql(SOUND), 1);
    }
    expect_working(context);
    stp_context_destroy(&context);
}

static void use_with_others(int number)
{
    stp_context *context = new_context();
    for (int i = 0; i < 40; i++) {
        struct stp_cache *cache = stp_cache_open(context);
        char name[32], own[32];
        snprintf(name, sizeof name, "%d", i);
        snprintf(own, sizeof own, "%d of %d", i, number);
        struct stp_program_key key = key_of(name);
        struct stp_cached_program found;
        if (stp_cache_find_program(cache, &key, &found)) {
            EXPECT(found.size == strlen(name) && !memcmp(found.binary, name, found.size));
            free(found.binary);
        } else {
            store(cache, name, name);
        }
        store(cache, own, own);
        stp_cache_close(&cache);
    }
    EXPECT(!strstr(told, "damaged"));
}

static void test_several_processes(void **state)
{
    (void)state;
    enum { PROCESSES = 5 };
    pid_t children[PROCESSES];
    fflush(NULL);
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            alarm(100);
            use_with_others(i);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(ask_sql(SOUND), 1);
    stp_context *context = new_context();
    struct stp_cache *cache = stp_cache_open(context);
    int64_t count = ask_sql("SELECT count(*) FROM programs");
    printf("  %lld of %d stored\n", (long long)count, 40 * (PROCESSES + 1));
    assert_int_equal(ask_sql("SELECT count(*) - count(DISTINCT key) FROM programs"), 0);
    assert_true(count > 40);
    stp_cache_close(&cache);
    stp_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_programs),          TEST(test_bad_entries), TEST(test_failures),       TEST(test_bound),
        TEST(test_measurements),      TEST(test_list),        TEST(test_strange_values), TEST(test_damaged),
        TEST(test_foreign),           TEST(test_locked),      TEST(test_removed),        TEST(test_places),
        TEST(test_impossible_places), TEST(test_read_only),   TEST(test_full_disk),      TEST(test_killed),
        TEST(test_several_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
