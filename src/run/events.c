// SPDX-License-Identifier: Apache-2.0
// When the kernels and transfers of the last run were queued and ran.
#include "run/session.h"

// In the order in which a run queues them: inputs, steps, outputs. False beyond the last.
static bool find_event(const stp_session *session, size_t index, cl_event *event, stp_session_event *out)
{
    const struct stp_plan *plan = session->plan;
    const struct stp_graph *graph = plan->instance->graph;
    *out = (stp_session_event){.node = ""};
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct stp_port *port = &plan->inputs[i];
        *event = port->event;
        out->name = "write";
        out->node = graph->inputs[i]->name;
        out->is_transfer = true;
        out->bytes = (double)port->bytes;
        if (port->event && !index--)
            return true;
    }
    for (int i = 0; i < plan->n_steps; i++) {
        const struct stp_step *step = plan->steps[i];
        *event = step->event;
        *out = (stp_session_event){.name = step->name, .node = step->node ? step->node->name : ""};
        if (step->event && !index--)
            return true;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const struct stp_port *port = &plan->outputs[i];
        *event = port->event;
        *out = (stp_session_event){.name = "read", .node = graph->outputs[i]->name, .is_transfer = true, .bytes = (double)port->bytes};
        if (port->event && !index--)
            return true;
    }
    return false;
}

static double time_of(cl_event event, cl_profiling_info what)
{
    cl_ulong ns = 0;
    clGetEventProfilingInfo(event, what, sizeof ns, &ns, NULL); // what a device does not tell is 0
    return (double)ns * 1e-6;
}

size_t stp_session_event_count(const stp_session *session)
{
    cl_event event;
    stp_session_event unused;
    size_t count = 0;
    if (!session || !session->plan || !session->has_run || !session->params.profile)
        return 0;
    while (find_event(session, count, &event, &unused))
        count++;
    return count;
}

stp_status stp_session_event_get(stp_session *session, size_t index, stp_session_event *out)
{
    if (!session || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    cl_event event, first;
    stp_session_event unused;
    if (!session->plan || !session->has_run || !session->params.profile || !find_event(session, index, &event, out) ||
        !find_event(session, 0, &first, &unused))
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "there is no event %zu: %s", index,
                        session->has_run ? "the run had fewer, or was not profiled" : "the session has not run");
    const double start = time_of(first, CL_PROFILING_COMMAND_QUEUED);
    out->queued_ms = time_of(event, CL_PROFILING_COMMAND_QUEUED) - start;
    out->submitted_ms = time_of(event, CL_PROFILING_COMMAND_SUBMIT) - start;
    out->started_ms = time_of(event, CL_PROFILING_COMMAND_START) - start;
    out->ended_ms = time_of(event, CL_PROFILING_COMMAND_END) - start;
    return STP_OK;
}
