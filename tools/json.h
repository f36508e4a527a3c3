// SPDX-License-Identifier: Apache-2.0
// Building the JSON answers. When memory is short these functions end the command with a message.
#ifndef STP_JSON_H
#define STP_JSON_H

#include "tool.h"

#include <cjson/cJSON.h>

// A new object (array) under `key` of an object, or at the end of an array where `key` is NULL; `parent` NULL: the
// outermost.
cJSON *stp_json_object(cJSON *parent, const char *key);
cJSON *stp_json_array(cJSON *parent, const char *key);
// NaN and infinite numbers become null.
void stp_json_number(cJSON *parent, const char *key, double value);
void stp_json_bool(cJSON *parent, const char *key, bool value);
void stp_json_null(cJSON *parent, const char *key);
// NULL becomes null; what is not UTF-8 becomes U+FFFD.
void stp_json_text(cJSON *parent, const char *key, const char *text);
// An integer too large for a double, exactly.
void stp_json_integer(cJSON *parent, const char *key, int64_t value);

// Writes the object to a file and frees it. The error names the file.
bool stp_json_write(cJSON *object, const char *path, struct stp_error *error);

// Prints the object alone on stdout and frees it; the exit status.
int stp_json_print(struct stp_tool *tool, cJSON *object);

#endif
