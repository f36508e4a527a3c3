// SPDX-License-Identifier: Apache-2.0
// Conv: y[n][oc] = bias[oc] + Σ over taps and input channels of the group. Variants: src/sparse/conv_rows.c.
#include "ops/conv.h"

#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"
#include "sparse/lower_sparse.h"

// The window, shared with the pools ------------------------------------------------------------------------------------

static stp_status two_ints(struct stp_graph *graph, const struct stp_node *node, const char *name, int64_t least,
                           int64_t *out)
{
    const int64_t *ints;
    size_t count;
    STP_TRY(stp_attr_ints(graph->context, node, name, &ints, &count));
    if (!ints)
        return STP_OK;
    if (count != 2)
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node,
                             "attribute '%s' has %zu numbers: only 2-D is implemented", name, count);
    for (int a = 0; a < 2; a++) {
        if (ints[a] < least || ints[a] > INT32_MAX)
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute '%s' holds %lld", name,
                                 (long long)ints[a]);
        out[a] = ints[a];
    }
    return STP_OK;
}

static stp_status check_pads(struct stp_graph *graph, const struct stp_node *node, struct stp_window_params *out)
{
    const int64_t *pads;
    size_t count;
    STP_TRY(stp_attr_ints(graph->context, node, "pads", &pads, &count));
    if (pads && count != 4)
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node,
                             "attribute 'pads' has %zu numbers: only 2-D is implemented", count);
    for (int i = 0; pads && i < 4; i++) {
        if (pads[i] < 0 || pads[i] > INT32_MAX)
            return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "attribute 'pads' holds %lld",
                                 (long long)pads[i]);
        (i < 2 ? out->pad_begin : out->pad_end)[i % 2] = pads[i];
    }
    return STP_OK;
}

stp_status stp_window_check(struct stp_graph *graph, const struct stp_node *node, struct stp_window_params *out)
{
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    for (int a = 0; a < 2; a++)
        out->stride[a] = out->dilation[a] = 1;
    STP_TRY(two_ints(graph, node, "kernel_shape", 1, out->kernel));
    STP_TRY(two_ints(graph, node, "strides", 1, out->stride));
    STP_TRY(two_ints(graph, node, "dilations", 1, out->dilation));
    const char *auto_pad;
    STP_TRY(stp_attr_string(graph->context, node, "auto_pad", "NOTSET", &auto_pad));
    size_t kind = 0;
    while (kind < STP_LENGTH(names) && strcmp(auto_pad, names[kind]))
        kind++;
    if (kind == STP_LENGTH(names))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute 'auto_pad' is '%s'", auto_pad);
    out->auto_pad = (enum stp_auto_pad)kind;
    return out->auto_pad == STP_PAD_NOTSET ? check_pads(graph, node, out) : STP_OK;
}

int64_t stp_window_output(const struct stp_window_params *params, int a, int64_t size, bool ceil_mode, int64_t *pad_begin)
{
    int64_t extent = (params->kernel[a] - 1) * params->dilation[a] + 1, stride = params->stride[a];
    int64_t begin = params->pad_begin[a], end = params->pad_end[a];
    if (params->auto_pad == STP_PAD_SAME_UPPER || params->auto_pad == STP_PAD_SAME_LOWER) {
        int64_t output = stp_div_up(size, stride);
        int64_t total = stp_max64((output - 1) * stride + extent - size, 0);
        *pad_begin = params->auto_pad == STP_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        return output;
    }
    *pad_begin = begin;
    int64_t room = size + begin + end - extent;
    if (room < 0)
        return 0;
    if (!ceil_mode)
        return room / stride + 1;
    int64_t output = stp_div_up(room, stride) + 1;
    // A last window must start inside the image or the padding before it.
    return (output - 1) * stride >= size + begin ? output - 1 : output;
}

// Checks -------------------------------------------------------------------------------------------------------------

