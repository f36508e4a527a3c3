// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <stdlib.h>
#include <string.h>

bool stp_loaded_open(struct stp_loaded *out, struct stp_tool *tool, const char *path)
{
    *out = (struct stp_loaded){0};
    stp_status status;
    if (strcmp(path, "-")) {
        status = stp_model_load_file(&out->model, tool->context, path);
    } else {
        if (!stp_read_stdin(&out->bytes, &tool->error))
            return false;
        status = stp_model_load_memory(&out->model, tool->context, out->bytes.data, out->bytes.size);
    }
    if (status == STP_OK)
        return true;
    stp_loaded_close(out);
    const char *said = stp_last_error(tool->context);
    const char *name = strcmp(path, "-") ? path : "standard input";
    // An input/output error names its file already.
    return stp_error_library(&tool->error, tool->context, strstr(said, name) ? NULL : name);
}

void stp_loaded_close(struct stp_loaded *loaded)
{
    stp_model_destroy(&loaded->model);
    free(loaded->bytes.data);
    *loaded = (struct stp_loaded){0};
}
