// SPDX-License-Identifier: Apache-2.0
// The passes over a checked graph, in the one order stp_graph_rewrite() gives them. All that may change rounding is decided
// here, from the file alone: never from sizes, density, batch, device, tuning or --dense (SPEC.md, Exactness).
#ifndef STP_GRAPH_PASSES_H
#define STP_GRAPH_PASSES_H

#include "graph/graph.h"

// Runs every pass below, in this order. The graph stays checked: params, dtypes, readers and topological order hold.
stp_status stp_graph_rewrite(struct stp_graph *graph);

// Nodes whose inputs are all constant become constants, through the reference.
stp_status stp_graph_fold(struct stp_graph *graph);
// BatchNormalization behind a Conv that has no other reader goes into its weights and bias, in double, rounded once.
stp_status stp_graph_fold_batchnorm(struct stp_graph *graph);
// Taps of non-negative interpolation kernels whose sum stays below epsilon·2^-24 are dropped (set to zero).
stp_status stp_graph_drop_taps(struct stp_graph *graph);
// Interpolate → pointwise Conv becomes Conv → Interpolate (→ Add of the bias) where SPEC.md's rule says that it pays.
stp_status stp_graph_commute(struct stp_graph *graph);
// Sets is_binary of every value; an Interpolate whose mask is not binary is an error.
stp_status stp_graph_find_masks(struct stp_graph *graph);
// Nodes whose outputs nobody reads go.
void stp_graph_prune(struct stp_graph *graph);

#endif
