// SPDX-License-Identifier: Apache-2.0
#include "run/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "device/ahead.h"
#include "graph/op.h"
#include "ops/conv.h"
#include "ops/registry.h"

static struct stp_graph *session_graph(const stp_session *session)
{
    return session->model->graph;
}

stp_status stp_session_create(stp_session **out, stp_model *model, stp_device *device, const stp_session_params *params)
{
    if (!out || !model || !device)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    stp_session *session = calloc(1, sizeof *session);
    if (!session)
        return stp_fail_memory(device->context, sizeof *session, "a session");
    session->context = device->context;
    session->model = model;
    session->device = device;
    if (params)
        session->params = *params;
    const struct stp_graph *graph = model->graph;
    session->inputs = calloc((size_t)graph->n_inputs + 1, sizeof *session->inputs);
    session->outputs = calloc((size_t)graph->n_outputs + 1, sizeof *session->outputs);
    if (!session->inputs || !session->outputs) {
        stp_session_destroy(&session);
        return stp_fail_memory(device->context, sizeof *session->inputs, "a session");
    }
    *out = session;
    return STP_OK;
}

static stp_status unmap(stp_session *session, cl_mem memory, stp_tensor *output)
{
    cl_int code = clEnqueueUnmapMemObject(session->device->queue, memory, output->data, 0, NULL, NULL);
    output->data = NULL;
    return stp_cl_check(session->device, code, "clEnqueueUnmapMemObject");
}

// Gives mapped outputs back to the device, and frees the others if the plan goes.
static stp_status drop_outputs(stp_session *session, bool plan_goes)
{
    stp_status status = STP_OK;
    for (int i = 0; session->plan && session->outputs && i < session_graph(session)->n_outputs; i++) {
        struct stp_port *port = &session->plan->outputs[i];
        stp_tensor *output = &session->outputs[i];
        if (!port->mapped && !plan_goes)
            continue;
        if (port->mapped && output->data) {
            status = unmap(session, session->plan->slots[port->slot].memory, output);
        } else if (port->staging) {
            status = unmap(session, port->staging, output);
            clReleaseMemObject(port->staging);
            port->staging = NULL;
        } else {
            free(output->data);
            output->data = NULL;
        }
    }
    return status;
}

static void drop_plan(stp_session *session)
{
    if (session->plan && drop_outputs(session, true) == STP_OK)
        clFinish(session->device->queue);
    stp_plan_destroy(&session->plan);
}

void stp_session_forget(stp_session *session)
{
    drop_plan(session);
    stp_constants_release(&session->constants);
    session->constants = (struct stp_constants){0};
    session->has_run = session->has_masks = session->has_nodes = false;
}

void stp_session_destroy(stp_session **out)
{
    if (!out || !*out)
        return;
    stp_session *session = *out;
    drop_plan(session);
    stp_constants_release(&session->constants);
    for (int i = 0; session->inputs && i < session_graph(session)->n_inputs; i++)
        free(session->inputs[i].data);
    free(session->inputs);
    free(session->outputs);
    free(session->mask_bytes);
    free(session->raw_masks);
    free(session->masks);
    free(session->nodes);
    free(session);
    *out = NULL;
}

// Inputs -------------------------------------------------------------------------------------------------------------

static int find_input(const stp_session *session, const char *name)
{
    const struct stp_graph *graph = session_graph(session);
    for (int i = 0; i < graph->n_inputs; i++)
        if (!strcmp(graph->inputs[i]->name, name))
            return i;
    return -1;
}

static stp_status check_mask(stp_session *session, const char *name, const stp_tensor *t)
{
    int64_t count = stp_tensor_elements(t);
    for (int64_t i = 0; i < count; i++) {
        double x = stp_number_at(t, i);
        if (x != 0 && x != 1)
            return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT,
                            "input '%s' is a mask: it must hold 0 and 1 only, and element %lld is %g", name, (long long)i, x);
    }
    return STP_OK;
}

