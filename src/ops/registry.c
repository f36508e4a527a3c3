// SPDX-License-Identifier: Apache-2.0
#include "ops/registry.h"

const struct stp_op *stp_op_find(const char *domain, const char *type)
{
#define ENTRY(name) &stp_op_##name,
    static const struct stp_op *const ops[] = {STP_OPS(ENTRY)};
#undef ENTRY
    for (size_t i = 0; i < STP_LENGTH(ops); i++)
        if (!strcmp(ops[i]->domain, domain) && !strcmp(ops[i]->type, type))
            return ops[i];
    return NULL;
}
