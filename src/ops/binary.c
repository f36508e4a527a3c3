// SPDX-License-Identifier: Apache-2.0
// Add, Sub, Mul, Div, Min, Max, And, Or and the comparisons: y = a ∘ b, element by element, broadcasting as numpy does.
#include "ops/binary.h"

#include "graph/infer.h"
#include "ops/box.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

// The opsets from which on an operator takes a type, and broadcasts as numpy does. NEVER: it never does.
enum { NEVER = INT32_MAX };
static const struct rule {
    int floats, ints, bools, broadcasts;
} rules[] = {
    [STP_BINARY_ADD] = {6, 6, NEVER, 7},
    [STP_BINARY_SUB] = {6, 6, NEVER, 7},
    [STP_BINARY_MUL] = {6, 6, NEVER, 7},
    [STP_BINARY_DIV] = {6, 6, NEVER, 7},
    [STP_BINARY_MIN] = {6, 12, NEVER, 8},
    [STP_BINARY_MAX] = {6, 12, NEVER, 8},
    [STP_BINARY_AND] = {NEVER, NEVER, 6, 7},
    [STP_BINARY_OR] = {NEVER, NEVER, 6, 7},
    [STP_BINARY_EQUAL] = {11, 6, 6, 7},
    [STP_BINARY_GREATER] = {6, 9, NEVER, 7},
    [STP_BINARY_LESS] = {6, 9, NEVER, 7},
    [STP_BINARY_GREATER_OR_EQUAL] = {12, 12, NEVER, 12},
    [STP_BINARY_LESS_OR_EQUAL] = {12, 12, NEVER, 12},
};

static unsigned input_types(const struct rule *rule, int opset)
{
    return (opset >= rule->floats ? STP_TYPE(STP_F32) : 0) | (opset >= rule->ints ? STP_TYPES_INT : 0) |
           (opset >= rule->bools ? STP_TYPE(STP_BOOL) : 0);
}

static stp_status check(struct stp_graph *graph, struct stp_node *node, enum stp_binary kind)
{
    struct stp_binary_params *params = stp_node_params(graph, node, sizeof *params);
    if (!params)
        return STP_ERROR_OUT_OF_MEMORY;
    params->kind = kind;
    params->same_shape = node->version < rules[kind].broadcasts;
    for (int i = 0; i < node->n_inputs; i++)
        STP_TRY(stp_check_type(graph, node, i, input_types(&rules[kind], node->version)));
    STP_TRY(stp_check_same_type(graph, node, 0, STP_TYPES_ALL));
    if (params->same_shape) {
        bool broadcast; // opset 6 aligned the second operand at an attribute `axis`
        STP_TRY(stp_attr_flag(graph->context, node, "broadcast", false, &broadcast));
        if (broadcast)
            return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node,
                                 "attribute 'broadcast' of opset %d is not supported; convert the model to opset 7 or "
                                 "later",
                                 node->version);
    }
    stp_set_type(node, kind >= STP_BINARY_AND ? STP_BOOL : node->inputs[0]->dtype);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_binary_params *params = node->params;
    out[0].dtype = node->outputs[0]->dtype;
    for (int i = 1; params->same_shape && i < node->n_inputs; i++)
        if (!stp_tensor_same_shape(in[0], in[i])) {
            char a[256], b[256];
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node,
                                 "inputs '%s' (%s) and '%s' (%s) differ in shape; opset %d does not broadcast them",
                                 node->inputs[0]->name, stp_shape_text(a, sizeof a, in[0]->rank, in[0]->dims),
                                 node->inputs[i]->name, stp_shape_text(b, sizeof b, in[i]->rank, in[i]->dims),
                                 node->version);
        }
    return stp_broadcast(context, node, in, 0, node->n_inputs, &out[0]);
}

static const enum stp_box_function functions[] = {
    [STP_BINARY_ADD] = STP_BOX_ADD,
    [STP_BINARY_SUB] = STP_BOX_SUB,
    [STP_BINARY_MUL] = STP_BOX_MUL,
    [STP_BINARY_DIV] = STP_BOX_DIV,
    [STP_BINARY_MIN] = STP_BOX_MIN,
    [STP_BINARY_MAX] = STP_BOX_MAX,
    [STP_BINARY_AND] = STP_BOX_AND,
    [STP_BINARY_OR] = STP_BOX_OR,
    [STP_BINARY_EQUAL] = STP_BOX_EQUAL,
    [STP_BINARY_GREATER] = STP_BOX_GREATER,
    [STP_BINARY_LESS] = STP_BOX_LESS,
    [STP_BINARY_GREATER_OR_EQUAL] = STP_BOX_GREATER_OR_EQUAL,
    [STP_BINARY_LESS_OR_EQUAL] = STP_BOX_LESS_OR_EQUAL,
};

