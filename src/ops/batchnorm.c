// SPDX-License-Identifier: Apache-2.0
// BatchNormalization that did not go into a convolution (graph/batchnorm.c).
#include "ops/batchnorm.h"

#include <math.h>

#include "ops/box.h"
#include "ops/registry.h"
#include "ops/rules.h"
#include "ref/ref.h"

static const char *const operands[] = {"input", "scale", "bias", "mean", "variance"};

static stp_status check_operands(struct stp_graph *graph, const struct stp_node *node)
{
    for (int i = 0; i < 5; i++) {
        const struct stp_value *value = node->inputs[i];
        STP_TRY(stp_check_type(graph, node, i, STP_TYPE(STP_F32)));
        if (i == 0)
            continue;
        if (!stp_value_is_constant(value))
            return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "its %s '%s' must be a constant", operands[i],
                                 value->name);
        if (value->rank != 1 || value->dims[0] != node->inputs[1]->dims[0])
            return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                                 "its %s '%s' does not have one number per channel", operands[i], value->name);
    }
    return STP_OK;
}

double stp_batchnorm_scale(const struct stp_node *node, int64_t c)
{
    const struct stp_batchnorm_params *params = node->params;
    return (double)stp_float_at(node->inputs[1]->data, c) /
           sqrt((double)stp_float_at(node->inputs[4]->data, c) + (double)params->epsilon);
}

static stp_status check(struct stp_graph *graph, struct stp_node *node)
{
    int64_t training;
    float epsilon;
    STP_TRY(stp_attr_int(graph->context, node, "training_mode", 0, &training));
    STP_TRY(stp_attr_float(graph->context, node, "epsilon", 1e-5f, &epsilon));
    if (training || node->n_outputs > 1)
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "only inference is implemented, not training");
    int64_t spatial;
    STP_TRY(stp_attr_int(graph->context, node, "spatial", 1, &spatial));
    if (spatial != 1)
        return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "attribute 'spatial' is %lld, only 1 is implemented",
                             (long long)spatial);
    STP_TRY(check_operands(graph, node));
    int64_t channels = node->inputs[1]->dims[0];
    struct stp_batchnorm_params *params = stp_node_params(graph, node, sizeof *params);
    float *scale = stp_arena_array(&graph->arena, (size_t)channels, sizeof *scale);
    float *shift = stp_arena_array(&graph->arena, (size_t)channels, sizeof *shift);
    if (!params || !scale || !shift)
        return stp_fail_memory(graph->context, (size_t)channels * sizeof *scale, "normalisation parameters");
    *params = (struct stp_batchnorm_params){.channels = channels, .epsilon = epsilon, .scale = scale, .shift = shift};
    for (int64_t c = 0; c < channels; c++) {
        double a = stp_batchnorm_scale(node, c);
        scale[c] = (float)a;
        shift[c] = (float)((double)stp_float_at(node->inputs[2]->data, c) -
                           (double)stp_float_at(node->inputs[3]->data, c) * a);
    }
    stp_set_type(node, STP_F32);
    return STP_OK;
}

static stp_status shape(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out)
{
    const struct stp_batchnorm_params *params = node->params;
    char text[128];
    if (in[0]->rank < 2 || in[0]->dims[1] != params->channels)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "an input of shape %s does not fit %lld channels",
                             stp_shape_text(text, sizeof text, in[0]->rank, in[0]->dims), (long long)params->channels);
    *out = stp_tensor_make(STP_F32, in[0]->rank, in[0]->dims);
    return STP_OK;
}

struct channels {
    const float *values;
    int64_t count;
};

static void pack_channels(void *destination, const void *user)
{
    const struct channels *channels = user;
    memcpy(destination, channels->values, (size_t)channels->count * sizeof(float));
}

// One number per channel as an operand that broadcasts: C×1×…×1.
static struct stp_place channel_place(struct stp_plan *plan, const struct stp_place *x, const float *values)
{
    struct stp_place place = {.dtype = STP_F32, .rank = x->rank - 1};
    int64_t count = x->dims[1];
    for (int d = 0; d < place.rank; d++)
        place.dims[d] = place.storage[d] = d ? 1 : count;
    place.slot = stp_plan_constant(plan, values, 0, (size_t)count * sizeof(float), pack_channels,
                                   &(struct channels){values, count});
    place.rows = (struct stp_rows){.all = true, .sites = count, .list = -1};
    return place;
}

static stp_status lower(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_batchnorm_params *params = node->params;
    const struct stp_place *x = stp_plan_place(plan, node->inputs[0]), *y = stp_plan_place(plan, node->outputs[0]);
    struct stp_place scale = channel_place(plan, x, params->scale), shift = channel_place(plan, x, params->shift);
    struct stp_box box = stp_box_of(y, STP_BOX_FMA);
    stp_box_operand(&box, x);
    stp_box_operand(&box, &scale);
    stp_box_operand(&box, &shift);
    return stp_box_lower(plan, node, &box);
}

const struct stp_op stp_op_BatchNormalization = {
    .domain = "", .type = "BatchNormalization", .min_version = 7, .max_version = STP_OPSET_LATEST,
    .min_inputs = 5, .max_inputs = 5, .min_outputs = 1, .max_outputs = 5,
    .region = STP_REGION_SITEWISE,
    .check = check, .shape = shape, .ref = stp_ref_batchnorm, .lower = lower,
};
