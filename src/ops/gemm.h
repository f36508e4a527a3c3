// SPDX-License-Identifier: Apache-2.0
// Gemm: y[m][n] = c[m][n] + Σ a[m][k] · b[k][n]; b and c are constants. alpha goes into b, beta into c, in
// double, rounded once.
#ifndef STP_OPS_GEMM_H
#define STP_OPS_GEMM_H

#include "graph/op.h"

struct stp_gemm_params {
    bool trans_a, trans_b;
    float alpha, beta;
    int64_t k, n;
    int64_t c_rows, c_columns; // of c as it lies in the file, each 1 where it broadcasts; 0 without c
};

// What is multiplied and added: alpha · b[k][n], beta · c[m][n] (+0 without c or where beta is 0). The data may
// lie unaligned.
float stp_gemm_weight(const struct stp_node *node, int64_t k, int64_t n);
float stp_gemm_bias(const struct stp_node *node, int64_t m, int64_t n);

#endif
