// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Errors -------------------------------------------------------------------------------------------------------------

bool stp_error_set(struct stp_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}

bool stp_error_library(struct stp_error *error, const stp_context *context, const char *what)
{
    return stp_error_set(error, "%s%s%s", what ? what : "", what ? ": " : "", stp_last_error(context));
}

// Messages -----------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    stp_log_level level;
} levels[] = {
    {"none", STP_LOG_NONE}, {"error", STP_LOG_ERROR}, {"warn", STP_LOG_WARN},
    {"info", STP_LOG_INFO}, {"debug", STP_LOG_DEBUG},
};

bool stp_tool_init(struct stp_tool *tool)
{
    *tool = (struct stp_tool){.level = STP_LOG_WARN};
    const char *text = getenv("STIPPLE_LOG");
    if (!text || !*text)
        return true;
    for (size_t i = 0; i < STP_COUNT(levels); i++)
        if (!strcmp(text, levels[i].name)) {
            tool->level = levels[i].level;
            return true;
        }
    return stp_error_set(&tool->error, "STIPPLE_LOG is '%s', but it can be none, error, warn, info or debug", text);
}

static void put_message(struct stp_tool *tool, const char *prefix, const char *message)
{
    stp_tool_progress_end(tool);
    fprintf(stderr, "stipple: %s", prefix);
    stp_put_text(stderr, message);
    fputc('\n', stderr);
}

// The library's errors come back as a status; the command says the one that ends it.
static void on_log(void *user, stp_log_level level, const char *message)
{
    struct stp_tool *tool = user;
    if (level != STP_LOG_ERROR && level <= tool->level)
        put_message(tool, level == STP_LOG_WARN ? "warning: " : "", message);
}

bool stp_tool_begin(struct stp_tool *tool)
{
    stp_status status = stp_context_create(
        &tool->context, stp_context_params(.log = on_log, .log_user = tool, .log_level = tool->level));
    return status == STP_OK || stp_error_set(&tool->error, "no context: %s", stp_status_name(status));
}

void stp_tool_end(struct stp_tool *tool)
{
    stp_tool_progress_end(tool);
    stp_context_destroy(&tool->context);
}

void stp_tool_say(struct stp_tool *tool, stp_log_level level, const char *format, ...)
{
    if (level > tool->level)
        return;
    char text[sizeof tool->error.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_message(tool, level == STP_LOG_WARN ? "warning: " : "", text);
}

int stp_tool_failure(struct stp_tool *tool)
{
    stp_tool_say(tool, STP_LOG_ERROR, "%s", tool->error.text);
    return STP_EXIT_FAILURE;
}

int stp_tool_usage(struct stp_tool *tool, const char *verb, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    stp_tool_say(tool, STP_LOG_ERROR, "%s (see: stipple %s%s--help)", text, verb ? verb : "", verb ? " " : "");
    return STP_EXIT_USAGE;
}

int stp_tool_printed(struct stp_tool *tool)
{
    if (fflush(stdout) || ferror(stdout)) {
        stp_error_set(&tool->error, "cannot write to standard output: %s", strerror(errno));
        return stp_tool_failure(tool);
    }
    return STP_EXIT_OK;
}

void stp_tool_progress(struct stp_tool *tool, const char *format, ...)
{
    if (tool->level < STP_LOG_WARN || !isatty(STDERR_FILENO))
        return;
    char text[80]; // one line of any terminal
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fputs("\r\033[K", stderr);
    stp_put_text(stderr, text);
    fflush(stderr);
    tool->line_shown = true;
}

void stp_tool_progress_end(struct stp_tool *tool)
{
    if (tool->line_shown)
        fputs("\r\033[K", stderr);
    tool->line_shown = false;
}

int stp_tool_option(struct stp_tool *tool, int option, char **argv, const char *verb, const char *help)
{
    switch (option) {
    case 'h': fputs(help, stdout); return stp_tool_printed(tool);
    case 'v':
        tool->level = tool->level < STP_LOG_WARN ? STP_LOG_WARN : tool->level;
        tool->level += tool->level < STP_LOG_DEBUG;
        return -1;
    case 'q': tool->level = tool->level < STP_LOG_ERROR ? tool->level : STP_LOG_ERROR; return -1;
    case ':': return stp_tool_usage(tool, verb, "option '%s' needs a value", argv[optind - 1]);
    default: break;
    }
    const char *word = argv[optind - 1];
    // A short option is named by optopt: it may stand in a cluster, whose argv entry getopt has not left yet.
    if (optopt && (!word || strncmp(word, "--", 2)))
        return stp_tool_usage(tool, verb, "unknown option '-%c'", optopt);
    return stp_tool_usage(tool, verb, optopt ? "option '%s' takes no value" : "unknown or ambiguous option '%s'", word);
}

int stp_tool_json_options(struct stp_tool *tool, int argc, char **argv, const char *verb, const char *help, bool *json)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, STP_COMMON_LONG, {0}};
    int option, status = -1;
    while (status < 0 && (option = getopt_long(argc, argv, ":" STP_COMMON_SHORT, options, NULL)) != -1) {
        if (option == 'j')
            *json = true;
        else
            status = stp_tool_option(tool, option, argv, verb, help);
    }
    return status;
}

