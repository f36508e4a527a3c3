// SPDX-License-Identifier: Apache-2.0
// stipple cache: where the cache is, what is in it, and emptying it.
#define _POSIX_C_SOURCE 200809L
#include <getopt.h>
#include <string.h>
#include <time.h>

#include "json.h"

static const char help[] =
    "usage: stipple cache path|list|clear [--json]\n"
    "\n"
    "stipple keeps compiled programs, builds that failed, measurements of devices and results of tuning in a database, so\n"
    "that the next start is quick. It can be removed at any time.\n"
    "\n"
    "  path                print where the database is, or would be\n"
    "  list                list what is in it, latest use first\n"
    "  clear               remove everything in it but the results of tuning (see: stipple tune --reset)\n"
    "\n"
    "      --json          print one JSON object\n" STP_COMMON_HELP "\n"
    "Environment: STIPPLE_CACHE_DIR (its folder; else stipple in XDG_CACHE_HOME, else .cache/stipple in HOME),\n"
    "STIPPLE_CACHE=off (nothing is kept).\n";

struct cache {
    char path[4096];
    stp_cache_list *list;
    uint64_t bytes; // of all entries
};

static void print_entry(const stp_cache_entry *entry)
{
    char day[32] = "?";
    time_t used = (time_t)entry->used;
    struct tm parts;
    if (localtime_r(&used, &parts))
        strftime(day, sizeof day, "%Y-%m-%d", &parts);
    printf("%s  %8.1f KiB  ", day, (double)entry->bytes / 1024);
    stp_put_text(stdout, entry->kind);
    fputs(": ", stdout);
    stp_put_text(stdout, entry->name);
    fputs("  [", stdout);
    stp_put_text(stdout, entry->device);
    fputs("; ", stdout);
    stp_put_text(stdout, entry->driver);
    fputs("]\n", stdout);
}

static void add_entry(cJSON *entries, const stp_cache_entry *entry)
{
    cJSON *object = stp_json_object(entries, NULL);
    stp_json_text(object, "kind", entry->kind);
    stp_json_text(object, "name", entry->name);
    stp_json_text(object, "device", entry->device);
    stp_json_text(object, "driver", entry->driver);
    stp_json_number(object, "bytes", (double)entry->bytes);
    stp_json_integer(object, "made", entry->made);
    stp_json_integer(object, "used", entry->used);
}

static int show_path(struct stp_tool *tool, const struct cache *cache, cJSON *object)
{
    if (object)
        return stp_json_print(tool, object);
    puts(cache->path);
    return stp_tool_printed(tool);
}

static int show_list(struct stp_tool *tool, const struct cache *cache, cJSON *object)
{
    size_t count = stp_cache_list_count(cache->list);
    cJSON *entries = object ? stp_json_array(object, "entries") : NULL;
    for (size_t i = 0; i < count; i++) {
        if (object)
            add_entry(entries, stp_cache_list_get(cache->list, i));
        else
            print_entry(stp_cache_list_get(cache->list, i));
    }
    if (object) {
        stp_json_number(object, "bytes", (double)cache->bytes);
        return stp_json_print(tool, object);
    }
    printf("%zu %s, %.1f MiB\n", count, count == 1 ? "entry" : "entries", (double)cache->bytes / (1 << 20));
    return stp_tool_printed(tool);
}

static int clear(struct stp_tool *tool, const struct cache *cache, cJSON *object)
{
    size_t count = stp_cache_list_count(cache->list);
    if (stp_cache_clear(tool->context) != STP_OK) {
        cJSON_Delete(object);
        stp_error_library(&tool->error, tool->context, NULL);
        return stp_tool_failure(tool);
    }
    if (object) {
        stp_json_number(object, "removed", (double)count);
        stp_json_number(object, "bytes", (double)cache->bytes);
        return stp_json_print(tool, object);
    }
    printf("removed %zu %s, %.1f MiB\n", count, count == 1 ? "entry" : "entries", (double)cache->bytes / (1 << 20));
    return stp_tool_printed(tool);
}

static const struct action {
    const char *name;
    bool lists; // needs cache.list
    int (*call)(struct stp_tool *tool, const struct cache *cache, cJSON *object);
} actions[] = {
    {"path", false, show_path},
    {"list", true, show_list},
    {"clear", true, clear},
};

static int act(struct stp_tool *tool, const struct action *action, bool json)
{
    struct cache cache = {.list = NULL};
    if (!stp_tool_begin(tool))
        return stp_tool_failure(tool);
    stp_status status = stp_cache_path(cache.path, sizeof cache.path, tool->context);
    if (status == STP_OK && action->lists)
        status = stp_cache_list_create(&cache.list, tool->context);
    if (status != STP_OK) {
        stp_error_library(&tool->error, tool->context, NULL);
        return stp_tool_failure(tool);
    }
    for (size_t i = 0; i < stp_cache_list_count(cache.list); i++)
        cache.bytes += stp_cache_list_get(cache.list, i)->bytes;
    cJSON *object = json ? stp_json_object(NULL, NULL) : NULL;
    if (object)
        stp_json_text(object, "path", cache.path);
    int code = action->call(tool, &cache, object);
    stp_cache_list_destroy(&cache.list);
    return code;
}

int stp_verb_cache(struct stp_tool *tool, int argc, char **argv)
{
    bool json = false;
    int status = stp_tool_json_options(tool, argc, argv, "cache", help, &json);
    if (status >= 0)
        return status;
    if (argc - optind != 1)
        return stp_tool_usage(tool, "cache", "cache takes one of path, list and clear");
    for (size_t i = 0; i < STP_COUNT(actions); i++)
        if (!strcmp(argv[optind], actions[i].name))
            return act(tool, &actions[i], json);
    return stp_tool_usage(tool, "cache", "cache takes one of path, list and clear, not '%s'", argv[optind]);
}
