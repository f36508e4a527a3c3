// SPDX-License-Identifier: Apache-2.0
#include "ops/sample.h"

#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"
#include "sparse/lower_sparse.h"

static stp_status check_range(struct stp_graph *graph, const struct stp_node *node, const char *name, int64_t *out)
{
    STP_TRY(stp_attr_required_int(graph->context, node, name, out));
    if (*out < 0 || *out > INT32_MAX)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute '%s' is %lld: 0 … 2^31 − 1 is allowed",
                             name, (long long)*out);
    return STP_OK;
}

// Two Samples of one stream would draw the same numbers.
static stp_status check_stream(struct stp_graph *graph, const struct stp_node *node, int64_t stream)
{
    for (int n = 0; n < graph->n_nodes; n++) {
        const struct stp_node *other = graph->nodes[n];
        const struct stp_sample_params *params = other->params;
        if (other != node && other->op == node->op && params && params->stream == stream)
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                                 "attribute 'stream' is %lld, as in node '%s'", (long long)stream, other->name);
    }
    return STP_OK;
}

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    int64_t stochastic, stream, grid;
    STP_TRY(check_range(graph, node, "stochastic", &stochastic));
    STP_TRY(check_range(graph, node, "stream", &stream));
    STP_TRY(check_range(graph, node, "grid", &grid));
    if (stochastic > 1)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "attribute 'stochastic' is %lld, not 0 or 1",
                             (long long)stochastic);
    STP_TRY(check_stream(graph, node, stream));
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_F32)));
    STP_TRY(stp_check_type(graph, node, 1, STP_TYPE(STP_I64)));
    struct stp_sample_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    *params = (struct stp_sample_params){.stochastic = stochastic == 1, .stream = stream, .grid = grid};
    stp_set_type(node, STP_F32);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    char text[128];
    if (in[0]->rank != 4 || in[0]->dims[1] != 1)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "its logits have shape %s, not N×1×H×W",
                             stp_shape_text(text, sizeof text, in[0]->rank, in[0]->dims));
    if (in[1]->rank != 1 || (in[1]->dims[0] != 1 && in[1]->dims[0] != in[0]->dims[0]))
        return stp_fail_node(context, STP_ERROR_INVALID_ARGUMENT, node,
                             "its seed has shape %s: one seed, or one for each of %lld images, is wanted",
                             stp_shape_text(text, sizeof text, in[1]->rank, in[1]->dims), (long long)in[0]->dims[0]);
    *out = stp_tensor_make(STP_F32, 4, in[0]->dims);
    return STP_OK;
}

const struct stp_op stp_op_Sample = {
    .domain = "stipple", .type = "Sample", .min_version = 1, .max_version = 1,
    .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_ALL,
    .check = check, .shape = shape, .ref = stp_ref_sample, .lower = stp_lower_sample,
};
