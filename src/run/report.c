// SPDX-License-Identifier: Apache-2.0
// What a session tells of its last run: masks, work, times. All of it is read back when it is asked for, never in a run.
#include <stdlib.h>

#include "run/session.h"

// Masks --------------------------------------------------------------------------------------------------------------

stp_status stp_session_read_slot(stp_session *session, int slot, size_t bytes, void *to)
{
    if (!bytes)
        return STP_OK;
    return stp_cl_check(session->device,
                        clEnqueueReadBuffer(session->device->queue, session->plan->slots[slot].memory, CL_TRUE, 0,
                                            bytes, to, 0, NULL, NULL),
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
        STP_TRY(stp_session_read_slot(session, port->slot, port->bytes, session->raw_masks));
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

// Nodes and statistics -------------------------------------------------------------------------------------------------

static stp_status make_report(stp_session *session)
{
    if (!session->has_run)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "the session has not run");
    if (session->has_nodes)
        return STP_OK;
    STP_TRY(read_masks(session));
    STP_TRY(stp_session_count_nodes(session));
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
                               .device_ms = session->device_ms,
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
