// SPDX-License-Identifier: Apache-2.0
// What a session tells of its last run: masks, work, times. All of it is read back when it is asked for, never in a run.
#include <stdlib.h>

#include "graph/op.h"
#include "ops/conv.h"
#include "ops/interpolate.h"
#include "ops/registry.h"
#include "run/session.h"

// Masks --------------------------------------------------------------------------------------------------------------

static stp_status read_buffer(stp_session *session, int slot, size_t bytes, void *to)
{
    if (!bytes)
        return STP_OK;
    return stp_cl_check(session->device,
                        clEnqueueReadBuffer(session->device->queue, session->plan->slots[slot].memory, CL_TRUE, 0, bytes,
                                            to, 0, NULL, NULL),
                        "clEnqueueReadBuffer");
}

static void describe_mask(const struct stp_port *port, const stp_tensor *t, const unsigned char *data,
                          struct stp_session_mask *mask)
{
    int64_t sites = stp_tensor_elements(t), set = 0;
    for (int64_t i = 0; i < sites; i++)
        set += data[i];
    const struct stp_node *producer = port->value->producer;
    *mask = (struct stp_session_mask){.node = producer ? producer->name : port->value->name,
                                      .batch = t->dims[0],
                                      .height = t->dims[2],
                                      .width = t->dims[3],
                                      .sampled = sites ? (double)set / (double)sites : 0,
                                      .data = data};
}

// All masks of the plan as bytes, one after the other.
static stp_status read_masks(stp_session *session)
{
    struct stp_plan *plan = session->plan;
    if (session->has_masks)
        return STP_OK;
    size_t total = 0, largest = 0;
    for (int i = 0; i < plan->n_masks; i++) {
        total += (size_t)stp_tensor_elements(stp_plan_tensor(plan, plan->masks[i].value));
        largest = plan->masks[i].bytes > largest ? plan->masks[i].bytes : largest;
    }
    free(session->mask_bytes);
    free(session->raw_masks);
    free(session->masks);
    session->mask_bytes = malloc(total + 1);
    session->raw_masks = malloc(largest + 1);
    session->masks = calloc((size_t)plan->n_masks + 1, sizeof *session->masks);
    if (!session->mask_bytes || !session->raw_masks || !session->masks)
        return stp_fail_memory(session->context, total, "masks");
    unsigned char *to = session->mask_bytes;
    for (int i = 0; i < plan->n_masks; i++) {
        const struct stp_port *port = &plan->masks[i];
        const stp_tensor *t = stp_plan_tensor(plan, port->value);
        STP_TRY(read_buffer(session, port->slot, port->bytes, session->raw_masks));
        stp_tensor raw = *t;
        raw.data = session->raw_masks;
        int64_t count = stp_tensor_elements(t);
        for (int64_t s = 0; s < count; s++)
            to[s] = stp_number_at(&raw, s) != 0;
        describe_mask(port, t, to, &session->masks[i]);
        to += count;
    }
    session->has_masks = true;
    return STP_OK;
}

size_t stp_session_mask_count(const stp_session *session)
{
    return session && session->plan ? (size_t)session->plan->n_reported : 0;
}

stp_status stp_session_mask_get(stp_session *session, size_t index, stp_session_mask *out)
{
    if (!session || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    if (!session->has_run || index >= stp_session_mask_count(session))
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "there is no mask %zu: %s", index,
                        session->has_run ? "the model has fewer" : "the session has not run");
    STP_TRY(read_masks(session));
    *out = session->masks[index];
    return STP_OK;
}

// Work ---------------------------------------------------------------------------------------------------------------

static int find_mask(const struct stp_plan *plan, int value)
{
    for (int i = 0; i < plan->n_masks; i++)
        if (plan->masks[i].value->id == value)
            return i;
    return -1;
}

static bool window_reads(const struct stp_region *r, const unsigned char *of, int64_t n, int64_t y, int64_t x)
{
    const struct stp_window *w = &r->window;
    for (int64_t ky = 0; ky < w->kernel[0]; ky++)
        for (int64_t kx = 0; kx < w->kernel[1]; kx++) {
            int64_t ty = y + w->pad[0] - ky * w->dilation[0], tx = x + w->pad[1] - kx * w->dilation[1];
            if (ty < 0 || tx < 0 || ty % w->stride[0] || tx % w->stride[1])
                continue;
            ty /= w->stride[0];
            tx /= w->stride[1];
            if (ty < r->of_h && tx < r->of_w && of[(n * r->of_h + ty) * r->of_w + tx])
                return true;
        }
    return false;
}

