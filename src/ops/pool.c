// SPDX-License-Identifier: Apache-2.0
// MaxPool: the largest tap in raster order; NaN passes on, padding never wins. AveragePool: the taps inside the image
// added in raster order from +0, divided by their number (or, with count_include_pad, that of the taps on the padding
// too). GlobalAveragePool: pool.h. A window that lies outside the image as a whole, which dilation can make, gives
// −Inf and NaN.
#include "ops/pool.h"

#include "ops/lower.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

// Checks -------------------------------------------------------------------------------------------------------------

static stp_status check_since(struct stp_graph *graph, const struct stp_node *node, const char *name, int version)
{
    if (node->version < version && stp_attr_find(node, name))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                             "attribute '%s' needs opset %d, the file has %d", name, version, node->version);
    return STP_OK;
}

// As in ONNX Runtime: else a window could lie in the padding as a whole.
static stp_status check_padding(struct stp_graph *graph, const struct stp_node *node,
                                const struct stp_window_params *window)
{
    for (int a = 0; a < 2; a++)
        if (window->pad_begin[a] >= window->kernel[a] || window->pad_end[a] >= window->kernel[a])
            return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node,
                                 "a padding of %lld and %lld is not less than its window of %lld",
                                 (long long)window->pad_begin[a], (long long)window->pad_end[a],
                                 (long long)window->kernel[a]);
    return STP_OK;
}

static stp_status check_window(struct stp_graph *graph, struct stp_node *node, struct stp_pool_params *params)
{
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_F32)));
    STP_TRY(check_since(graph, node, "ceil_mode", 10));
    if (!stp_attr_find(node, "kernel_shape"))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute 'kernel_shape' is missing");
    STP_TRY(stp_window_check(graph, node, &params->window));
    STP_TRY(check_padding(graph, node, &params->window));
    STP_TRY(stp_attr_flag(graph->context, node, "ceil_mode", false, &params->ceil_mode));
    stp_set_type(node, STP_F32);
    return STP_OK;
}

static stp_status check_max(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_pool_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(check_since(graph, node, "dilations", 10));
    if (node->n_outputs > 1 && node->outputs[1])
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node,
                             "its output of indices '%s' is not implemented", node->outputs[1]->name);
    return check_window(graph, node, params);
}

static stp_status check_average(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_pool_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(check_since(graph, node, "dilations", 19));
    STP_TRY(check_since(graph, node, "count_include_pad", 7));
    // Before opset 7 ONNX does not say; ONNX Runtime counts the padding.
    STP_TRY(stp_attr_flag(graph->context, node, "count_include_pad", node->version < 7, &params->count_include_pad));
    return check_window(graph, node, params);
}

static stp_status check_global(struct stp_graph *graph, struct stp_node *node)
{
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_F32)));
    stp_set_type(node, STP_F32);
    return STP_OK;
}

// Shapes -------------------------------------------------------------------------------------------------------------

static stp_status check_image(stp_context *context, const struct stp_node *node, const stp_tensor *x)
{
    char text[128];
    if (x->rank != 4)
        return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node,
                             "its input '%s' has shape %s: only images of rank 4 are implemented",
                             node->inputs[0]->name, stp_shape_text(text, sizeof text, x->rank, x->dims));
    return STP_OK;
}

static stp_status too_small(stp_context *context, const struct stp_node *node, const stp_tensor *x)
{
    char text[128];
    return stp_fail_node(context, STP_ERROR_INVALID_ARGUMENT, node,
                         "the image is too small: its input '%s' has shape %s, which its window does not fit",
                         node->inputs[0]->name, stp_shape_text(text, sizeof text, x->rank, x->dims));
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_pool_params *params = node->params;
    STP_TRY(check_image(context, node, in[0]));
    *out = stp_tensor_make(STP_F32, 4, in[0]->dims);
    for (int a = 0; a < 2; a++) {
        int64_t pad;
        out->dims[2 + a] = stp_window_output(&params->window, a, in[0]->dims[2 + a], params->ceil_mode, &pad);
        if (out->dims[2 + a] < 1)
            return too_small(context, node, in[0]);
    }
    return STP_OK;
}

