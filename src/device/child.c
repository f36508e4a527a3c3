// SPDX-License-Identifier: Apache-2.0
// Runs the helper program stipple-probe, which a driver may crash or hang. A program of its own and not a fork: a
// driver that is loaded here may hold threads and locks that do not survive one.
#define _GNU_SOURCE // dladdr(), pipe2()
#include "device/child.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_ARGUMENTS = 8, TAIL = 512 };

bool stp_child_helper(char *path, size_t size)
{
    static const char here;
    Dl_info self;
    const char *slash = dladdr(&here, &self) && self.dli_fname ? strrchr(self.dli_fname, '/') : NULL;
    if (slash) {
        int folder = (int)(slash - self.dli_fname);
        if (snprintf(path, size, "%.*s/stipple-probe", folder, self.dli_fname) < (int)size && access(path, X_OK) == 0)
            return true;
    }
    return snprintf(path, size, "%s", STP_LIBEXEC_DIR "/stipple-probe") < (int)size && access(path, X_OK) == 0;
}

// Starting -----------------------------------------------------------------------------------------------------------

// Read end in fds[0], write end in fds[1]; the latter beyond the numbers that the child's descriptors get.
static bool make_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC))
        return false;
    int high = fcntl(fds[1], F_DUPFD_CLOEXEC, STP_CHILD_ANSWER_FD + 1);
    close(fds[1]);
    fds[1] = high;
    if (high >= 0)
        return true;
    close(fds[0]);
    fds[0] = -1;
    return false;
}

// The environment with OCL_ICD_VENDORS replaced by `setting`; the array is the caller's.
static char **environment_with(char *setting)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (!copy)
        return NULL;
    size_t used = 0;
    copy[used++] = setting;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "OCL_ICD_VENDORS=", 16))
            copy[used++] = environ[i];
    return copy;
}

