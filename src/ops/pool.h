// SPDX-License-Identifier: Apache-2.0
// MaxPool, AveragePool (2-D windows) and GlobalAveragePool.
#ifndef STP_OPS_POOL_H
#define STP_OPS_POOL_H

#include "ops/conv.h"

// node->params of MaxPool and AveragePool
struct stp_pool_params {
    struct stp_window_params window;
    bool ceil_mode;
    bool count_include_pad; // AveragePool: taps on the padding count as zeros
};

// For a concrete input: the window, and per axis where the padding behind the image ends. AveragePool with
// count_include_pad divides by the taps before that; those further out, which only ceil_mode makes, never count.
struct stp_window stp_pool_window(const struct stp_node *node, const stp_tensor *x, int64_t end[2]);

// GlobalAveragePool adds in lanes: lane l takes the sites l, l + 64, … in order from +0; then lane l takes lane l +
// 32, for l < 32, then l + 16, for l < 16, … l + 1; lane 0 is divided by H·W.
enum { STP_POOL_LANES = 64 };

#endif
