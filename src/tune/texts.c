// SPDX-License-Identifier: Apache-2.0
// Results of tuning as text: a heading, then lines of four fields between tabs: device, driver, kernels and class, choice.
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <stipple/tune.h>

#include "device/cache_db.h"
#include "device/tuned.h"

#define HEADING "stipple tuning 1"

// Export -------------------------------------------------------------------------------------------------------------

// A field is one line, and holds no tab.
static bool is_field(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text))
            return false;
    return true;
}

static void write_line(void *file, const struct stp_measurement_key *key, const char *value)
{
    struct stp_tuned tuned;
    if (is_field(key->device) && is_field(key->driver) && stp_tuned_read(&tuned, key->subject, value))
        fprintf(file, "%s\t%s\t%s\t%s\n", key->device, key->driver, key->subject, value);
}

stp_status stp_tuning_export(char **out, stp_context *context)
{
    if (!out || !context)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    struct stp_cache *cache;
    size_t size = 0;
    STP_TRY(stp_cache_open_or_fail(&cache, context));
    FILE *file = open_memstream(out, &size);
    if (file) {
        fputs(HEADING "\n", file);
        stp_cache_each_measurement(cache, STP_TUNING, NULL, write_line, file);
    }
    const bool ok = file && !ferror(file);
    const bool closed = file && !fclose(file);
    stp_cache_close(&cache);
    if (ok && closed)
        return STP_OK;
    free(*out);
    *out = NULL;
    return stp_fail_memory(context, size, "the text of tuning's results");
}

void stp_tuning_free(void *bytes)
{
    free(bytes);
}

// Import -------------------------------------------------------------------------------------------------------------

struct line {
    char *fields[4];
    struct stp_tuned tuned;
    bool foreign;
};

// Of kernels that ours are not: sixteen other digits, then a class.
static bool is_foreign(const char *subject, const char *value)
{
    struct stp_conv_shape class;
    char ours[STP_TUNED_TEXT];
    if (strspn(subject, "0123456789abcdef") != 16 || subject[16] != ' ' || !stp_conv_class_read(&class, subject + 17) || !strchr(value, ':'))
        return false;
    stp_tuned_subject(ours, &class);
    return strcmp(subject, ours) != 0;
}

static bool read_line(struct line *out, char *text)
{
    out->fields[0] = text;
    for (int i = 1; i < 4; i++) {
        char *tab = strchr(out->fields[i - 1], '\t');
        if (!tab)
            return false;
        *tab = 0;
        out->fields[i] = tab + 1;
    }
    for (int i = 0; i < 4; i++)
        if (!is_field(out->fields[i]))
            return false;
    if (!*out->fields[0] || strlen(out->fields[0]) >= STP_IDENTITY_TEXT)
        return false;
    out->foreign = !stp_tuned_read(&out->tuned, out->fields[2], out->fields[3]);
    return !out->foreign || is_foreign(out->fields[2], out->fields[3]);
}

struct known {
    const struct line *line;
    int least; // permille of what is there for the line's device and class; 0: nothing
};

static void find_known(void *user, const struct stp_measurement_key *key, const char *value)
{
    struct known *known = user;
    struct stp_tuned tuned;
    if (strcmp(key->subject, known->line->fields[2]) || !stp_tuned_read(&tuned, key->subject, value))
        return;
    if (!known->least || tuned.permille < known->least)
        known->least = tuned.permille;
}

static void take(struct stp_cache *cache, const struct line *line, stp_tuning_import *out)
{
    struct known known = {line, 0};
    if (line->foreign) {
        out->foreign++;
        return;
    }
    stp_cache_each_measurement(cache, STP_TUNING, line->fields[0], find_known, &known);
    if (known.least && known.least <= line->tuned.permille) {
        out->known++;
        return;
    }
    // No driver: nothing that comes from elsewhere is taken for verified.
    const struct stp_measurement_key key = {.kind = STP_TUNING, .device = line->fields[0], .driver = "", .subject = line->fields[2]};
    stp_cache_replace_measurement(cache, &key, line->fields[3]);
    out->taken++;
}

// Calls `visit` for each line behind the heading. The number of the first that is none of an export's, or 0.
static size_t each_line(char *text, void (*visit)(struct stp_cache *, const struct line *, stp_tuning_import *), struct stp_cache *cache,
                        stp_tuning_import *out)
{
    size_t number = 0;
    for (char *next = text, *end; *next || !number; next = end) {
        end = next + strcspn(next, "\n");
        if (*end)
            *end++ = 0;
        struct line line;
        if (++number == 1 ? strcmp(next, HEADING) != 0 : !read_line(&line, next))
            return number;
        if (number > 1 && visit)
            visit(cache, &line, out);
    }
    return 0;
}

// All lines are looked at before the first is taken.
static stp_status import(stp_tuning_import *out, struct stp_cache *cache, const char *text, size_t size, const char *name)
{
    for (int pass = 0; pass < 2; pass++) {
        char *copy = strndup(text, size);
        if (!copy)
            return stp_fail_memory(cache->context, size, "the text of tuning's results");
        const size_t bad = strlen(copy) < size ? 1 : each_line(copy, pass ? take : NULL, cache, out);
        free(copy);
        if (bad)
            return stp_fail(cache->context, STP_ERROR_INVALID_ARGUMENT, "%s: line %zu is none of 'stipple tune --export'", name, bad);
    }
    return stp_cache_check_changes(cache);
}

stp_status stp_tuning_import_text(stp_tuning_import *out, stp_context *context, const char *text, size_t size, const char *name)
{
    if (!out || !context || !text || !name)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = (stp_tuning_import){0};
    struct stp_cache *cache;
    STP_TRY(stp_cache_open_or_fail(&cache, context));
    const stp_status status = import(out, cache, text, size, name);
    stp_cache_close(&cache);
    return status;
}

// Reset --------------------------------------------------------------------------------------------------------------

stp_status stp_tuning_reset(stp_device *device)
{
    static const char *const kinds[] = {STP_TUNING, STP_TRIAL};
    if (!device)
        return STP_ERROR_INVALID_ARGUMENT;
    struct stp_cache *cache;
    const struct stp_device_key key = stp_device_key(&device->info);
    STP_TRY(stp_cache_open_or_fail(&cache, device->context));
    for (size_t i = 0; i < STP_LENGTH(kinds); i++)
        stp_cache_drop_measurements(cache, kinds[i], key.device);
    const stp_status status = stp_cache_check_changes(cache);
    stp_cache_close(&cache);
    stp_tuned_destroy(&device->tuned);
    return status;
}
