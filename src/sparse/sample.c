// SPDX-License-Identifier: Apache-2.0
// Sample on the device (cl/masks.cl).
#include "ops/sample.h"

#include <stdio.h>

#include "device/worksize.h"
#include "sparse/lower_sparse.h"

stp_status stp_lower_sample(struct stp_plan *plan, const struct stp_node *node)
{
    const struct stp_sample_params *params = node->params;
    const struct stp_place *logits = stp_plan_place(plan, node->inputs[0]),
                           *seed = stp_plan_place(plan, node->inputs[1]);
    const struct stp_place *mask = stp_plan_place(plan, node->outputs[0]);
    if (!mask->rows.sites)
        return STP_OK;
    char options[64];
    const struct stp_limits *limits = &stp_plan_device(plan)->limits;
    snprintf(options, sizeof options, "-DVEC=%d -DSTRIDE=%d -DKH=0 -DKW=0", stp_worksize_vector(limits), !limits->is_cpu);
    int64_t lines = mask->dims[0] * mask->dims[2];
    struct stp_step *step = stp_plan_step(plan, node, "masks", options, "sample");
    stp_step_read(step, logits->slot);
    stp_step_read(step, seed->slot);
    stp_step_int(step, stp_plan_i32(plan, node, seed->dims[0]));
    stp_step_write(step, mask->slot);
    stp_step_int(step, stp_plan_i32(plan, node, lines));
    stp_step_int(step, stp_plan_i32(plan, node, mask->dims[2]));
    stp_step_int(step, stp_plan_i32(plan, node, mask->dims[3]));
    stp_step_int(step, params->stochastic);
    stp_step_uint(step, (uint32_t)params->stream);
    stp_step_int(step, (int32_t)params->grid);
    stp_step_stride(step, lines);
    return STP_OK;
}
