// SPDX-License-Identifier: Apache-2.0
// Where: y = condition ? a : b, element by element, broadcasting as numpy does. No parameters.
#include "ops/box.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    STP_TRY(stp_check_type(graph, node, 0, STP_TYPE(STP_BOOL)));
    STP_TRY(stp_check_type(graph, node, 2, STP_TYPES_ALL));
    STP_TRY(stp_check_same_type(graph, node, 1, STP_TYPES_ALL));
    stp_set_type(node, node->inputs[1]->dtype);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    out[0].dtype = node->outputs[0]->dtype;
    return stp_broadcast(context, node, in, 0, 3, &out[0]);
}

// The condition comes last, so that `a` may lie in the rows of its list.
static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    struct stp_box box = stp_box_of(stp_plan_place(plan, node->outputs[0]), STP_BOX_SELECT);
    stp_box_operand(&box, stp_plan_place(plan, node->inputs[1]));
    stp_box_operand(&box, stp_plan_place(plan, node->inputs[2]));
    stp_box_operand(&box, stp_plan_place(plan, node->inputs[0]));
    return stp_box_lower(plan, node, &box);
}

const struct stp_op stp_op_Where = {
    .domain = "", .type = "Where", .min_version = 9, .max_version = STP_OPSET_LATEST,
    .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1,
    .region = STP_REGION_SITEWISE, .on_host = true,
    .check = check, .shape = shape, .ref = stp_ref_where, .lower = lower,
};
