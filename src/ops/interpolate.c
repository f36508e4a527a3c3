// SPDX-License-Identifier: Apache-2.0
#include "ops/interpolate.h"

#include <math.h>

#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"
#include "sparse/lower_sparse.h"

int64_t stp_interpolate_kept_taps(const struct stp_node *node)
{
    const struct stp_value *weight = node->inputs[2];
    int64_t kept = 0;
    for (int64_t i = 0; i < weight->dims[0] * weight->dims[1]; i++)
        kept += stp_float_at(weight->data, i) != 0;
    return kept;
}

static stp_status check_weight(struct stp_graph *graph, const struct stp_node *node)
{
    const struct stp_value *weight = node->inputs[2];
    char text[128];
    STP_TRY(stp_check_type(graph, node, 2, STP_TYPE(STP_F32)));
    if (!stp_value_is_constant(weight))
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "its weight '%s' must be a constant", weight->name);
    if (weight->rank != 2 || weight->dims[0] % 2 != 1 || weight->dims[1] % 2 != 1 || weight->dims[0] > 255 ||
        weight->dims[1] > 255)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                             "its weight '%s' has shape %s: kH×kW, odd, at most 255, is wanted", weight->name,
                             stp_shape_text(text, sizeof text, weight->rank, weight->dims));
    for (int64_t i = 0; i < weight->dims[0] * weight->dims[1]; i++)
        if (!isfinite(stp_float_at(weight->data, i)))
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "its weight '%s' holds %g", weight->name,
                                 (double)stp_float_at(weight->data, i));
    return STP_OK;
}

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_interpolate_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    if (!stp_attr_find(node, "epsilon"))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute 'epsilon' is missing");
    STP_TRY(stp_attr_float(graph->context, node, "epsilon", 0, &params->epsilon));
    if (!isfinite(params->epsilon) || params->epsilon < 0)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute 'epsilon' is %g",
                             (double)params->epsilon);
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_F32)));
    STP_TRY(stp_check_type(graph, node, 1, STP_TYPE(STP_F32)));
    STP_TRY(check_weight(graph, node));
    stp_set_type(node, STP_F32);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const int64_t *x = in[0]->dims, *m = in[1]->dims;
    char text[2][128];
    if (in[0]->rank != 4 || in[1]->rank != 4 || m[1] != 1 || m[2] != x[2] || m[3] != x[3] || (m[0] != x[0] && m[0] != 1))
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "a mask of shape %s does not fit features of shape %s",
                             stp_shape_text(text[0], sizeof text[0], in[1]->rank, m),
                             stp_shape_text(text[1], sizeof text[1], in[0]->rank, x));
    *out = stp_tensor_make(STP_F32, 4, x);
    return STP_OK;
}

const struct stp_op stp_op_Interpolate = {
    .domain = "stipple", .type = "Interpolate", .min_version = 1, .max_version = 1,
    .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_MASK,
    .check = check, .shape = shape, .ref = stp_ref_interpolate, .lower = stp_lower_interpolate,
};
