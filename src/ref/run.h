// SPDX-License-Identifier: Apache-2.0
// Runs a whole graph on the host with the operators' references: what every exact device must give, bit for bit.
#ifndef STP_REF_RUN_H
#define STP_REF_RUN_H

#include "graph/graph.h"

// Told the value of each node's output as it is computed. The tensor lives during the call only.
typedef void (*stp_ref_visit)(void *user, const struct stp_value *value, const stp_tensor *tensor);

// The graph has passed stp_graph_rewrite() (or stp_graph_check() and stp_graph_find_masks()).
// `inputs`: one per graph input; with dtype STP_DTYPE_NONE the input's default stands in. `outputs`: room for one per graph
// output; on success their data is malloc'ed, for the caller to free(). `visit` may be NULL.
// Errors: those of stp_instance_create(), an input without data, out of memory; then the outputs are zeroed.
stp_status stp_ref_run(const struct stp_graph *graph, const stp_tensor *inputs, stp_tensor *outputs,
                       stp_ref_visit visit, void *user);

#endif
