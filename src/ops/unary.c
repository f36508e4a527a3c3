// SPDX-License-Identifier: Apache-2.0
// Relu, Sigmoid, Not, Identity, Cast: y[i] = f(x[i]).
#include "ops/unary.h"

#include "ops/box.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

// Types that an operator takes in an opset.
static unsigned input_types(enum stp_unary kind, int opset)
{
    switch (kind) {
    case STP_UNARY_RELU: return opset >= 14 ? STP_TYPES_NUMBER : STP_TYPE(STP_F32);
    case STP_UNARY_SIGMOID: return STP_TYPE(STP_F32);
    case STP_UNARY_NOT: return STP_TYPE(STP_BOOL);
    case STP_UNARY_IDENTITY:
    case STP_UNARY_CAST: break;
    }
    return STP_TYPES_ALL;
}

// Cast's `to`, a TensorProto.DataType.
static stp_status cast_target(stp_context *context, const struct stp_node *node, stp_dtype *out)
{
    int64_t to;
    STP_TRY(stp_attr_required_int(context, node, "to", &to));
    switch (to) {
    case 1: *out = STP_F32; return STP_OK;
    case 6: *out = STP_I32; return STP_OK;
    case 7: *out = STP_I64; return STP_OK;
    case 9: *out = STP_BOOL; return STP_OK;
    default:
        return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node,
                             "attribute 'to' is data type %lld; float32 (1), int32 (6), int64 (7) and bool (9) are "
                             "supported",
                             (long long)to);
    }
}

static stp_status check(struct stp_graph *graph, struct stp_node *node, enum stp_unary kind)
{
    struct stp_unary_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    params->kind = kind;
    STP_TRY(stp_check_type(graph, node, 0, input_types(kind, node->version)));
    stp_dtype type = node->inputs[0]->dtype;
    if (kind == STP_UNARY_CAST)
        STP_TRY(cast_target(graph->context, node, &type));
    stp_set_type(node, type);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    (void)context;
    out[0] = stp_tensor_make(node->outputs[0]->dtype, in[0]->rank, in[0]->dims);
    return STP_OK;
}

static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    static const enum stp_box_function functions[] = {
        [STP_UNARY_RELU] = STP_BOX_RELU,
        [STP_UNARY_SIGMOID] = STP_BOX_SIGMOID,
        [STP_UNARY_NOT] = STP_BOX_NOT,
        [STP_UNARY_IDENTITY] = STP_BOX_COPY,
        [STP_UNARY_CAST] = STP_BOX_CAST,
    };
    enum stp_unary kind = ((const struct stp_unary_params *)node->params)->kind;
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *y = stp_plan_place(plan, node->outputs[0]);
    if (kind == STP_UNARY_IDENTITY || (kind == STP_UNARY_CAST && x->dtype == y->dtype))
        return stp_lower_same(plan, node);
    struct stp_box box = stp_box_of(y, functions[kind]);
    stp_box_operand(&box, x);
    return stp_box_lower(plan, node, &box);
}

#define UNARY(op, kind, reference)                                                                                     \
    static stp_status check_##op(struct stp_graph *graph, struct stp_node *node)                                       \
    {                                                                                                                  \
        return check(graph, node, kind);                                                                               \
    }                                                                                                                  \
    const struct stp_op stp_op_##op = {                                                                                \
        .domain = "", .type = #op, .min_version = 6, .max_version = STP_OPSET_LATEST,                                  \
        .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1,                                          \
        .region = STP_REGION_SITEWISE, .on_host = true,                                                                \
        .check = check_##op, .shape = shape, .ref = reference, .lower = lower,                                         \
    };

UNARY(Relu, STP_UNARY_RELU, stp_ref_unary)
UNARY(Sigmoid, STP_UNARY_SIGMOID, stp_ref_unary)
UNARY(Not, STP_UNARY_NOT, stp_ref_unary)
UNARY(Identity, STP_UNARY_IDENTITY, stp_ref_copy)
UNARY(Cast, STP_UNARY_CAST, stp_ref_unary)
