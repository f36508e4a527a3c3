// SPDX-License-Identifier: Apache-2.0
// Gemm: one fma chain over k from the bias, or from +0.
#include "ops/gemm.h"

#include "ops/lower.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

float stp_gemm_weight(const struct stp_node *node, int64_t k, int64_t n)
{
    const struct stp_gemm_params *p = node->params;
    float b = stp_float_at(node->inputs[1]->data, p->trans_b ? n * p->k + k : k * p->n + n);
    return (float)((double)p->alpha * (double)b); // b itself where alpha is 1
}

float stp_gemm_bias(const struct stp_node *node, int64_t m, int64_t n)
{
    const struct stp_gemm_params *p = node->params;
    if (p->c_rows == 0 || p->beta == 0)
        return 0;
    int64_t row = p->c_rows == 1 ? 0 : m, column = p->c_columns == 1 ? 0 : n;
    return (float)((double)p->beta * (double)stp_float_at(node->inputs[2]->data, row * p->c_columns + column));
}

// Checks -------------------------------------------------------------------------------------------------------------

static stp_status check_constant(struct stp_graph *graph, const struct stp_node *node, int index, const char *what)
{
    const struct stp_value *value = node->inputs[index];
    STP_TRY(stp_check_type(graph, node, index, STP_TYPE(STP_F32)));
    if (!stp_value_is_constant(value))
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "its %s '%s' must be a constant", what,
                             value->name);
    return STP_OK;
}

static stp_status bad_bias(struct stp_graph *graph, const struct stp_node *node)
{
    const struct stp_gemm_params *params = node->params;
    const struct stp_value *c = node->inputs[2];
    char text[128];
    return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                         "its C '%s' of shape %s does not broadcast to rows of %lld", c->name,
                         stp_shape_text(text, sizeof text, c->rank, c->dims), (long long)params->n);
}

static stp_status check_bias(struct stp_graph *graph, const struct stp_node *node, struct stp_gemm_params *params)
{
    const struct stp_value *c = node->inputs[2];
    STP_TRY(check_constant(graph, node, 2, "C"));
    if (c->rank > 2)
        return bad_bias(graph, node);
    params->c_columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    params->c_rows = c->rank > 1 ? c->dims[0] : 1;
    if ((params->c_columns != 1 && params->c_columns != params->n) || params->c_rows < 1)
        return bad_bias(graph, node);
    bool broadcast = true;
    if (node->version < 7)
        STP_TRY(stp_attr_flag(graph->context, node, "broadcast", false, &broadcast));
    if (!broadcast && (c->rank != 2 || params->c_columns != params->n))
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                             "its C '%s' needs the attribute 'broadcast' before opset 7", c->name);
    return STP_OK;
}

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    struct stp_gemm_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    STP_TRY(stp_attr_flag(graph->context, node, "transA", false, &params->trans_a));
    STP_TRY(stp_attr_flag(graph->context, node, "transB", false, &params->trans_b));
    STP_TRY(stp_attr_float(graph->context, node, "alpha", 1, &params->alpha));
    STP_TRY(stp_attr_float(graph->context, node, "beta", 1, &params->beta));
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_F32)));
    STP_TRY(check_constant(graph, node, 1, "B"));
    const struct stp_value *b = node->inputs[1];
    if (b->rank != 2)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "its B '%s' has rank %d, not 2", b->name,
                             b->rank);
    params->k = b->dims[params->trans_b ? 1 : 0];
    params->n = b->dims[params->trans_b ? 0 : 1];
    if (node->n_inputs > 2 && node->inputs[2])
        STP_TRY(check_bias(graph, node, params));
    else if (node->version < 11)
        return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node, "input 2 is missing");
    stp_set_type(node, STP_F32);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_gemm_params *params = node->params;
    const stp_tensor *a = in[0];
    char text[2][128];
    if (a->rank != 2 || a->dims[params->trans_a ? 0 : 1] != params->k)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                             "'%s' of shape %s%s does not fit '%s' of shape %s%s",
                             node->inputs[0]->name, stp_shape_text(text[0], sizeof text[0], a->rank, a->dims),
                             params->trans_a ? ", transposed," : "", node->inputs[1]->name,
                             stp_shape_text(text[1], sizeof text[1], in[1]->rank, in[1]->dims),
                             params->trans_b ? ", transposed" : "");
    int64_t m = a->dims[params->trans_a ? 1 : 0];
    if (params->c_rows > 1 && params->c_rows != m)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "its C '%s' has %lld rows, the product has %lld",
                             node->inputs[2]->name, (long long)params->c_rows, (long long)m);
    *out = stp_tensor_make(STP_F32, 2, (int64_t[]){m, params->n});
    return STP_OK;
}

// Lowering -----------------------------------------------------------------------------------------------------------

enum { COLUMNS = 16 }; // per piece, as cl/gemm.cl has it

static int64_t padded_columns(const struct stp_gemm_params *params)
{
    return stp_div_up(params->n, COLUMNS) * COLUMNS;
}

// → [panel][k][COLUMNS]; the destination is zeroed
static void pack_weights(void *destination, const void *user)
{
    const struct stp_node *node = user;
    const struct stp_gemm_params *params = node->params;
    float *to = destination;
    for (int64_t n = 0; n < params->n; n++)
        for (int64_t k = 0; k < params->k; k++)
            to[(n / COLUMNS * params->k + k) * COLUMNS + n % COLUMNS] = stp_gemm_weight(node, k, n);
}

// → [1 or rows of c][padded columns]
static void pack_bias(void *destination, const void *user)
{
    const struct stp_node *node = user;
    const struct stp_gemm_params *params = node->params;
    float *to = destination;
    for (int64_t m = 0; m < stp_max64(params->c_rows, 1); m++)
        for (int64_t n = 0; n < params->n; n++)
            to[m * padded_columns(params) + n] = stp_gemm_bias(node, m, n);
}

static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_gemm_params *params = node->params;
    const struct stp_place *a = stp_plan_place(plan, node->inputs[0]), *y = stp_plan_place(plan, node->outputs[0]);
    int64_t m = y->dims[0], n = y->dims[1], columns = padded_columns(params);
    if (!m || !n)
        return STP_OK;
    int weights = stp_plan_constant(plan, node, 0, (size_t)(columns * params->k) * sizeof(float), pack_weights, node);
    int bias = stp_plan_constant(plan, node, 1, (size_t)(columns * stp_max64(params->c_rows, 1)) * sizeof(float), pack_bias,
                                 node);
    struct stp_step *step = stp_plan_step(plan, node, "gemm", "", "gemm");
    stp_step_read(step, a->slot);
    stp_step_read(step, weights);
    stp_step_read(step, bias);
    stp_step_write(step, y->slot);
    stp_step_int(step, stp_plan_i32(plan, node, m));
    stp_step_int(step, stp_plan_i32(plan, node, n));
    stp_step_int(step, stp_plan_i32(plan, node, params->k));
    stp_step_int(step, stp_plan_i32(plan, node, params->trans_a ? 1 : params->k));
    stp_step_int(step, stp_plan_i32(plan, node, params->trans_a ? m : 1));
    stp_step_int(step, stp_plan_i32(plan, node, params->c_rows));
    stp_step_stride(step, m * columns / COLUMNS);
    return STP_OK;
}

const struct stp_op stp_op_Gemm = {
    .domain = "", .type = "Gemm", .min_version = 6, .max_version = STP_OPSET_LATEST,
    .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_ALL,
    .check = check, .shape = shape, .ref = stp_ref_gemm, .lower = lower,
};
