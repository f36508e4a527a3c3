// SPDX-License-Identifier: Apache-2.0
// The child process that a driver may take down: whatever becomes of it is told, and nothing here goes down with it.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/child.h"
#include "device/probe.h"

// Set by the build: STP_TEST_HELPER (stipple-probe), STP_TEST_BAD_DRIVER (tests/bad_driver.c).

struct fixture {
    stp_context *context;
    char folder[64], script[80], icd[80];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    if (!fixture || stp_context_create(&fixture->context, NULL) != STP_OK)
        return 1;
    strcpy(fixture->folder, "/tmp/stipple-child.XXXXXX");
    if (!mkdtemp(fixture->folder))
        return 1;
    snprintf(fixture->script, sizeof fixture->script, "%s/helper", fixture->folder);
    snprintf(fixture->icd, sizeof fixture->icd, "%s/bad.icd", fixture->folder);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    unlink(fixture->script);
    unlink(fixture->icd);
    rmdir(fixture->folder);
    stp_context_destroy(&fixture->context);
    free(fixture);
    return 0;
}

// Puts a shell script in the helper's place.
static void write_script(struct fixture *fixture, const char *script)
{
    char text[1024];
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
    write_file(fixture->script, text);
    assert_int_equal(chmod(fixture->script, 0700), 0);
}

static struct stp_child run(struct fixture *fixture, const char *script, int timeout_ms)
{
    write_script(fixture, script);
    struct stp_child child;
    const char *const arguments[] = {"device", "0", "a platform", "a name", NULL};
    assert_int_equal(stp_child_run(&child, fixture->context, fixture->script, arguments, NULL, timeout_ms), STP_OK);
    return child;
}

static void test_answer(void **state)
{
    struct stp_child child = run(*state, "echo inexact subnormals >&3", 10000);
    assert_string_equal(child.answer, "inexact subnormals");
    assert_string_equal(child.death, "");
}

static void test_arguments(void **state)
{
    struct stp_child child = run(*state, "echo \"$1|$2|$3|$4|$5|$#\" >&3", 10000);
    assert_string_equal(child.answer, STP_VERSION "|device|0|a platform|a name|5");
}

static void test_noise_is_no_answer(void **state)
{
    struct stp_child child = run(*state, "echo exact; echo exact >&2; echo fine >&3", 10000);
    assert_string_equal(child.answer, "fine");
}

static void test_hang_after_answer(void **state)
{
    double start = stp_now_ms();
    struct stp_child child = run(*state, "echo exact >&3; exec sleep 30", 20000);
    assert_string_equal(child.answer, "exact");
    assert_true(stp_now_ms() - start < 10000);
}

static void test_deaths(void **state)
{
    static const struct {
        const char *script, *death;
    } cases[] = {
        {"kill -ABRT $$", "signal 6 (Aborted)"},
        {"kill -SEGV $$", "signal 11 (Segmentation fault)"},
        {"echo first >&2; echo LLVM ERROR: cannot select >&2; echo >&2; kill -ABRT $$",
         "signal 6 (Aborted): LLVM ERROR: cannot select"},
        {"exit 3", "exit code 3"},
        {"exit 0", "exit code 0"},
        {"printf 'no newline' >&3", "exit code 0"},
        {"exec sleep 30", "no answer in 0.3 s"},
        {"printf half >&3; exec sleep 30", "no answer in 0.3 s"},
        {"yes noise | head -c 300000 >&2; echo the end >&2; exit 1", "exit code 1: the end"},
    };
    for (size_t i = 0; i < STP_LENGTH(cases); i++) {
        struct stp_child child = run(*state, cases[i].script, strstr(cases[i].death, "no answer") ? 300 : 20000);
        assert_string_equal(child.death, cases[i].death);
    }
}

static void test_ignored_sigchld(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGCHLD, &ignore, &before);
    struct stp_child child = run(*state, "echo exact >&3", 10000);
    assert_string_equal(child.answer, "exact");
    child = run(*state, "kill -ABRT $$", 10000);
    assert_string_equal(child.death, "it ended without an answer");
    sigaction(SIGCHLD, &before, NULL);
}

