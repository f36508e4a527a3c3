// SPDX-License-Identifier: Apache-2.0
// Regions: walking backwards from the outputs, which sites of each tensor anybody reads (DESIGN.md, Regions; SPEC.md).
#include "graph/instance.h"

#include "graph/op.h"
#include "ops/conv.h"
#include "ops/registry.h"

enum { UNREAD = -1, ALL = 0 };

struct regions {
    struct stp_instance *instance;
    bool failed; // memory
};

static bool same_region(const struct stp_region *a, const struct stp_region *b)
{
    return a->kind == b->kind && a->n == b->n && a->h == b->h && a->w == b->w && a->mask == b->mask && a->of == b->of &&
           a->of_h == b->of_h && a->of_w == b->of_w && !memcmp(&a->window, &b->window, sizeof a->window);
}

// The number of a region equal to `wanted`, added if it is new.
static int find_region(struct regions *r, const struct stp_region *wanted)
{
    struct stp_instance *instance = r->instance;
    for (int i = 0; i < instance->n_regions; i++)
        if (same_region(&instance->regions[i], wanted))
            return i;
    if (instance->n_regions == instance->cap_regions) {
        int capacity = instance->cap_regions ? instance->cap_regions * 2 : 64;
        struct stp_region *grown = stp_arena_array(&instance->arena, (size_t)capacity, sizeof *grown);
        if (!grown) {
            r->failed = true;
            return ALL;
        }
        if (instance->n_regions)
            memcpy(grown, instance->regions, (size_t)instance->n_regions * sizeof *grown);
        instance->regions = grown;
        instance->cap_regions = capacity;
    }
    instance->regions[instance->n_regions] = *wanted;
    return instance->n_regions++;
}

// One more reader of `value` reads `region` of it.
static void read_value(struct regions *r, const struct stp_value *value, int region, const char *reason)
{
    struct stp_instance *instance = r->instance;
    int *now = &instance->region[value->id];
    if (*now == UNREAD) {
        *now = region;
        instance->reason[value->id] = reason;
    } else if (*now != region) {
        *now = ALL;
        instance->reason[value->id] = "its readers read different sites";
    }
}

static void read_all(struct regions *r, const struct stp_node *node, const char *reason)
{
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i])
            read_value(r, node->inputs[i], ALL, reason);
}

static bool same_sites(const stp_tensor *a, const stp_tensor *b)
{
    return a->rank == 4 && b->rank == 4 && a->dims[0] == b->dims[0] && a->dims[2] == b->dims[2] &&
           a->dims[3] == b->dims[3];
}

// list(mask) of a tensor `x`; ALL if the mask is not of x's own height and width.
static int list_region(struct regions *r, const struct stp_value *mask, const stp_tensor *x)
{
    const struct stp_instance *instance = r->instance;
    const stp_tensor *m = &instance->tensors[mask->id];
    if (!stp_instance_is_mask(instance, mask) || x->rank != 4 || m->dims[2] != x->dims[2] || m->dims[3] != x->dims[3] ||
        (m->dims[0] != x->dims[0] && m->dims[0] != 1))
        return ALL;
    struct stp_region region = {.kind = STP_SITES_LIST,
                                .n = x->dims[0],
                                .h = x->dims[2],
                                .w = x->dims[3],
                                .mask = stp_instance_mask_source(instance, mask)->id};
    return find_region(r, &region);
}

static int need_region(struct regions *r, int of, const stp_tensor *x, const stp_tensor *y,
                       const struct stp_window *window)
{
    if (of == ALL)
        return ALL;
    struct stp_region region = {.kind = STP_SITES_NEED,
                                .n = x->dims[0],
                                .h = x->dims[2],
                                .w = x->dims[3],
                                .of = of,
                                .of_h = y->dims[2],
                                .of_w = y->dims[3],
                                .window = *window};
    return find_region(r, &region);
}

static bool is_pointwise(const struct stp_window *window, const stp_tensor *x, const stp_tensor *y)
{
    return window->kernel[0] == 1 && window->kernel[1] == 1 && window->stride[0] == 1 && window->stride[1] == 1 &&
           window->pad[0] == 0 && window->pad[1] == 0 && same_sites(x, y);
}

static void visit_conv(struct regions *r, const struct stp_node *node, int region)
{
    const stp_tensor *tensors = r->instance->tensors;
    const stp_tensor *x = &tensors[node->inputs[0]->id], *y = &tensors[node->outputs[0]->id];
    struct stp_window window = stp_conv_window(node, x, &tensors[node->inputs[1]->id]);
    if (is_pointwise(&window, x, y))
        read_value(r, node->inputs[0], region, "only a pointwise convolution reads it, at these sites");
    else
        read_value(r, node->inputs[0], need_region(r, region, x, y, &window),
                   region == ALL ? "a convolution at every site reads it" : "only a convolution at sampled sites reads it");
    for (int i = 1; i < node->n_inputs; i++)
        if (node->inputs[i])
            read_value(r, node->inputs[i], ALL, "weights");
}

