// SPDX-License-Identifier: Apache-2.0
// stp_graph_check(): from what a file says to a graph that is known to be runnable.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/op.h"

// Unknown operators --------------------------------------------------------------------------------------------------

// A text of bounded size; what does not fit is left out and noted.
struct text {
    char bytes[1600];
    size_t used;
    bool full;
};

static void append(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(struct text *text, const char *format, ...)
{
    if (text->full)
        return;
    va_list args;
    va_start(args, format);
    size_t room = sizeof text->bytes - text->used;
    int length = vsnprintf(text->bytes + text->used, room, format, args);
    va_end(args);
    text->full = length < 0 || (size_t)length >= room;
    if (text->full)
        text->bytes[text->used] = 0;
    else
        text->used += (size_t)length;
}

static bool is_implemented(const struct stp_node *node)
{
    return node->op && node->version >= node->op->min_version && node->version <= node->op->max_version;
}

static bool same_operator(const struct stp_node *a, const struct stp_node *b)
{
    return a->version == b->version && !strcmp(a->type, b->type) && !strcmp(a->domain, b->domain);
}

static void append_operator(struct text *text, const struct stp_node *node)
{
    append(text, "%s", node->type);
    if (node->domain[0])
        append(text, " of domain %s", node->domain);
    if (node->op)
        append(text, " version %d (%d to %d are implemented)", node->version, node->op->min_version,
               node->op->max_version);
}

// "LSTM ('a', 'b' and 3 more), Foo of domain x.y ('c')": every operator with the names of at most `limit` of its nodes.
static void list_unknown(struct text *text, const struct stp_graph *graph, int limit, bool *listed)
{
    memset(listed, 0, (size_t)graph->n_nodes);
    for (int n = 0; n < graph->n_nodes && !text->full; n++) {
        if (listed[n] || is_implemented(graph->nodes[n]))
            continue;
        append(text, text->used ? ", " : "");
        append_operator(text, graph->nodes[n]);
        append(text, " (");
        int count = 0;
        for (int other = n; other < graph->n_nodes; other++) {
            if (listed[other] || !same_operator(graph->nodes[n], graph->nodes[other]))
                continue;
            listed[other] = true;
            if (count++ < limit)
                append(text, "%s'%s'", count > 1 ? ", " : "", graph->nodes[other]->name);
        }
        if (count > limit)
            append(text, " and %d more", count - limit);
        append(text, ")");
    }
}

static stp_status fail_unknown(const struct stp_graph *graph)
{
    bool *listed = malloc((size_t)graph->n_nodes);
    if (!listed)
        return stp_fail_memory(graph->context, (size_t)graph->n_nodes, "a list of nodes");
    struct text text = {.used = 0};
    // Fewer names per operator where that lets more operators in.
    for (int limit = INT_MAX; limit; limit = limit == INT_MAX ? 3 : limit / 3) {
        text = (struct text){.used = 0};
        list_unknown(&text, graph, limit, listed);
        if (!text.full)
            break;
    }
    free(listed);
    return stp_fail(graph->context, STP_ERROR_UNSUPPORTED, "operators that are not implemented: %s%s", text.bytes,
                    text.full ? " …" : "");
}

static stp_status find_operators(struct stp_graph *graph)
{
    bool all = true;
    for (int n = 0; n < graph->n_nodes; n++) {
        struct stp_node *node = graph->nodes[n];
        node->op = stp_op_find(node->domain, node->type);
        all &= is_implemented(node);
    }
    return all ? STP_OK : fail_unknown(graph);
}

// What each node is given --------------------------------------------------------------------------------------------

static stp_status check_count(stp_context *context, const struct stp_node *node, const char *what,
                              struct stp_value *const *values, int count, int least, int most)
{
    if (most >= 0 && count > most)
        return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "has %d %ss, at most %d are allowed", count, what,
                             most);
    for (int i = 0; i < least; i++)
        if (i >= count || !values[i])
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "%s %d is missing", what, i);
    return STP_OK;
}

static stp_status check_node(stp_context *context, const struct stp_node *node, int opset)
{
    const struct stp_op *op = node->op;
    STP_TRY(check_count(context, node, "input", node->inputs, node->n_inputs, op->min_inputs, op->max_inputs));
    STP_TRY(check_count(context, node, "output", node->outputs, node->n_outputs, op->min_outputs, op->max_outputs));
    for (int a = 0; a < node->n_attrs; a++)
        if (node->attrs[a].type == STP_ATTR_UNSUPPORTED)
            return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node, "attribute '%s' is %s, which is not supported",
                                 node->attrs[a].name, node->attrs[a].s);
    for (int i = 0; i < node->n_inputs; i++) {
        const struct stp_value *input = node->inputs[i];
        if (!input)
            continue;
        if (input->unsupported)
            return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node, "reads '%s', which is not supported: it %s",
                                 input->name, input->unsupported);
        if (!input->producer && !input->data && !input->is_input)
            return stp_fail_node(context, STP_ERROR_INVALID_MODEL, node, "reads '%s', which nothing makes", input->name);
    }
    if (!strcmp(node->domain, "stipple") && !strcmp(node->type, "Sample") && opset < 18)
        return stp_fail_node(context, STP_ERROR_UNSUPPORTED, node, "needs opset 18 or later, the file has %d", opset);
    return STP_OK;
}