static stp_status check_constant(struct stp_graph *graph, const struct stp_node *node, int index, const char *what, int rank)
{
    const struct stp_value *value = node->inputs[index];
    if (!stp_value_is_constant(value))
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "its %s '%s' must be a constant", what,
                             value->name);
    STP_TRY(stp_check_type(graph, node, index, STP_TYPE(STP_F32)));
    if (value->rank != rank)
        return stp_fail_node(graph->context, rank == 4 && value->rank > 2 ? STP_ERROR_UNSUPPORTED : STP_ERROR_INVALID_MODEL,
                             node, "its %s '%s' has rank %d: only 2-D is implemented, with rank %d", what, value->name,
                             value->rank, rank);
    stp_tensor t = stp_value_tensor(value);
    int64_t count = stp_tensor_elements(&t), bad = stp_find_not_finite(t.data, count);
    if (bad == count)
        return STP_OK;
    return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "its %s '%s' holds %g", what, value->name,
                         (double)stp_float_at(t.data, bad));
}

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_conv_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_F32)));
    STP_TRY(check_constant(graph, node, 1, "weight", 4));
    const int64_t *w = node->inputs[1]->dims;
    STP_TRY(stp_window_check(graph, node, &params->window));
    int64_t *kernel = params->window.kernel;
    if (kernel[0] && (kernel[0] != w[2] || kernel[1] != w[3]))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                             "attribute 'kernel_shape' is %lld×%lld, its weight is %lld×%lld", (long long)kernel[0],
                             (long long)kernel[1], (long long)w[2], (long long)w[3]);
    kernel[0] = w[2];
    kernel[1] = w[3];
    STP_TRY(stp_attr_int(graph->context, node, "group", 1, &params->group));
    if (params->group < 1 || w[0] < 1 || w[1] < 1 || w[2] < 1 || w[3] < 1 || w[0] % params->group)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                             "%lld groups do not fit a weight of %lld×%lld×%lld×%lld", (long long)params->group,
                             (long long)w[0], (long long)w[1], (long long)w[2], (long long)w[3]);
    if (node->n_inputs > 2 && node->inputs[2]) {
        STP_TRY(check_constant(graph, node, 2, "bias", 1));
        if (node->inputs[2]->dims[0] != w[0])
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                                 "its bias has %lld numbers for %lld output channels", (long long)node->inputs[2]->dims[0],
                                 (long long)w[0]);
    }
    node->is_mask_conv = params->group == 1 && w[2] * w[3] > 1 && w[0] <= 4;
    stp_set_type(node, STP_F32);
    return STP_OK;
}

// Shapes -------------------------------------------------------------------------------------------------------------

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_conv_params *params = node->params;
    const int64_t *x = in[0]->dims, *w = in[1]->dims;
    char text[128];
    if (in[0]->rank != 4)
        return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node,
                             "its input has shape %s: only images of rank 4 are implemented",
                             stp_shape_text(text, sizeof text, in[0]->rank, in[0]->dims));
    if (x[1] != w[1] * params->group)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "its input has %lld channels, its weight is for %lld × %lld groups", (long long)x[1],
                             (long long)w[1], (long long)params->group);
    *out = stp_tensor_make(STP_F32, 4, (int64_t[]){x[0], w[0], 0, 0});
    for (int a = 0; a < 2; a++) {
        int64_t pad;
        out->dims[2 + a] = stp_window_output(&params->window, a, x[2 + a], false, &pad);
        if (out->dims[2 + a] < 1)
            return stp_fail_node(context, STP_ERROR_INVALID_ARGUMENT, node,
                                 "the image is too small: a %s of %lld is less than its window", a ? "width" : "height",
                                 (long long)x[2 + a]);
    }
    return STP_OK;
}

struct stp_window stp_conv_window(const struct stp_node *node, const stp_tensor *x, const stp_tensor *w)
{
    const struct stp_window_params *params = &((const struct stp_conv_params *)node->params)->window;
    struct stp_window window;
    for (int a = 0; a < 2; a++) {
        window.kernel[a] = w->dims[2 + a];
        window.stride[a] = params->stride[a];
        window.dilation[a] = params->dilation[a];
        stp_window_output(params, a, x->dims[2 + a], false, &window.pad[a]);
    }
    return window;
}

bool stp_conv_is_pointwise(const struct stp_node *node)
{
    const struct stp_conv_params *params = node->params;
    const struct stp_window_params *w = &params->window;
    bool padded = false;
    for (int a = 0; a < 2; a++)
        padded = padded || (w->auto_pad == STP_PAD_NOTSET && (w->pad_begin[a] || w->pad_end[a]));
    return params->group == 1 && w->kernel[0] == 1 && w->kernel[1] == 1 && w->stride[0] == 1 && w->stride[1] == 1 && !padded;
}

const struct stp_op stp_op_Conv = {
    .domain = "", .type = "Conv", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_CONV,
    .check = check, .shape = shape, .ref = stp_ref_conv, .lower = stp_lower_conv,
};