// Text ---------------------------------------------------------------------------------------------------------------

void stp_put_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, file);
    }
}

void stp_put_shape(FILE *file, int rank, const int64_t *dims, const char *const *names)
{
    if (rank < 0)
        fputs("of any shape", file);
    if (rank == 0)
        fputs("scalar", file);
    for (int i = 0; i < rank; i++) {
        fputs(i ? "×" : "", file);
        if (dims[i] >= 0)
            fprintf(file, "%" PRId64, dims[i]);
        else
            stp_put_text(file, names && names[i] ? names[i] : "?");
    }
}

// Files --------------------------------------------------------------------------------------------------------------

bool stp_read_file(struct stp_bytes *out, const char *path, struct stp_error *error)
{
    *out = (struct stp_bytes){0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); // a pipe that nobody writes to must not hold us up
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!file) {
        stp_error_set(error, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    struct stat info;
    bool ok = false;
    if (fstat(fileno(file), &info)) {
        stp_error_set(error, "cannot read %s: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        stp_error_set(error, "%s is not a regular file", path);
    } else {
        size_t size = (size_t)info.st_size;
        out->data = malloc(size + 1);
        if (!out->data)
            stp_error_set(error, "out of memory: %zu bytes for %s", size, path);
        else if ((out->size = fread(out->data, 1, size, file)) < size)
            stp_error_set(error, "cannot read %s: %s", path, ferror(file) ? strerror(errno) : "it became shorter");
        else
            ok = true;
    }
    fclose(file);
    if (!ok) {
        free(out->data);
        *out = (struct stp_bytes){0};
    }
    return ok;
}

bool stp_read_stdin(struct stp_bytes *out, struct stp_error *error)
{
    const size_t limit = INT32_MAX; // protobuf's own: a longer message is no ONNX file
    size_t capacity = 1 << 20;
    *out = (struct stp_bytes){.data = malloc(capacity)};
    while (out->data) {
        out->size += fread(out->data + out->size, 1, capacity - out->size, stdin);
        if (out->size < capacity && !ferror(stdin))
            return true;
        if (ferror(stdin) || out->size > limit) {
            stp_error_set(error, "cannot read standard input: %s", ferror(stdin) ? strerror(errno) : "over 2 GiB");
            free(out->data);
            *out = (struct stp_bytes){0};
            return false;
        }
        unsigned char *grown = realloc(out->data, capacity * 2);
        if (!grown)
            free(out->data);
        out->data = grown;
        capacity *= 2;
    }
    *out = (struct stp_bytes){0};
    return stp_error_set(error, "out of memory: %zu bytes for standard input", capacity);
}

bool stp_write_text(const char *path, const char *text, struct stp_error *error)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return stp_error_set(error, "cannot write %s: %s", path, strerror(errno));
    const bool written = fputs(text, file) >= 0 && !fflush(file);
    const int code = errno;
    if (!fclose(file) && written)
        return true;
    return stp_error_set(error, "cannot write %s: %s", path, strerror(written ? errno : code));
}