// posix_spawn() with the pipes in place, no signal blocked or ignored. Returns an errno value.
static int spawn(pid_t *pid, char *const *arguments, char *const *environment, int answer, int errors)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawn_file_actions_init(&actions);
    if (code)
        return code;
    code = posix_spawnattr_init(&attributes);
    if (code) {
        posix_spawn_file_actions_destroy(&actions);
        return code;
    }
    if (posix_spawn_file_actions_adddup2(&actions, errors, STDOUT_FILENO) ||
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO) ||
        posix_spawn_file_actions_adddup2(&actions, answer, STP_CHILD_ANSWER_FD) ||
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0))
        code = ENOMEM;
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!code)
        code = posix_spawn(pid, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

// Listening ----------------------------------------------------------------------------------------------------------

enum ending { ANSWERED, CLOSED, TIMED_OUT };

// Keeps the last bytes of what comes; false at the end of the pipe.
static bool read_tail(int fd, char tail[TAIL + 1])
{
    char text[TAIL];
    ssize_t got = read(fd, text, sizeof text);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    size_t length = strlen(tail), size = (size_t)got;
    size_t keep = length + size > TAIL ? TAIL - size : length;
    memmove(tail, tail + length - keep, keep);
    memcpy(tail + keep, text, size);
    tail[keep + size] = 0;
    return true;
}

// Appends; false at the end of the pipe or of the room.
static bool read_answer(int fd, char *answer, size_t size)
{
    size_t length = strlen(answer);
    ssize_t got = read(fd, answer + length, size - 1 - length);
    if (got > 0)
        answer[length + (size_t)got] = 0;
    return got > 0 || (got < 0 && errno == EINTR);
}

static enum ending hear(struct stp_child *child, int answer, int errors, char tail[TAIL + 1], int timeout_ms)
{
    double deadline = stp_now_ms() + timeout_ms;
    struct pollfd pipes[2] = {{.fd = answer, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    for (;;) {
        double left = deadline - stp_now_ms();
        if (left <= 0)
            return TIMED_OUT;
        if (poll(pipes, 2, (int)left + 1) <= 0)
            continue;
        if (pipes[1].revents && !read_tail(errors, tail))
            pipes[1].fd = -1;
        if (!pipes[0].revents)
            continue;
        bool open = read_answer(answer, child->answer, sizeof child->answer);
        char *newline = strchr(child->answer, '\n');
        if (newline) {
            *newline = 0;
            return ANSWERED;
        }
        if (!open)
            break;
    }
    // What it said last is in the pipe by now.
    while (pipes[1].fd >= 0 && poll(pipes + 1, 1, 0) > 0 && read_tail(errors, tail))
        ;
    child->answer[0] = 0;
    return CLOSED;
}

// The last line that is not empty.
static const char *last_words(char *tail)
{
    const char *line = "";
    for (char *rest = NULL, *next = strtok_r(tail, "\r\n", &rest); next; next = strtok_r(NULL, "\r\n", &rest))
        line = next;
    return line;
}

static void tell_death(struct stp_child *child, enum ending ending, pid_t reaped, int status, char *tail,
                       int timeout_ms)
{
    char how[128] = "it ended without an answer";
    if (ending == TIMED_OUT)
        snprintf(how, sizeof how, "no answer in %g s", timeout_ms * 1e-3);
    else if (reaped > 0 && WIFSIGNALED(status))
        snprintf(how, sizeof how, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (reaped > 0 && WIFEXITED(status))
        snprintf(how, sizeof how, "exit code %d", WEXITSTATUS(status));
    static const int own[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < STP_LENGTH(own); i++)
        child->crashed |= ending != TIMED_OUT && reaped > 0 && WIFSIGNALED(status) && WTERMSIG(status) == own[i];
    const char *words = last_words(tail);
    snprintf(child->death, sizeof child->death, "%s%s%s", how, *words ? ": " : "", words);
}

// waitpid(): < 0 in an application that ignores SIGCHLD.
static pid_t reap(pid_t pid, int *status, int options)
{
    pid_t reaped;
    do
        reaped = waitpid(pid, status, options);
    while (reaped < 0 && errno == EINTR);
    return reaped;
}

static void attend(struct stp_child *child, pid_t pid, int answer, int errors, int timeout_ms)
{
    char tail[TAIL + 1] = "";
    enum ending ending = hear(child, answer, errors, tail, timeout_ms);
    // After an answer too: a driver may hang in its exit handlers.
    if (ending != CLOSED)
        kill(pid, SIGKILL);
    int status = 0;
    pid_t reaped = reap(pid, &status, 0);
    if (ending != ANSWERED)
        tell_death(child, ending, reaped, status, tail, timeout_ms);
}

static void fill_argv(char *argv[MAX_ARGUMENTS + 3], const char *helper, const char *const *arguments)
{
    int count = 0;
    argv[count++] = (char *)helper;
    argv[count++] = (char *)STP_VERSION;
    for (int i = 0; i < MAX_ARGUMENTS && arguments[i]; i++)
        argv[count++] = (char *)arguments[i];
    argv[count] = NULL;
}

stp_status stp_child_run(struct stp_child *out, stp_context *context, const char *helper, const char *const *arguments,
                         const char *vendors, int timeout_ms)
{
    *out = (struct stp_child){0};
    char *argv[MAX_ARGUMENTS + 3];
    fill_argv(argv, helper, arguments);
    char setting[4200];
    snprintf(setting, sizeof setting, "OCL_ICD_VENDORS=%s", vendors ? vendors : "");
    char **environment = vendors ? environment_with(setting) : environ;
    if (!environment)
        return stp_fail_memory(context, sizeof setting, "an environment");

    int answer[2] = {-1, -1}, errors[2] = {-1, -1};
    pid_t pid = -1;
    int code = make_pipe(answer) && make_pipe(errors) ? 0 : errno;
    if (!code)
        code = spawn(&pid, argv, environment, answer[1], errors[1]);
    if (answer[1] >= 0)
        close(answer[1]);
    if (errors[1] >= 0)
        close(errors[1]);
    if (!code)
        attend(out, pid, answer[0], errors[0], timeout_ms);
    if (answer[0] >= 0)
        close(answer[0]);
    if (errors[0] >= 0)
        close(errors[0]);
    if (vendors)
        free(environment);
    return code ? stp_fail(context, STP_ERROR_IO, "cannot run %s: %s", helper, strerror(code)) : STP_OK;
}

pid_t stp_child_start(const char *helper, const char *const *arguments)
{
    char *argv[MAX_ARGUMENTS + 3];
    pid_t pid;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0)
        return 0;
    fill_argv(argv, helper, arguments);
    int code = spawn(&pid, argv, environ, nowhere, nowhere);
    close(nowhere);
    return code ? 0 : pid;
}

bool stp_child_runs(pid_t child)
{
    int status;
    return reap(child, &status, WNOHANG) == 0;
}

void stp_child_stop(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    reap(child, &status, 0);
}
