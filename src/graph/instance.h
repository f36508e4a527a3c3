// SPDX-License-Identifier: Apache-2.0
// A graph at concrete input sizes: shapes, masks, regions (which sites of each tensor anybody reads), and the order to run in.
// Knows nothing of devices: the same for every device and for the reference.
#ifndef STP_GRAPH_INSTANCE_H
#define STP_GRAPH_INSTANCE_H

#include "graph/graph.h"

// A sliding window: y first, x second. `pad` is that before the first row and column.
struct stp_window {
    int64_t kernel[2], stride[2], dilation[2], pad[2];
};

enum stp_region_kind {
    STP_SITES_ALL,
    STP_SITES_LIST, // where a mask is 1
    STP_SITES_NEED, // what a window at another region's sites reads
};

struct stp_region {
    enum stp_region_kind kind;
    int64_t n, h, w;          // the tensor whose sites these are: N, H, W
    int mask;                 // LIST: id of the mask's value, traced through Identity and Cast
    int of;                   // NEED: number of the region of the window's output
    int64_t of_h, of_w;       // NEED: H, W there
    struct stp_window window; // NEED
};

struct stp_instance {
    const struct stp_graph *graph;
    struct stp_arena arena;
    stp_tensor *tensors;         // per value: shape; data where it is known on the host
    const struct stp_op **ops;   // per node (by position in graph->nodes): the operator that computes it here (a Mul by a mask differs)
    int *region;                 // per value: number of its region; 0 is ALL
    const char **reason;         // per value: why that region, a clause for people
    struct stp_region *regions;  // [0] is ALL
    int n_regions, cap_regions;
    bool *may_reorder;           // per node: no Sample depends on it, and all its sites are read, in a sparse run as in a dense one: its
                                 // arithmetic may be done in another order, unless the session is exact (SPEC.md, Exactness)
    int *order;                  // positions in graph->nodes; a node comes after the masks of its output's region
};

// `inputs`: one tensor per graph input, with data for those integers that reach a shape position (others may be NULL).
// `dense`: every region is ALL. Errors: shapes that do not fit, naming the node.
stp_status stp_instance_create(struct stp_instance **out, const struct stp_graph *graph, const stp_tensor *inputs,
                               bool dense);
void stp_instance_destroy(struct stp_instance **instance);

// shape_inputs[i]: the value of graph input i reaches a shape position, so plans depend on it. One flag per graph input.
stp_status stp_graph_find_shape_inputs(const struct stp_graph *graph, bool *shape_inputs);

// A binary value shaped N×1×H×W (or 1×1×H×W).
bool stp_instance_is_mask(const struct stp_instance *instance, const struct stp_value *value);
// The value that a mask is made of, through Identity and Cast.
const struct stp_value *stp_instance_mask_source(const struct stp_instance *instance, const struct stp_value *value);
// "all", "list(NAME)", "need(list(NAME), 3x3)" in the arena of `arena`; NULL when memory is short.
const char *stp_instance_region_text(const struct stp_instance *instance, struct stp_arena *arena, int region);

// The regions pass (regions.c): fills region and reason, from scratch. Used by stp_instance_create().
stp_status stp_instance_find_regions(struct stp_instance *instance, bool dense);

#endif
