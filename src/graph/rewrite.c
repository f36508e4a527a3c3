// SPDX-License-Identifier: Apache-2.0
#include "graph/passes.h"

#include "graph/op.h"

void stp_graph_prune(struct stp_graph *graph)
{
    // Backwards, so that what only a pruned node read goes too.
    for (int n = graph->n_nodes - 1; n >= 0; n--) {
        struct stp_node *node = graph->nodes[n];
        bool read = false;
        for (int o = 0; o < node->n_outputs; o++)
            read = read || (node->outputs[o] && (node->outputs[o]->readers || node->outputs[o]->is_output));
        if (read)
            continue;
        for (int i = 0; i < node->n_inputs; i++)
            if (node->inputs[i])
                node->inputs[i]->readers--;
        graph->nodes[n] = NULL;
    }
    int kept = 0;
    for (int n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n])
            graph->nodes[kept++] = graph->nodes[n];
    graph->n_nodes = kept;
    stp_graph_link(graph);
}

stp_status stp_graph_rewrite(struct stp_graph *graph)
{
    STP_TRY(stp_graph_fold(graph));
    stp_graph_prune(graph);
    STP_TRY(stp_graph_fold_batchnorm(graph));
    STP_TRY(stp_graph_drop_taps(graph));
    STP_TRY(stp_graph_commute(graph));
    return stp_graph_find_masks(graph);
}