static stp_status check_input(stp_session *session, const struct stp_value *value, const stp_tensor *t)
{
    char wanted[128], got[128];
    if (t->rank < 0 || t->rank > STP_MAX_RANK || stp_tensor_elements(t) < 0 ||
        (!t->data && stp_tensor_elements(t) > 0))
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "input '%s': not a tensor", value->name);
    if (t->dtype != value->dtype)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' is %s, not %s", value->name,
                        stp_dtype_name(value->dtype), stp_dtype_name(t->dtype));
    bool fits = value->rank < 0 || value->rank == t->rank;
    for (int d = 0; d < value->rank && fits; d++)
        fits = value->dims[d] < 0 || value->dims[d] == t->dims[d];
    if (!fits)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' has shape %s, not %s", value->name,
                        stp_shape_text(wanted, sizeof wanted, value->rank, value->dims),
                        stp_shape_text(got, sizeof got, t->rank, t->dims));
    return value->is_binary ? check_mask(session, value->name, t) : STP_OK;
}

static stp_status store_input(stp_session *session, int index, const stp_tensor *t)
{
    size_t bytes = (size_t)stp_tensor_elements(t) * stp_dtype_size(t->dtype);
    stp_tensor *input = &session->inputs[index];
    void *copy = malloc(bytes ? bytes : 1);
    if (!copy)
        return stp_fail_memory(session->context, bytes, "an input");
    if (bytes)
        memcpy(copy, t->data, bytes);
    bool same = input->data && input->dtype == t->dtype && stp_tensor_same_shape(input, t) &&
                (t->dtype == STP_F32 || !session->model->shape_inputs[index] || !memcmp(input->data, copy, bytes));
    free(input->data);
    *input = *t;
    input->data = copy;
    if (!same)
        session->stale = true;
    return STP_OK;
}

stp_status stp_session_set_input(stp_session *session, const char *name, const stp_tensor *tensor)
{
    if (!session || !name || !tensor)
        return STP_ERROR_INVALID_ARGUMENT;
    int index = find_input(session, name);
    if (index < 0)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "the model has no input '%s'", name);
    STP_TRY(check_input(session, session_graph(session)->inputs[index], tensor));
    return store_input(session, index, tensor);
}

static stp_status fill_defaults(stp_session *session)
{
    const struct stp_graph *graph = session_graph(session);
    for (int i = 0; i < graph->n_inputs; i++) {
        if (session->inputs[i].data)
            continue;
        if (!graph->inputs[i]->data)
            return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "input '%s' is not set",
                            graph->inputs[i]->name);
        stp_tensor t = stp_value_tensor(graph->inputs[i]);
        STP_TRY(store_input(session, i, &t));
    }
    return STP_OK;
}

// Planning and running -------------------------------------------------------------------------------------------------

// Pinned memory, which the device writes several times as fast as ordinary memory. NULL: the driver has none.
static void *map_staging(stp_session *session, struct stp_port *port)
{
    cl_int code;
    port->staging = clCreateBuffer(session->device->cl, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, port->bytes, NULL, &code);
    if (code != CL_SUCCESS) {
        port->staging = NULL;
        return NULL;
    }
    void *data = clEnqueueMapBuffer(session->device->queue, port->staging, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, port->bytes,
                                    0, NULL, NULL, &code);
    if (code == CL_SUCCESS)
        return data;
    clReleaseMemObject(port->staging);
    port->staging = NULL;
    return NULL;
}

static stp_status allocate_outputs(stp_session *session)
{
    const struct stp_graph *graph = session_graph(session);
    for (int i = 0; i < graph->n_outputs; i++) {
        stp_tensor *output = &session->outputs[i];
        struct stp_port *port = &session->plan->outputs[i];
        *output = session->plan->instance->tensors[graph->outputs[i]->id];
        output->data = NULL;
        if (port->mapped)
            continue;
        if (port->bytes)
            output->data = map_staging(session, port);
        if (!output->data)
            output->data = malloc(port->bytes ? port->bytes : 1);
        if (!output->data)
            return stp_fail_memory(session->context, port->bytes, "an output");
    }
    return STP_OK;
}