static stp_status shape_global(stp_context *context, const struct stp_node *node, const stp_tensor *const *in,
                               stp_tensor *out)
{
    const int64_t *x = in[0]->dims;
    STP_TRY(check_image(context, node, in[0]));
    if (x[2] < 1 || x[3] < 1)
        return too_small(context, node, in[0]);
    *out = stp_tensor_make(STP_F32, 4, (int64_t[]){x[0], x[1], 1, 1});
    return STP_OK;
}

struct stp_window stp_pool_window(const struct stp_node *node, const stp_tensor *x, int64_t end[2])
{
    const struct stp_pool_params *params = node->params;
    const struct stp_window_params *p = &params->window;
    struct stp_window window;
    for (int a = 0; a < 2; a++) {
        int64_t size = x->dims[2 + a];
        window.kernel[a] = p->kernel[a];
        window.stride[a] = p->stride[a];
        window.dilation[a] = p->dilation[a];
        int64_t output = stp_window_output(p, a, size, params->ceil_mode, &window.pad[a]);
        bool same = p->auto_pad == STP_PAD_SAME_UPPER || p->auto_pad == STP_PAD_SAME_LOWER;
        int64_t reach = (output - 1) * p->stride[a] - window.pad[a] + (p->kernel[a] - 1) * p->dilation[a] + 1;
        end[a] = same ? stp_max64(size, reach) : size + p->pad_end[a];
    }
    return window;
}

// Lowering -----------------------------------------------------------------------------------------------------------

enum { AVERAGE = 1, COUNT_PADDING = 2 }; // flags of cl/pool.cl

static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_pool_params *params = node->params;
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *y = stp_plan_place(plan, node->outputs[0]);
    int64_t end[2];
    struct stp_window w = stp_pool_window(node, stp_plan_tensor(plan, node->inputs[0]), end);
    if (!y->rows.sites || !y->dims[1])
        return STP_OK;
    int flags = node->op == &stp_op_AveragePool ? AVERAGE | (params->count_include_pad ? COUNT_PADDING : 0) : 0;
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    struct stp_step *step = stp_plan_step(plan, node, "pool", limits->vector_width >= 8 ? "-DVEC=8" : "-DVEC=4",
                                          limits->is_cpu ? "pool" : "pool_channels");
    stp_step_read(step, x->slot);
    stp_step_write(step, y->slot);
    stp_step_int(step, stp_plan_i32(plan, node, y->rows.sites));
    const int64_t numbers[16] = {x->dims[2],    x->dims[3],  y->dims[2],    y->dims[3],    w.kernel[0], w.kernel[1],
                                 w.stride[0],   w.stride[1], w.dilation[0], w.dilation[1], w.pad[0],    w.pad[1],
                                 x->dims[1],    flags,       end[0],        end[1]};
    stp_step_ints(step, numbers, 16);
    stp_step_stride(step, limits->is_cpu ? y->rows.sites : y->rows.sites * y->dims[1]);
    return STP_OK;
}

static stp_status lower_global(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *y = stp_plan_place(plan, node->outputs[0]);
    int64_t items = x->dims[0] * x->dims[1];
    if (!items)
        return STP_OK;
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    struct stp_step *step = stp_plan_step(plan, node, "pool", limits->vector_width >= 8 ? "-DVEC=8" : "-DVEC=4",
                                          limits->is_cpu ? "global_average" : "global_average_channels");
    stp_step_read(step, x->slot);
    stp_step_write(step, y->slot);
    stp_step_int(step, stp_plan_i32(plan, node, x->dims[0]));
    stp_step_int(step, stp_plan_i32(plan, node, x->dims[1]));
    stp_step_int(step, stp_plan_i32(plan, node, x->dims[2] * x->dims[3]));
    stp_step_stride(step, items);
    return STP_OK;
}

const struct stp_op stp_op_MaxPool = {
    .domain = "", .type = "MaxPool", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 2,
    .region = STP_REGION_ALL,
    .check = check_max, .shape = shape, .ref = stp_ref_max_pool, .lower = lower,
};

const struct stp_op stp_op_AveragePool = {
    .domain = "", .type = "AveragePool", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_ALL,
    .check = check_average, .shape = shape, .ref = stp_ref_average_pool, .lower = lower,
};

const struct stp_op stp_op_GlobalAveragePool = {
    .domain = "", .type = "GlobalAveragePool", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_ALL,
    .check = check_global, .shape = shape_global, .ref = stp_ref_global_average_pool, .lower = lower_global,
};
