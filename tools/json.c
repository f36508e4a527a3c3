// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *pointer)
{
    if (!pointer) {
        fputs("stipple: out of memory\n", stderr);
        exit(STP_EXIT_FAILURE);
    }
    return pointer;
}

// Bytes of the UTF-8 character at `text`, 0 if there is none (overlong forms, surrogates and numbers above U+10FFFF are
// none).
static size_t character(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool beyond = (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf4 && text[1] >= 0x90);
    return overlong || beyond ? 0 : length;
}

static char *valid_text(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *out = need(malloc(strlen(text) * 3 + 1)), *to = out;
    while (*text) {
        size_t length = character((const unsigned char *)text);
        memcpy(to, length ? text : replacement, length ? length : 3);
        to += length ? length : 3;
        text += length ? length : 1;
    }
    *to = 0;
    return out;
}

static cJSON *add(cJSON *parent, const char *key, cJSON *item)
{
    need(item);
    if (!parent)
        return item;
    char *name = key ? valid_text(key) : NULL;
    if (!(name ? cJSON_AddItemToObject(parent, name, item) : cJSON_AddItemToArray(parent, item)))
        need(NULL);
    free(name);
    return item;
}

cJSON *stp_json_object(cJSON *parent, const char *key)
{
    return add(parent, key, cJSON_CreateObject());
}

cJSON *stp_json_array(cJSON *parent, const char *key)
{
    return add(parent, key, cJSON_CreateArray());
}

void stp_json_number(cJSON *parent, const char *key, double value)
{
    add(parent, key, cJSON_CreateNumber(value));
}

void stp_json_bool(cJSON *parent, const char *key, bool value)
{
    add(parent, key, cJSON_CreateBool(value));
}

void stp_json_null(cJSON *parent, const char *key)
{
    add(parent, key, cJSON_CreateNull());
}

void stp_json_text(cJSON *parent, const char *key, const char *text)
{
    char *valid = text ? valid_text(text) : NULL;
    add(parent, key, valid ? cJSON_CreateString(valid) : cJSON_CreateNull());
    free(valid);
}

void stp_json_integer(cJSON *parent, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    add(parent, key, cJSON_CreateRaw(text));
}

bool stp_json_write(cJSON *object, const char *path, struct stp_error *error)
{
    char *text = need(cJSON_PrintUnformatted(object));
    cJSON_Delete(object);
    const bool ok = stp_write_text(path, text, error);
    cJSON_free(text);
    return ok;
}

int stp_json_print(struct stp_tool *tool, cJSON *object)
{
    char *text = need(cJSON_Print(object));
    puts(text);
    cJSON_free(text);
    cJSON_Delete(object);
    return stp_tool_printed(tool);
}