// Inputs whose values do not reach a shape position are not known to the planner.
static stp_status make_instance(stp_session *session, struct stp_instance **out)
{
    const struct stp_graph *graph = session_graph(session);
    stp_tensor *shapes = calloc((size_t)graph->n_inputs + 1, sizeof *shapes);
    if (!shapes)
        return stp_fail_memory(session->context, sizeof *shapes, "input shapes");
    for (int i = 0; i < graph->n_inputs; i++) {
        shapes[i] = session->inputs[i];
        if (!session->model->shape_inputs[i])
            shapes[i].data = NULL;
    }
    stp_status status = stp_instance_create(out, graph, shapes, session->params.dense);
    free(shapes);
    return status;
}

stp_status stp_session_prepare(stp_session *session)
{
    if (!session)
        return STP_ERROR_INVALID_ARGUMENT;
    STP_TRY(fill_defaults(session));
    session->prepare_ms = 0;
    if (session->plan && !session->stale)
        return STP_OK;
    double start = stp_now_ms();
    drop_plan(session);
    session->has_run = false;
    struct stp_instance *instance;
    STP_TRY(make_instance(session, &instance));
    STP_TRY(stp_plan_create(&session->plan, session->device, &session->constants, instance, &session->params, session->tuned));
    stp_status status = allocate_outputs(session);
    if (status != STP_OK) {
        drop_plan(session);
        return status;
    }
    session->stale = false;
    session->prepare_ms = stp_now_ms() - start;
    return STP_OK;
}

// Where a transfer's event goes; NULL without profiling.
static cl_event *event_of(const stp_session *session, struct stp_port *port)
{
    stp_plan_drop_event(&port->event);
    return session->params.profile ? &port->event : NULL;
}

static stp_status write_inputs(stp_session *session)
{
    struct stp_plan *plan = session->plan;
    for (int i = 0; i < session_graph(session)->n_inputs; i++) {
        struct stp_port *port = &plan->inputs[i];
        if (port->slot < 0 || !port->bytes)
            continue;
        STP_TRY(stp_cl_check(session->device,
                             clEnqueueWriteBuffer(session->device->queue, plan->slots[port->slot].memory, CL_FALSE, 0,
                                                  port->bytes, session->inputs[i].data, 0, NULL, event_of(session, port)),
                             "clEnqueueWriteBuffer"));
    }
    return STP_OK;
}

// Every float becomes a NaN, every row number −1: a site that nobody computed shows.
static stp_status poison(stp_session *session)
{
    static const unsigned char ones = 0xff;
    struct stp_plan *plan = session->plan;
    for (int c = 0; c < plan->n_chunks; c++)
        STP_TRY(stp_cl_check(session->device,
                             clEnqueueFillBuffer(session->device->queue, plan->chunks[c], &ones, 1, 0,
                                                 plan->chunk_bytes[c], 0, NULL, NULL),
                             "clEnqueueFillBuffer"));
    return STP_OK;
}

// `timed`: the device shall tell when it ran.
static stp_status enqueue_step(stp_session *session, struct stp_step *step, bool timed)
{
    stp_plan_drop_event(&step->event);
    cl_int code =
        clEnqueueNDRangeKernel(session->device->queue, step->kernel, (cl_uint)step->dimensions, NULL, step->global,
                               step->local, 0, NULL, timed ? &step->event : NULL);
    if (code == CL_SUCCESS)
        return STP_OK;
    char call[256];
    snprintf(call, sizeof call, "clEnqueueNDRangeKernel of %s for '%s'", step->name,
             step->node ? step->node->name : "inputs and lists");
    return stp_cl_check(session->device, code, call);
}

