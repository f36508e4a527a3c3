// SPDX-License-Identifier: Apache-2.0
// What an operator is: one entry of the registry (ops/registry.h), which drives loading, planning, the reference and the tests.
#ifndef STP_OP_H
#define STP_OP_H

#include "graph/graph.h"

struct stp_plan; // src/run: opaque here

// How regions spread backwards through an operator (DESIGN.md, Regions).
enum stp_region_rule {
    STP_REGION_ALL,      // computes ALL and reads ALL
    STP_REGION_SITEWISE, // site (n, y, x) of the output reads site (n, y, x) of each input that does not broadcast over N, H, W
    STP_REGION_CONV,     // Conv: keeps the region for its output, asks its input for need(R, …)
    STP_REGION_MASK,     // Interpolate: reads its first input at the mask's sites
};

struct stp_op {
    const char *domain; // "" or "stipple"
    const char *type;
    int min_version, max_version; // opsets of its domain whose schema is implemented
    int min_inputs, max_inputs;   // max −1: unbounded
    int min_outputs, max_outputs;
    enum stp_region_rule region;
    unsigned host_inputs; // bit i: input i is a shape position, its value must be known on the host
    bool on_host; // work linear in the sizes of inputs and outputs: evaluated by `ref` where all inputs are known (graph/fold, graph/infer)

    // With STP_REGION_SITEWISE: whether these shapes and attributes let regions through (Concat along axis 1 does, along axis 2 not).
    // NULL: always.
    bool (*sitewise)(const struct stp_node *node, const stp_tensor *const *in, const stp_tensor *out);

    // Attributes → node->params (graph arena), input types, output types (node->outputs[i]->dtype; the inputs' are set).
    // Errors name the node. NULL entries of `inputs` beyond min_inputs are allowed (absent).
    stp_status (*check)(struct stp_graph *graph, struct stp_node *node);

    // Output shapes (dtype, rank, dims; data NULL) from concrete input shapes. in[i] is NULL for an absent input. in[i]->data is set where the value
    // is known on the host (constants, and integers that reach a shape position), else NULL. Sizes are checked for overflow by the caller.
    stp_status (*shape)(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out);

    // The reference: computes out[i].data (allocated, of the shape rule's shape) from in[i]->data. Plain C, the order of operations of SPEC.md.
    // All tensors row-major in ONNX's logical order, data aligned. Cannot fail.
    void (*ref)(const struct stp_node *node, const stp_tensor *const *in, stp_tensor *out);

    // Chooses variants and adds steps to a plan.
    stp_status (*lower)(struct stp_plan *plan, const struct stp_node *node);
};

// NULL if there is none of that name (any version). `domain` "" or "stipple".
const struct stp_op *stp_op_find(const char *domain, const char *type);

#endif
