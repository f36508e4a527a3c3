// SPDX-License-Identifier: Apache-2.0
// The MODEL argument of the verbs.
#ifndef STP_TOOL_MODEL_H
#define STP_TOOL_MODEL_H

#include "tool.h"

struct stp_loaded {
    stp_model *model;
    struct stp_bytes bytes; // standard input's, which the model lies in
};

// `path` "-" is standard input.
bool stp_loaded_open(struct stp_loaded *out, struct stp_tool *tool, const char *path);
void stp_loaded_close(struct stp_loaded *loaded);

#endif
