// SPDX-License-Identifier: Apache-2.0
// What the tests of the cache share: a log, and a private folder per test.
#ifndef STP_TESTS_CACHE_FOLDER_H
#define STP_TESTS_CACHE_FOLDER_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stipple/stipple.h>

static char told[64 << 10];        // the log, "LEVEL message" lines
static char folder[64], path[256]; // of the database

static void tell(void *user, stp_log_level level, const char *message)
{
    (void)user;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%d %s\n", level, message);
}

static stp_context *new_context(void)
{
    stp_context *context;
    assert_int_equal(stp_context_create(&context, stp_context_params(.log = tell, .log_level = STP_LOG_DEBUG)), STP_OK);
    told[0] = 0;
    return context;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/stipple-cache.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/stipple.db", folder);
    unsetenv("STIPPLE_CACHE");
    return setenv("STIPPLE_CACHE_DIR", folder, 1);
}

static int tear_down(void **state)
{
    (void)state;
    char command[192];
    snprintf(command, sizeof command, "chmod -R u+w %s && rm -rf %s", folder, folder);
    return system(command);
}

// Statements on the file itself, past the library.
static void run_sql(const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
