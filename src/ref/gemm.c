// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm.h"

#include <math.h>

#include "ref/ref.h"

void stp_ref_gemm(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_gemm_params *params = node->params;
    const float *a = in[0]->data;
    int64_t rows = out->dims[0], columns = out->dims[1];
    for (int64_t m = 0; m < rows; m++)
        for (int64_t n = 0; n < columns; n++) {
            float acc = stp_gemm_bias(node, m, n);
            for (int64_t k = 0; k < params->k; k++)
                acc = fmaf(a[params->trans_a ? k * rows + m : m * params->k + k], stp_gemm_weight(node, k, n), acc);
            ((float *)out->data)[m * columns + n] = acc;
        }
}