// The sites of a region on the host, one byte each; NULL when memory is short. flags[]: what was found so far.
static unsigned char *region_flags(stp_session *session, unsigned char **flags, int region)
{
    const struct stp_plan *plan = session->plan;
    const struct stp_region *r = &plan->instance->regions[region];
    if (flags[region])
        return flags[region];
    int64_t sites = r->n * r->h * r->w;
    unsigned char *of = r->kind == STP_SITES_NEED ? region_flags(session, flags, r->of) : NULL;
    unsigned char *out = malloc((size_t)sites + 1);
    if (!out || (r->kind == STP_SITES_NEED && !of)) {
        free(out);
        return NULL;
    }
    const struct stp_session_mask *mask =
        r->kind == STP_SITES_LIST ? &session->masks[find_mask(plan, r->mask)] : NULL;
    for (int64_t s = 0; s < sites; s++)
        out[s] = mask ? mask->data[s % (mask->batch * mask->height * mask->width)]
                      : window_reads(r, of, s / (r->h * r->w), s / r->w % r->h, s % r->w);
    flags[region] = out;
    return out;
}

// Rows computed of a value: the list's count as the device has it, or all sites.
static stp_status computed_rows(stp_session *session, const struct stp_value *value, double *out)
{
    struct stp_plan *plan = session->plan;
    const struct stp_place *place = stp_plan_place(plan, value);
    int32_t count = (int32_t)place->rows.sites;
    if (!place->rows.all)
        STP_TRY(read_buffer(session, place->rows.count, sizeof count, &count));
    *out = count;
    return STP_OK;
}

// MACs per computed site (Conv: outputs × taps × input channels per group) or per row (Gemm).
static double macs_per_row(const struct stp_plan *plan, const struct stp_node *node)
{
    return (double)stp_tensor_elements(&plan->instance->tensors[node->inputs[1]->id]); // of the weights
}

static stp_status interpolated(stp_session *session, unsigned char **flags, const struct stp_node *node, double *out)
{
    struct stp_plan *plan = session->plan;
    const stp_tensor *y = stp_plan_tensor(plan, node->outputs[0]);
    const struct stp_value *source = stp_instance_mask_source(plan->instance, node->inputs[1]);
    const struct stp_session_mask *mask = &session->masks[find_mask(plan, source->id)];
    int region = plan->instance->region[node->outputs[0]->id];
    const unsigned char *wanted = region ? region_flags(session, flags, region) : NULL;
    if (region && !wanted)
        return stp_fail_memory(session->context, (size_t)stp_tensor_elements(y), "a region");
    double rows;
    STP_TRY(computed_rows(session, node->outputs[0], &rows));
    int64_t sites = y->dims[0] * y->dims[2] * y->dims[3], each = mask->batch * mask->height * mask->width, count = 0;
    bool all = !region || rows == (double)sites;
    for (int64_t s = 0; s < sites; s++)
        count += (all || wanted[s]) && !mask->data[s % each];
    *out = (double)count * (double)y->dims[1] * stp_interpolate_kept_taps(node);
    return STP_OK;
}

// The convolutions whose result reaches a Sample through site-wise operators only.
static bool *find_mask_convs(const struct stp_graph *graph)
{
    bool *reaches = calloc((size_t)graph->n_values + 1, sizeof *reaches); // per value
    bool *mask_conv = calloc((size_t)graph->n_nodes + 1, sizeof *mask_conv);
    if (!reaches || !mask_conv) {
        free(reaches);
        free(mask_conv);
        return NULL;
    }
    for (int n = graph->n_nodes - 1; n >= 0; n--) {
        const struct stp_node *node = graph->nodes[n];
        bool reached = node->op == &stp_op_Sample;
        for (int o = 0; o < node->n_outputs && !reached; o++)
            reached = node->outputs[o] && reaches[node->outputs[o]->id];
        if (!reached)
            continue;
        mask_conv[n] = node->op == &stp_op_Conv;
        if (node->op == &stp_op_Sample || node->op->region == STP_REGION_SITEWISE ||
            (node->op == &stp_op_Conv && stp_conv_is_pointwise(node)))
            for (int i = 0; i < (node->op == &stp_op_Sample ? 1 : node->n_inputs); i++)
                if (node->inputs[i])
                    reaches[node->inputs[i]->id] = true;
    }
    free(reaches);
    return mask_conv;
}

