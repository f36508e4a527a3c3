// SPDX-License-Identifier: Apache-2.0
// Constant folding: a node whose inputs are all constants is evaluated by the reference; its outputs become constants.
#include <stdlib.h>

#include "graph/infer.h"
#include "graph/op.h"
#include "graph/passes.h"
#include "ref/ref.h"

// What a node may make, and all nodes together: a small file must not fill the memory. Decided from the file alone. Nodes
// beyond it stay and run on the device.
enum { NODE_BYTES = 64 << 20, TOTAL_BYTES = 256 << 20 };

struct folder {
    struct stp_graph *graph;
    size_t left;          // of TOTAL_BYTES
    stp_tensor *operands; // aligned
    const stp_tensor **in;
    void **copies;        // of constants that lie unaligned in the file
    stp_tensor *out;
};

static bool can_fold(const struct stp_node *node)
{
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] && !stp_value_is_constant(node->inputs[i]))
            return false;
    return node->op->on_host;
}

static stp_status take_operands(struct folder *folder, const struct stp_node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        folder->in[i] = NULL;
        if (!node->inputs[i])
            continue;
        stp_tensor *operand = &folder->operands[i];
        *operand = stp_value_tensor(node->inputs[i]);
        folder->in[i] = operand;
        if (stp_tensor_is_aligned(operand))
            continue;
        size_t bytes = stp_tensor_bytes(operand);
        folder->copies[i] = malloc(bytes ? bytes : 1);
        if (!folder->copies[i])
            return stp_fail_memory(folder->graph->context, bytes, "constant folding");
        memcpy(folder->copies[i], operand->data, bytes);
        operand->data = folder->copies[i];
    }
    return STP_OK;
}

static void drop_operands(struct folder *folder, const struct stp_node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        free(folder->copies[i]);
        folder->copies[i] = NULL;
    }
}

// Gives out[] its data; *done is false if that would be too much.
static stp_status evaluate(struct folder *folder, const struct stp_node *node, bool *done)
{
    STP_TRY(stp_node_shape(folder->graph->context, node, folder->in, folder->out));
    // The same elements under another shape stay where they are.
    if (node->op->ref == stp_ref_copy) {
        folder->out[0].data = (void *)(uintptr_t)node->inputs[0]->data;
        *done = true;
        return STP_OK;
    }
    size_t total = 0;
    for (int i = 0; i < node->n_outputs; i++) {
        size_t bytes = stp_tensor_bytes(&folder->out[i]);
        total = bytes > NODE_BYTES ? SIZE_MAX / 2 : total + bytes;
        if (total > NODE_BYTES || total > folder->left)
            return STP_OK;
    }
    for (int i = 0; i < node->n_outputs; i++) {
        size_t bytes = stp_tensor_bytes(&folder->out[i]);
        folder->out[i].data = stp_arena_alloc(&folder->graph->arena, bytes);
        if (!folder->out[i].data)
            return stp_fail_memory(folder->graph->context, bytes, "constant folding");
    }
    folder->left -= total;
    node->op->ref(node, folder->in, folder->out);
    *done = true;
    return STP_OK;
}

static void make_constants(const struct folder *folder, const struct stp_node *node)
{
    for (int i = 0; i < node->n_outputs; i++) {
        struct stp_value *value = node->outputs[i];
        if (!value)
            continue;
        value->rank = folder->out[i].rank;
        memcpy(value->dims, folder->out[i].dims, sizeof value->dims);
        value->data = folder->out[i].data;
        value->producer = NULL;
    }
}

static stp_status fold_nodes(struct folder *folder)
{
    struct stp_graph *graph = folder->graph;
    int kept = 0;
    for (int n = 0; n < graph->n_nodes; n++) {
        struct stp_node *node = graph->nodes[n];
        bool done = false;
        if (can_fold(node)) {
            stp_status status = take_operands(folder, node);
            if (status == STP_OK)
                status = evaluate(folder, node, &done);
            drop_operands(folder, node);
            STP_TRY(status);
        }
        if (done)
            make_constants(folder, node);
        else
            graph->nodes[kept++] = node;
    }
    graph->n_nodes = kept;
    stp_graph_link(graph);
    return STP_OK;
}

stp_status stp_graph_fold(struct stp_graph *graph)
{
    int n_in, n_out;
    stp_graph_widest(graph, &n_in, &n_out);
    struct stp_arena arena = {0};
    struct folder folder = {
        .graph = graph,
        .left = TOTAL_BYTES,
        .operands = stp_arena_array(&arena, (size_t)n_in, sizeof *folder.operands),
        .in = stp_arena_array(&arena, (size_t)n_in, sizeof *folder.in),
        .copies = stp_arena_array(&arena, (size_t)n_in, sizeof *folder.copies),
        .out = stp_arena_array(&arena, (size_t)n_out, sizeof *folder.out),
    };
    stp_status status = STP_OK;
    if (!folder.operands || !folder.in || !folder.copies || !folder.out)
        status = stp_fail_memory(graph->context, (size_t)n_in * sizeof *folder.operands, "constant folding");
    else
        status = fold_nodes(&folder);
    stp_arena_free(&arena);
    return status;
}