static void test_no_descriptor_leaks(void **state)
{
    int before = dup(0);
    close(before);
    for (int i = 0; i < 20; i++)
        run(*state, "exit 1", 10000);
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

static void check_started(struct fixture *fixture)
{
    const char *const arguments[] = {"compile", NULL};
    write_script(fixture, "exec sleep 60");
    pid_t child = stp_child_start(fixture->script, arguments);
    assert_true(child > 0);
    assert_true(stp_child_runs(child));
    stp_child_stop(child);
    assert_false(stp_child_runs(child));
    write_script(fixture, "exit 1");
    child = stp_child_start(fixture->script, arguments);
    for (int i = 0; i < 1000 && stp_child_runs(child); i++)
        poll(NULL, 0, 10);
    assert_false(stp_child_runs(child));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // none is left
}

static void test_start(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    int free_descriptor = dup(0);
    close(free_descriptor);
    check_started(*state);
    sigaction(SIGCHLD, &ignore, &before);
    check_started(*state);
    sigaction(SIGCHLD, &before, NULL);
    assert_int_equal(stp_child_start("/no/such/helper", (const char *const[]){"compile", NULL}), 0);
    int after = dup(0);
    close(after);
    assert_int_equal(after, free_descriptor);
}

static void test_missing_helper(void **state)
{
    struct fixture *fixture = *state;
    struct stp_child child;
    const char *const arguments[] = {"list", NULL};
    assert_int_equal(stp_child_run(&child, fixture->context, "/nowhere/stipple-probe", arguments, NULL, 1000),
                     STP_ERROR_IO);
    assert_non_null(strstr(stp_last_error(fixture->context), "/nowhere/stipple-probe"));
}

// A helper of another version, or called by hand, does nothing.
static void test_wrong_version(void **state)
{
    struct fixture *fixture = *state;
    struct stp_child child = run(fixture, "exec '" STP_TEST_HELPER "' 0.0.0 list", 10000);
    assert_string_equal(child.answer, "");
    assert_non_null(strstr(child.death, "exit code 2"));
}

// Probing ------------------------------------------------------------------------------------------------------------

static void probe(struct fixture *fixture, const char *script, stp_device_info *info, struct stp_arena *arena)
{
    write_script(fixture, script);
    *info = (stp_device_info){.platform = "p", .name = "n", .inexact = "not probed"};
    assert_int_equal(stp_probe_device(fixture->context, fixture->script, arena, 0, info, 10000), STP_OK);
}

static void test_findings(void **state)
{
    struct stp_arena arena = {0};
    stp_device_info info;
    probe(*state, "echo exact >&3", &info, &arena);
    assert_null(info.inexact);
    assert_null(info.unusable);
    probe(*state, "echo inexact fma, division >&3", &info, &arena);
    assert_string_equal(info.inexact, "fma, division");
    assert_null(info.unusable);
    probe(*state, "echo error building failed >&3", &info, &arena);
    assert_string_equal(info.inexact, "not probed");
    assert_string_equal(info.unusable, "the probe failed: building failed");
    probe(*state, "kill -ABRT $$", &info, &arena);
    assert_string_equal(info.unusable, "the probe died: signal 6 (Aborted)");
    stp_arena_free(&arena);
}

static void test_real_helper(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(stp_probe_listing(fixture->context, STP_TEST_HELPER, 60000), STP_OK);
}

static void check_bad_driver(struct fixture *fixture, int timeout_ms, const char *death)
{
    assert_int_equal(stp_probe_listing(fixture->context, STP_TEST_HELPER, timeout_ms), STP_ERROR_DEVICE);
    const char *error = stp_last_error(fixture->context);
    if (!strstr(error, death) || !strstr(error, fixture->icd))
        fail_msg("%s", error);
}

static void test_bad_driver(void **state)
{
    struct fixture *fixture = *state;
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "oclgrind"))
        skip(); // it reads no driver files
    char *before = getenv("OCL_ICD_VENDORS") ? strdup(getenv("OCL_ICD_VENDORS")) : NULL;
    write_file(fixture->icd, STP_TEST_BAD_DRIVER "\n");
    setenv("OCL_ICD_VENDORS", fixture->folder, 1);
    check_bad_driver(fixture, 60000, "signal 6 (Aborted): bad_driver: cannot select");
    setenv("BAD_DRIVER_HANGS", "1", 1);
    check_bad_driver(fixture, 1000, "no answer in 1 s");
    unsetenv("BAD_DRIVER_HANGS");
    if (before)
        setenv("OCL_ICD_VENDORS", before, 1);
    else
        unsetenv("OCL_ICD_VENDORS");
    free(before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_answer),
        TEST(test_arguments),
        TEST(test_noise_is_no_answer),
        TEST(test_hang_after_answer),
        TEST(test_deaths),
        TEST(test_ignored_sigchld),
        TEST(test_no_descriptor_leaks),
        TEST(test_start),
        TEST(test_missing_helper),
        TEST(test_wrong_version),
        TEST(test_findings),
        TEST(test_real_helper),
        TEST(test_bad_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