// Constants that could not be read and that no node reads: an error if they are outputs, else they go.
static stp_status drop_unsupported(struct stp_graph *graph)
{
    int kept = 0;
    for (int v = 0; v < graph->n_values; v++) {
        struct stp_value *value = graph->values[v];
        if (value->unsupported && value->is_output)
            return stp_fail(graph->context, STP_ERROR_UNSUPPORTED, "output '%s' is not supported: it %s", value->name,
                            value->unsupported);
        if (value->unsupported) {
            stp_log(graph->context, STP_LOG_WARN, "'%s' is ignored, nothing reads it: it %s", value->name,
                    value->unsupported);
            continue;
        }
        value->id = kept;
        graph->values[kept++] = value;
    }
    graph->n_values = kept;
    return STP_OK;
}

// Topological order --------------------------------------------------------------------------------------------------

struct sorter {
    const struct stp_graph *graph;
    int *makers; // per value: position of its producer in graph->nodes, or −1
    enum visit { NEW, OPEN, DONE } *visits;
    struct frame { int node, next_input; } *stack;
    struct stp_node **order;
    int depth, placed;
};

// Places everything that `first` needs, then `first`. Depth first, on a stack of our own: a graph may be as deep as its file is long.
static stp_status place(struct sorter *s, int first)
{
    s->stack[s->depth++] = (struct frame){.node = first};
    s->visits[first] = OPEN;
    while (s->depth) {
        struct frame *top = &s->stack[s->depth - 1];
        struct stp_node *node = s->graph->nodes[top->node];
        if (top->next_input == node->n_inputs) {
            s->visits[top->node] = DONE;
            s->order[s->placed++] = node;
            s->depth--;
            continue;
        }
        const struct stp_value *input = node->inputs[top->next_input++];
        int maker = input ? s->makers[input->id] : -1;
        if (maker < 0 || s->visits[maker] == DONE)
            continue;
        if (s->visits[maker] == OPEN)
            return stp_fail_node(s->graph->context, STP_ERROR_INVALID_MODEL, node,
                                 "the graph is cyclic: '%s', which it reads, depends on its output", input->name);
        s->stack[s->depth++] = (struct frame){.node = maker};
        s->visits[maker] = OPEN;
    }
    return STP_OK;
}

// Nodes that come in a topological order keep it.
stp_status stp_graph_sort(struct stp_graph *graph)
{
    size_t nodes = (size_t)graph->n_nodes, values = (size_t)graph->n_values;
    struct sorter s = {
        .graph = graph,
        .makers = malloc(values * sizeof *s.makers + 1),
        .visits = calloc(nodes + 1, sizeof *s.visits),
        .stack = malloc(nodes * sizeof *s.stack + 1),
        .order = malloc(nodes * sizeof *s.order + 1),
    };
    stp_status status = STP_OK;
    if (!s.makers || !s.visits || !s.stack || !s.order) {
        status = stp_fail_memory(graph->context, nodes * sizeof *s.stack, "sorting the nodes");
        goto done;
    }
    for (int v = 0; v < graph->n_values; v++)
        s.makers[v] = -1;
    for (int n = 0; n < graph->n_nodes; n++)
        for (int o = 0; o < graph->nodes[n]->n_outputs; o++)
            if (graph->nodes[n]->outputs[o])
                s.makers[graph->nodes[n]->outputs[o]->id] = n;
    for (int n = 0; n < graph->n_nodes && status == STP_OK; n++)
        if (s.visits[n] == NEW)
            status = place(&s, n);
    if (status == STP_OK && nodes)
        memcpy(graph->nodes, s.order, nodes * sizeof *s.order);
done:
    free(s.makers);
    free(s.visits);
    free(s.stack);
    free(s.order);
    return status;
}

// Types --------------------------------------------------------------------------------------------------------------

// Runs the operators' checks in order. What the file declared of a node's outputs must be what the operator makes.
static stp_status check_operators(struct stp_graph *graph)
{
    for (int n = 0; n < graph->n_nodes; n++) {
        struct stp_node *node = graph->nodes[n];
        stp_dtype *declared = stp_arena_array(&graph->arena, (size_t)node->n_outputs, sizeof *declared);
        if (!declared)
            return stp_fail_memory(graph->context, (size_t)node->n_outputs * sizeof *declared, "types");
        for (int o = 0; o < node->n_outputs; o++)
            declared[o] = node->outputs[o] ? node->outputs[o]->dtype : STP_DTYPE_NONE;
        STP_TRY(node->op->check(graph, node));
        for (int o = 0; o < node->n_outputs; o++) {
            const struct stp_value *output = node->outputs[o];
            if (output && output->dtype == STP_DTYPE_NONE)
                return stp_fail_node(graph->context, STP_ERROR_UNSUPPORTED, node, "output '%s' has no type", output->name);
            if (output && declared[o] != STP_DTYPE_NONE && declared[o] != output->dtype)
                return stp_fail_node(graph->context, STP_ERROR_INVALID_MODEL, node,
                                     "output '%s' is declared as %s, but is %s", output->name,
                                     stp_dtype_name(declared[o]), stp_dtype_name(output->dtype));
        }
    }
    return STP_OK;
}

stp_status stp_graph_check(struct stp_graph *graph)
{
    stp_graph_link(graph);
    STP_TRY(find_operators(graph));
    for (int n = 0; n < graph->n_nodes; n++)
        STP_TRY(check_node(graph->context, graph->nodes[n], graph->opset));
    STP_TRY(drop_unsupported(graph));
    STP_TRY(stp_graph_sort(graph));
    return check_operators(graph);
}