static void visit_sitewise(struct regions *r, const struct stp_node *node, int region)
{
    const struct stp_instance *instance = r->instance;
    const stp_tensor *in[64] = {0};
    const stp_tensor *y = &instance->tensors[node->outputs[0]->id];
    bool passes = region != ALL;
    if (passes && node->op->sitewise) {
        passes = node->n_inputs <= (int)STP_LENGTH(in);
        for (int i = 0; passes && i < node->n_inputs; i++)
            in[i] = node->inputs[i] ? &instance->tensors[node->inputs[i]->id] : NULL;
        passes = passes && node->op->sitewise(node, in, y);
    }
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i]) {
            bool aligned = passes && same_sites(&instance->tensors[node->inputs[i]->id], y);
            read_value(r, node->inputs[i], aligned ? region : ALL,
                       region == ALL ? "an operator at every site reads it"
                       : aligned     ? "only site-wise operators at sampled sites read it"
                                     : "it is broadcast over sites");
        }
}

// Interpolate(x, mask, …), Mul by a mask, Where(mask, x, base): x is read where the mask is 1.
static void visit_masked(struct regions *r, const struct stp_node *node, int x, int mask, const char *reason)
{
    const stp_tensor *tensors = r->instance->tensors;
    for (int i = 0; i < node->n_inputs; i++) {
        if (!node->inputs[i])
            continue;
        int region = i == x ? list_region(r, node->inputs[mask], &tensors[node->inputs[x]->id]) : ALL;
        read_value(r, node->inputs[i], region, i == x ? reason : "a masking operator reads it everywhere");
    }
}

// The region at which a node has to compute, and why if that is ALL for another reason than its readers.
static int output_region(const struct stp_instance *instance, const struct stp_node *node)
{
    int region = UNREAD;
    for (int o = 0; o < node->n_outputs; o++) {
        if (!node->outputs[o])
            continue;
        int here = instance->region[node->outputs[o]->id];
        if (here == UNREAD)
            here = ALL;
        region = region == UNREAD || region == here ? here : ALL;
    }
    return region == UNREAD ? ALL : region;
}

static bool starts_region(const struct stp_instance *instance, const struct stp_node *node, int mask, int x)
{
    return stp_instance_is_mask(instance, node->inputs[mask]) &&
           same_sites(&instance->tensors[node->inputs[x]->id], &instance->tensors[node->outputs[0]->id]);
}

static void visit(struct regions *r, int position)
{
    struct stp_instance *instance = r->instance;
    const struct stp_node *node = instance->graph->nodes[position];
    const struct stp_op *op = instance->ops[position];
    int region = output_region(instance, node);
    bool computes_all = op->region == STP_REGION_ALL;
    for (int o = 0; o < node->n_outputs; o++) {
        if (!node->outputs[o])
            continue;
        int id = node->outputs[o]->id;
        if (computes_all && instance->region[id] != ALL)
            instance->reason[id] = "this operator always computes every site";
        else if (instance->region[id] == UNREAD || instance->region[id] != region)
            instance->reason[id] = "its outputs are read at different sites";
        instance->region[id] = computes_all ? ALL : region;
    }
    if (op == &stp_op_Interpolate && starts_region(instance, node, 1, 0))
        visit_masked(r, node, 0, 1, "only Interpolate reads it, at the mask's sites");
    else if (op == &stp_op_MulByMask && starts_region(instance, node, 1, 0))
        visit_masked(r, node, 0, 1, "only a Mul by the mask reads it");
    else if (op == &stp_op_MaskTimes && starts_region(instance, node, 0, 1))
        visit_masked(r, node, 1, 0, "only a Mul by the mask reads it");
    else if (op == &stp_op_Where && starts_region(instance, node, 0, 1))
        visit_masked(r, node, 1, 0, "only Where reads it, at the mask's sites");
    else if (op->region == STP_REGION_CONV)
        visit_conv(r, node, region);
    else if (op->region == STP_REGION_SITEWISE)
        visit_sitewise(r, node, region);
    else
        read_all(r, node, "an operator that reads every site reads it");
}

stp_status stp_instance_find_regions(struct stp_instance *instance, bool dense)
{
    const struct stp_graph *graph = instance->graph;
    struct regions r = {.instance = instance};
    instance->n_regions = 0;
    find_region(&r, &(struct stp_region){.kind = STP_SITES_ALL});
    for (int v = 0; v < graph->n_values; v++) {
        const struct stp_value *value = graph->values[v];
        instance->region[v] = UNREAD;
        if (dense)
            read_value(&r, value, ALL, "a dense run computes every site");
        else if (value->is_output)
            read_value(&r, value, ALL, "it is an output of the graph");
        else if (!value->producer)
            read_value(&r, value, ALL, "it is given");
        else if (instance->tensors[v].rank != 4)
            read_value(&r, value, ALL, "it has no sites");
    }
    for (int n = graph->n_nodes - 1; n >= 0 && !dense; n--)
        visit(&r, n);
    return r.failed ? stp_fail_memory(graph->context, sizeof *instance->regions, "regions") : STP_OK;
}

const char *stp_instance_region_text(const struct stp_instance *instance, struct stp_arena *arena, int region)
{
    const struct stp_region *r = &instance->regions[region];
    if (r->kind == STP_SITES_ALL)
        return "all";
    if (r->kind == STP_SITES_LIST)
        return stp_arena_format(arena, "list(%s)", instance->graph->values[r->mask]->name);
    const char *inner = stp_instance_region_text(instance, arena, r->of); // as deep as convolutions follow one another
    if (!inner)
        return NULL;
    return stp_arena_format(arena, "need(%s, %lldx%lld)", inner, (long long)r->window.kernel[0],
                            (long long)r->window.kernel[1]);
}