// Min and Max of many go from left to right, over temporary results that lie as the output does.
static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_binary_params *params = node->params;
    if (node->n_inputs == 1)
        return stp_lower_same(plan, node);
    for (int i = 0; i < node->n_inputs; i++)
        stp_plan_place(plan, node->inputs[i]);
    const struct stp_place *y = stp_plan_place(plan, node->outputs[0]);
    size_t bytes = stp_tensor_bytes(stp_plan_tensor(plan, node->outputs[0]));
    int so_far = -1;
    for (int i = 1; i < node->n_inputs; i++) {
        struct stp_box box = stp_box_of(y, functions[params->kind]);
        struct stp_box_operand *a = stp_box_operand(&box, i == 1 ? stp_plan_place(plan, node->inputs[0]) : y);
        stp_box_operand(&box, stp_plan_place(plan, node->inputs[i]));
        if (i > 1)
            a->slot = so_far;
        if (i < node->n_inputs - 1)
            box.out.slot = so_far = stp_plan_temp(plan, bytes);
        STP_TRY(stp_box_lower(plan, node, &box));
    }
    return STP_OK;
}

// The product with a mask, which comes last so that x may lie in the rows of the mask's list.
static stp_status lower_masked(struct stp_plan *plan, const struct stp_node *node, int x, int mask)
{
    const struct stp_place zero = {.slot = stp_plan_zeros(plan, 1), .dtype = STP_F32, .rows = {.all = true, .list = -1}};
    struct stp_box box = stp_box_of(stp_plan_place(plan, node->outputs[0]), STP_BOX_SELECT);
    stp_box_operand(&box, stp_plan_place(plan, node->inputs[x]));
    stp_box_operand(&box, &zero);
    stp_box_operand(&box, stp_plan_place(plan, node->inputs[mask]));
    return stp_box_lower(plan, node, &box);
}

static stp_status lower_mul_by_mask(struct stp_plan *plan, const struct stp_node *node)
{
    return lower_masked(plan, node, 0, 1);
}

static stp_status lower_mask_times(struct stp_plan *plan, const struct stp_node *node)
{
    return lower_masked(plan, node, 1, 0);
}

#define BINARY(op, kind, first_opset, least, most)                                                                     \
    static stp_status check_##op(struct stp_graph *graph, struct stp_node *node)                                       \
    {                                                                                                                  \
        return check(graph, node, kind);                                                                               \
    }                                                                                                                  \
    const struct stp_op stp_op_##op = {                                                                                \
        .domain = "", .type = #op, .min_version = first_opset, .max_version = STP_OPSET_LATEST,                        \
        .min_inputs = least, .max_inputs = most, .min_outputs = 1, .max_outputs = 1,                                   \
        .region = STP_REGION_SITEWISE, .on_host = true,                                                                \
        .check = check_##op, .shape = shape, .ref = stp_ref_binary, .lower = lower,                                    \
    };

BINARY(Add, STP_BINARY_ADD, 6, 2, 2)
BINARY(Sub, STP_BINARY_SUB, 6, 2, 2)
BINARY(Mul, STP_BINARY_MUL, 6, 2, 2)
BINARY(Div, STP_BINARY_DIV, 6, 2, 2)
BINARY(Min, STP_BINARY_MIN, 6, 1, -1)
BINARY(Max, STP_BINARY_MAX, 6, 1, -1)
BINARY(And, STP_BINARY_AND, 6, 2, 2)
BINARY(Or, STP_BINARY_OR, 6, 2, 2)
BINARY(Equal, STP_BINARY_EQUAL, 6, 2, 2)
BINARY(Greater, STP_BINARY_GREATER, 6, 2, 2)
BINARY(Less, STP_BINARY_LESS, 6, 2, 2)
BINARY(GreaterOrEqual, STP_BINARY_GREATER_OR_EQUAL, 12, 2, 2)
BINARY(LessOrEqual, STP_BINARY_LESS_OR_EQUAL, 12, 2, 2)

#define MASKED(op, name)                                                                                               \
    const struct stp_op stp_op_##op = {                                                                                \
        .domain = "", .type = "Mul", .min_version = 6, .max_version = STP_OPSET_LATEST,                                \
        .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1,                                          \
        .region = STP_REGION_SITEWISE, .on_host = true,                                                                \
        .check = check_Mul, .shape = shape, .ref = stp_ref_##name, .lower = lower_##name,                              \
    };

MASKED(MulByMask, mul_by_mask)
MASKED(MaskTimes, mask_times)
