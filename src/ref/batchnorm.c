// SPDX-License-Identifier: Apache-2.0
#include "ops/batchnorm.h"

#include <math.h>

#include "ref/ref.h"

void stp_ref_batchnorm(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_batchnorm_params *params = node->params;
    int64_t count = stp_tensor_elements(in[0]), each = 1;
    for (int d = 2; d < in[0]->rank; d++)
        each *= in[0]->dims[d];
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / each % params->channels;
        ((float *)out->data)[i] = fmaf(((const float *)in[0]->data)[i], params->scale[c], params->shift[c]);
    }
}
