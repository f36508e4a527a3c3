// SPDX-License-Identifier: Apache-2.0
// Conv: 2-D, any kernel, stride, dilation, pads, groups. Weights and bias are constants.
#ifndef STP_OPS_CONV_H
#define STP_OPS_CONV_H

#include "graph/instance.h"
#include "graph/op.h"

enum stp_auto_pad { STP_PAD_NOTSET, STP_PAD_VALID, STP_PAD_SAME_UPPER, STP_PAD_SAME_LOWER };

// What Conv and the pools share. y first, x second.
struct stp_window_params {
    enum stp_auto_pad auto_pad;
    int64_t kernel[2], stride[2], dilation[2];
    int64_t pad_begin[2], pad_end[2]; // with STP_PAD_NOTSET
};

// node->params of Conv. `window.kernel` is the weights' H×W.
struct stp_conv_params {
    struct stp_window_params window;
    int64_t group;
};

// auto_pad, strides, dilations, pads; kernel_shape too where it is given (else *out keeps its kernel).
stp_status stp_window_check(struct stp_graph *graph, const struct stp_node *node, struct stp_window_params *out);

// The output's size along axis `a` (0: y, 1: x) for an input of `size`, and the padding before it; ≤ 0 if the window does not fit.
int64_t stp_window_output(const struct stp_window_params *params, int a, int64_t size, bool ceil_mode, int64_t *pad_begin);

// The window of a Conv node for concrete shapes of its input and weights.
struct stp_window stp_conv_window(const struct stp_node *node, const stp_tensor *x, const stp_tensor *w);

// 1×1, stride 1, no padding, one group.
bool stp_conv_is_pointwise(const struct stp_node *node);

#endif
