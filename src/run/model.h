// SPDX-License-Identifier: Apache-2.0
#ifndef STP_RUN_MODEL_H
#define STP_RUN_MODEL_H

#include <stipple/model.h>

#include "graph/graph.h"

struct stp_model {
    stp_context *context;
    struct stp_graph *graph;         // checked and rewritten
    stp_model_port *inputs, *outputs; // in the graph's order; in its arena
    const char **regions, **reasons;  // per node, of its first output at the declared sizes; NULL if the model cannot run at those
    bool *shape_inputs;               // per graph input: its value reaches a shape position
};

#endif
