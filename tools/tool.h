// SPDX-License-Identifier: Apache-2.0
// What every part of the command shares: messages, files, the state of one invocation.
#ifndef STP_TOOL_H
#define STP_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <stipple/stipple.h>

#define STP_COUNT(array) (sizeof(array) / sizeof *(array))

enum { STP_EXIT_OK = 0, STP_EXIT_FAILURE = 1, STP_EXIT_USAGE = 2 };

// The sentence that describes a failure; functions that can fail take one and return false.
struct stp_error {
    char text[2304];
};
// Always false.
bool stp_error_set(struct stp_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The library's last error, behind "WHAT: " unless `what` is NULL. Always false.
bool stp_error_library(struct stp_error *error, const stp_context *context, const char *what);

struct stp_tool {
    stp_context *context; // NULL until stp_tool_begin()
    stp_log_level level;  // of messages on stderr
    struct stp_error error;
    bool line_shown; // a progress line stands on the terminal
};

// Level from STIPPLE_LOG; false if that holds no level.
bool stp_tool_init(struct stp_tool *tool);
// Makes the library's context, with the level that options have set by now.
bool stp_tool_begin(struct stp_tool *tool);
void stp_tool_end(struct stp_tool *tool);

// One line "stipple: …" on stderr if `level` is told; warnings are marked as such.
void stp_tool_say(struct stp_tool *tool, stp_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Says tool->error and returns STP_EXIT_FAILURE.
int stp_tool_failure(struct stp_tool *tool);
// Says the sentence, and where help is (`verb` may be NULL), and returns STP_EXIT_USAGE.
int stp_tool_usage(struct stp_tool *tool, const char *verb, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Flushes stdout; the exit status of a verb that has printed its answer.
int stp_tool_printed(struct stp_tool *tool);
// Shows a line that the next one replaces, where stderr is a terminal and warnings are told.
void stp_tool_progress(struct stp_tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
void stp_tool_progress_end(struct stp_tool *tool);

// Options that every verb has, for its getopt_long() tables. With opterr 0 and an option string that starts with ':'.
#define STP_COMMON_SHORT "hvq"
#define STP_COMMON_LONG                                                                                                \
    {"help", no_argument, NULL, 'h'}, {"verbose", no_argument, NULL, 'v'},                                             \
    {                                                                                                                  \
        "quiet", no_argument, NULL, 'q'                                                                                \
    }
#define STP_COMMON_HELP                                                                                                \
    "  -v, --verbose       tell more on stderr (twice: everything)\n"                                                  \
    "  -q, --quiet         tell errors only\n"                                                                         \
    "  -h, --help          print this help\n"
// Handles what getopt_long() returned where the verb itself does not know it: -1 to go on, else the exit status.
int stp_tool_option(struct stp_tool *tool, int option, char **argv, const char *verb, const char *help);

// Parses the options of a verb that has --json and no other of its own: -1 to go on, else the exit status.
int stp_tool_json_options(struct stp_tool *tool, int argc, char **argv, const char *verb, const char *help, bool *json);

// Prints text that may come from a file: control characters become '?', so that no terminal obeys them.
void stp_put_text(FILE *file, const char *text);
// A shape such as "1×3×H×W"; a free dimension by its name or "?".
void stp_put_shape(FILE *file, int rank, const int64_t *dims, const char *const *names);

struct stp_bytes {
    unsigned char *data; // freed by the owner; may be NULL if size is 0
    size_t size;
};
// A regular file. The error names the path.
bool stp_read_file(struct stp_bytes *out, const char *path, struct stp_error *error);
bool stp_read_stdin(struct stp_bytes *out, struct stp_error *error);
// In place of what is there. The error names the path.
bool stp_write_text(const char *path, const char *text, struct stp_error *error);

int stp_verb_bench(struct stp_tool *tool, int argc, char **argv);
int stp_verb_cache(struct stp_tool *tool, int argc, char **argv);
int stp_verb_devices(struct stp_tool *tool, int argc, char **argv);
int stp_verb_info(struct stp_tool *tool, int argc, char **argv);
int stp_verb_profile(struct stp_tool *tool, int argc, char **argv);
int stp_verb_run(struct stp_tool *tool, int argc, char **argv);
int stp_verb_selftest(struct stp_tool *tool, int argc, char **argv);
int stp_verb_tune(struct stp_tool *tool, int argc, char **argv);

#endif