// Nodes --------------------------------------------------------------------------------------------------------------

static stp_status count_node(stp_session *session, unsigned char **flags, int position, bool is_mask_conv)
{
    struct stp_plan *plan = session->plan;
    const struct stp_node *node = plan->instance->graph->nodes[position];
    struct stp_session_node *out = &session->nodes[position];
    *out = (struct stp_session_node){.name = node->name, .op = node->type};
    if (!node->outputs[0] || plan->instance->tensors[node->outputs[0]->id].data)
        return STP_OK;
    STP_TRY(computed_rows(session, node->outputs[0], &out->rows));
    if (node->op == &stp_op_Interpolate) {
        double macs = 0;
        STP_TRY(interpolated(session, flags, node, &macs));
        session->macs.interpolation += macs;
    }
    if (node->op != &stp_op_Conv && strcmp(node->type, "Gemm"))
        return STP_OK;
    double each = macs_per_row(plan, node);
    out->macs = each * out->rows;
    session->macs.done += out->macs;
    if (is_mask_conv)
        session->macs.masks += out->macs;
    else
        session->macs.dense += each * (double)stp_plan_place(plan, node->outputs[0])->rows.sites;
    return STP_OK;
}

static stp_status count_nodes(stp_session *session)
{
    const struct stp_graph *graph = session->plan->instance->graph;
    int n_regions = session->plan->instance->n_regions;
    unsigned char **flags = calloc((size_t)n_regions + 1, sizeof *flags);
    bool *mask_conv = find_mask_convs(graph);
    free(session->nodes);
    session->nodes = calloc((size_t)graph->n_nodes + 1, sizeof *session->nodes);
    stp_status status = STP_OK;
    if (!flags || !mask_conv || !session->nodes)
        status = stp_fail_memory(session->context, (size_t)graph->n_nodes * sizeof *session->nodes, "a report");
    session->macs = (stp_session_macs){0};
    for (int n = 0; n < graph->n_nodes && status == STP_OK; n++)
        status = count_node(session, flags, n, mask_conv[n]);
    for (int r = 0; flags && r < n_regions; r++)
        free(flags[r]);
    free(flags);
    free(mask_conv);
    return status;
}

static void add_times(stp_session *session)
{
    const struct stp_graph *graph = session->plan->instance->graph;
    struct stp_session_node *rest = &session->nodes[graph->n_nodes];
    *rest = (struct stp_session_node){.name = "(lists, inputs, outputs)", .op = "", .kernel = "lists"};
    for (int i = 0; i < session->plan->n_steps; i++) {
        const struct stp_step *step = session->plan->steps[i];
        struct stp_session_node *node = rest;
        for (int n = 0; step->node && n < graph->n_nodes; n++)
            if (graph->nodes[n] == step->node)
                node = &session->nodes[n];
        node->ms += step->ms;
        if (node != rest)
            node->kernel = step->name;
    }
}

static stp_status make_report(stp_session *session)
{
    if (!session->has_run)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "the session has not run");
    if (session->has_nodes)
        return STP_OK;
    STP_TRY(read_masks(session));
    STP_TRY(count_nodes(session));
    add_times(session);
    session->has_nodes = true;
    return STP_OK;
}

stp_status stp_session_get_stats(stp_session *session, stp_session_stats *out)
{
    if (!session || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    if (!session->plan)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "the session is not prepared");
    if (session->has_run)
        STP_TRY(make_report(session));
    *out = (stp_session_stats){.macs = session->has_run ? session->macs : (stp_session_macs){0},
                               .prepare_ms = session->prepare_ms,
                               .run_ms = session->run_ms,
                               .arena_bytes = session->plan->arena_bytes,
                               .weight_bytes = session->constants.bytes};
    return STP_OK;
}

size_t stp_session_node_count(const stp_session *session)
{
    return session && session->plan ? (size_t)session->plan->instance->graph->n_nodes + 1 : 0;
}

stp_status stp_session_node_get(stp_session *session, size_t index, stp_session_node *out)
{
    if (!session || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    STP_TRY(make_report(session));
    if (index >= stp_session_node_count(session))
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "there is no node %zu", index);
    *out = session->nodes[index];
    return STP_OK;
}