static stp_status read_outputs(stp_session *session)
{
    struct stp_plan *plan = session->plan;
    for (int i = 0; i < session_graph(session)->n_outputs; i++) {
        struct stp_port *port = &plan->outputs[i];
        if (!port->bytes)
            continue;
        if (port->mapped) {
            cl_int code;
            session->outputs[i].data = clEnqueueMapBuffer(session->device->queue, plan->slots[port->slot].memory,
                                                          CL_FALSE, CL_MAP_READ, 0, port->bytes, 0, NULL, event_of(session, port), &code);
            STP_TRY(stp_cl_check(session->device, code, "clEnqueueMapBuffer"));
            continue;
        }
        STP_TRY(stp_cl_check(session->device,
                             clEnqueueReadBuffer(session->device->queue, plan->slots[port->slot].memory, CL_FALSE, 0,
                                                 port->bytes, session->outputs[i].data, 0, NULL, event_of(session, port)),
                             "clEnqueueReadBuffer"));
    }
    return STP_OK;
}

// Launches leave the counters of turns as they found them, but one that was broken off would leave work undone in the next run.
static stp_status clear_turns(stp_session *session)
{
    const struct stp_slot *turn = &session->plan->slots[session->plan->turn];
    if (turn->last < 0)
        return STP_OK;
    const cl_int zero = 0;
    return stp_cl_check(session->device,
                        clEnqueueFillBuffer(session->device->queue, turn->memory, &zero, sizeof zero, 0, turn->bytes, 0, NULL, NULL),
                        "clEnqueueFillBuffer");
}

static stp_status enqueue_all(stp_session *session)
{
    STP_TRY(drop_outputs(session, false));
    if (session->params.poison)
        STP_TRY(poison(session));
    STP_TRY(write_inputs(session));
    STP_TRY(clear_turns(session));
    const int last = session->plan->n_steps - 1;
    for (int i = 0; i <= last; i++)
        STP_TRY(enqueue_step(session, session->plan->steps[i], session->params.profile || i == 0 || i == last));
    return read_outputs(session);
}

static double event_ms(const struct stp_step *step, cl_profiling_info what)
{
    cl_ulong ns = 0;
    if (step->event)
        clGetEventProfilingInfo(step->event, what, sizeof ns, &ns, NULL);
    return (double)ns * 1e-6;
}

static void read_times(stp_session *session)
{
    const struct stp_plan *plan = session->plan;
    for (int i = 0; session->params.profile && i < plan->n_steps; i++)
        plan->steps[i]->ms = event_ms(plan->steps[i], CL_PROFILING_COMMAND_END) - event_ms(plan->steps[i], CL_PROFILING_COMMAND_START);
    session->device_ms = plan->n_steps ? event_ms(plan->steps[plan->n_steps - 1], CL_PROFILING_COMMAND_END) -
                                             event_ms(plan->steps[0], CL_PROFILING_COMMAND_START)
                                       : 0;
}

stp_status stp_session_run(stp_session *session)
{
    if (!session)
        return STP_ERROR_INVALID_ARGUMENT;
    STP_TRY(stp_session_prepare(session));
    session->has_run = session->has_masks = session->has_nodes = false;
    double start = stp_now_ms();
    stp_status status = enqueue_all(session);
    // Also after a failure: nothing may still read the inputs or write the outputs.
    stp_status finished = stp_cl_check(session->device, clFinish(session->device->queue), "clFinish");
    STP_TRY(status);
    STP_TRY(finished);
    session->run_ms = stp_now_ms() - start;
    stp_ahead_stop(session->device); // all is compiled
    read_times(session);
    session->has_run = true;
    return STP_OK;
}

static stp_status require_run(stp_session *session)
{
    if (session->has_run)
        return STP_OK;
    return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "the session has not run");
}

stp_status stp_session_output(stp_session *session, size_t index, stp_tensor *out)
{
    if (!session || !out)
        return STP_ERROR_INVALID_ARGUMENT;
    STP_TRY(require_run(session));
    if (index >= (size_t)session_graph(session)->n_outputs)
        return stp_fail(session->context, STP_ERROR_INVALID_ARGUMENT, "the model has no output %zu", index);
    *out = session->outputs[index];
    return STP_OK;
}
