// SPDX-License-Identifier: Apache-2.0
// What each node did in the last run: rows, multiply-accumulates, bytes, kernel, time. From the plan, the masks, and the row
// counts that are on the device.
#include <assert.h>
#include <stdlib.h>

#include "graph/op.h"
#include "ops/conv.h"
#include "ops/interpolate.h"
#include "ops/registry.h"
#include "run/session.h"

struct count {
    stp_session *session;
    struct stp_plan *plan;
    const struct stp_graph *graph;
    struct stp_arena arena; // of what follows
    unsigned char **flags;  // per region: its sites, one byte each; NULL until asked for
    int64_t *listed;        // per list: its rows + 1; 0 until asked for
    bool *is_mask_conv;     // per node, as SPEC.md counts
    int *owner;             // per step: position of its node; −1: none
};

// Sites --------------------------------------------------------------------------------------------------------------

static const struct stp_session_mask *find_mask(const struct count *c, int value)
{
    int i = 0;
    while (i < c->plan->n_masks && c->plan->masks[i].value->id != value)
        i++;
    assert(i < c->plan->n_masks);
    return &c->session->masks[i];
}

// Whether a window at a site of `of` (NULL: any) reads site (y, x) of r.
static bool window_reads(const struct stp_region *r, const unsigned char *of, int64_t n, int64_t y, int64_t x)
{
    const struct stp_window *w = &r->window;
    for (int64_t ky = 0; ky < w->kernel[0]; ky++)
        for (int64_t kx = 0; kx < w->kernel[1]; kx++) {
            int64_t ty = y + w->pad[0] - ky * w->dilation[0], tx = x + w->pad[1] - kx * w->dilation[1];
            if (ty < 0 || tx < 0 || ty % w->stride[0] || tx % w->stride[1])
                continue;
            ty /= w->stride[0];
            tx /= w->stride[1];
            if (ty < r->of_h && tx < r->of_w && (!of || of[(n * r->of_h + ty) * r->of_w + tx]))
                return true;
        }
    return false;
}

// The sites of a region; NULL when memory is short.
static unsigned char *region_flags(struct count *c, int region)
{
    const struct stp_region *r = &c->plan->instance->regions[region];
    if (c->flags[region])
        return c->flags[region];
    int64_t sites = r->n * r->h * r->w;
    unsigned char *of = r->kind == STP_SITES_NEED ? region_flags(c, r->of) : NULL;
    unsigned char *out = stp_arena_alloc(&c->arena, (size_t)sites);
    if (!out || (r->kind == STP_SITES_NEED && !of))
        return NULL;
    const struct stp_session_mask *mask = r->kind == STP_SITES_LIST ? find_mask(c, r->mask) : NULL;
    for (int64_t s = 0; s < sites; s++)
        out[s] = mask ? mask->data[s % (mask->batch * mask->height * mask->width)]
                      : window_reads(r, of, s / (r->h * r->w), s / r->w % r->h, s % r->w);
    return c->flags[region] = out;
}

// *out is NULL if every site of the value is computed: its region is ALL, or its list became the identity.
static stp_status computed_flags(struct count *c, const struct stp_value *value, double rows, const unsigned char **out)
{
    int region = c->plan->instance->region[value->id];
    *out = NULL;
    if (region <= 0 || rows == (double)stp_plan_place(c->plan, value)->rows.sites)
        return STP_OK;
    *out = region_flags(c, region);
    return *out ? STP_OK : stp_fail_memory(c->session->context, 0, "a region");
}

// Rows computed of a value: the list's count as the device has it, or all sites.
static stp_status computed_rows(struct count *c, const struct stp_value *value, double *out)
{
    const struct stp_rows *rows = &stp_plan_place(c->plan, value)->rows;
    *out = (double)rows->sites;
    if (rows->all)
        return STP_OK;
    int64_t *listed = &c->listed[rows->list];
    if (!*listed) {
        int32_t count;
        STP_TRY(stp_session_read_slot(c->session, rows->count, sizeof count, &count));
        *listed = (int64_t)count + 1;
    }
    *out = (double)(*listed - 1);
    return STP_OK;
}

// Multiply-accumulates -----------------------------------------------------------------------------------------------

// The convolutions whose result reaches a Sample through site-wise operators only.
static stp_status find_mask_convs(struct count *c)
{
    const struct stp_graph *graph = c->graph;
    bool *reaches = stp_arena_array(&c->arena, (size_t)graph->n_values, sizeof *reaches); // per value
    if (!reaches)
        return stp_fail_memory(c->session->context, (size_t)graph->n_values, "a report");
    for (int n = graph->n_nodes - 1; n >= 0; n--) {
        const struct stp_node *node = graph->nodes[n];
        bool reached = node->op == &stp_op_Sample;
        for (int o = 0; o < node->n_outputs && !reached; o++)
            reached = node->outputs[o] && reaches[node->outputs[o]->id];
        if (!reached)
            continue;
        c->is_mask_conv[n] = node->op == &stp_op_Conv;
        if (node->op == &stp_op_Sample || node->op->region == STP_REGION_SITEWISE ||
            (node->op == &stp_op_Conv && stp_conv_is_pointwise(node)))
            for (int i = 0; i < (node->op == &stp_op_Sample ? 1 : node->n_inputs); i++)
                if (node->inputs[i])
                    reaches[node->inputs[i]->id] = true;
    }
    return STP_OK;
}

static stp_status count_interpolated(struct count *c, const struct stp_node *node, double rows, double *out)
{
    const stp_tensor *y = stp_plan_tensor(c->plan, node->outputs[0]);
    const struct stp_session_mask *mask =
        find_mask(c, stp_instance_mask_source(c->plan->instance, node->inputs[1])->id);
    const unsigned char *wanted;
    STP_TRY(computed_flags(c, node->outputs[0], rows, &wanted));
    int64_t sites = y->dims[0] * y->dims[2] * y->dims[3], each = mask->batch * mask->height * mask->width, count = 0;
    for (int64_t s = 0; s < sites; s++)
        count += (!wanted || wanted[s]) && !mask->data[s % each];
    *out = (double)count * (double)y->dims[1] * (double)stp_interpolate_kept_taps(node);
    return STP_OK;
}

static stp_status count_macs(struct count *c, int position, struct stp_session_node *out)
{
    const struct stp_node *node = c->graph->nodes[position];
    stp_session_macs *macs = &c->session->macs;
    if (node->op == &stp_op_Interpolate) {
        STP_TRY(count_interpolated(c, node, out->rows, &out->macs));
        macs->interpolation += out->macs;
    } else if (node->op == &stp_op_Conv || node->op == &stp_op_Gemm) {
        // Per computed site (Conv: outputs × taps × input channels per group) or per row (Gemm).
        double each = (double)stp_tensor_elements(stp_plan_tensor(c->plan, node->inputs[1]));
        out->macs = each * out->rows;
        macs->done += out->macs;
        if (c->is_mask_conv[position])
            macs->masks += out->macs;
        else
            macs->dense += each * (double)stp_plan_place(c->plan, node->outputs[0])->rows.sites;
    }
    return STP_OK;
}

// Bytes --------------------------------------------------------------------------------------------------------------

static double size_of(const stp_tensor *t)
{
    return (double)stp_tensor_elements(t) * (double)stp_dtype_size(t->dtype);
}

// Of `rows` rows.
static double bytes_of(const struct count *c, const struct stp_value *value, double rows)
{
    const struct stp_place *place = stp_plan_place(c->plan, value);
    return place->rows.sites ? size_of(stp_plan_tensor(c->plan, value)) * rows / (double)place->rows.sites : 0;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

// Rows of a Conv's input that the windows at `y_rows` sites of its output read.
static stp_status window_rows(struct count *c, const struct stp_node *node, double x_rows, double y_rows, double *out)
{
    const stp_tensor *x = stp_plan_tensor(c->plan, node->inputs[0]), *y = stp_plan_tensor(c->plan, node->outputs[0]);
    const struct stp_region r = {.window = stp_conv_window(node, x, stp_plan_tensor(c->plan, node->inputs[1])),
                                 .n = x->dims[0],
                                 .h = x->dims[2],
                                 .w = x->dims[3],
                                 .of_h = y->dims[2],
                                 .of_w = y->dims[3]};
    const unsigned char *of;
    STP_TRY(computed_flags(c, node->outputs[0], y_rows, &of));
    // What is listed is what is needed.
    bool listed = x_rows<(double)(r.n * r.h * r.w), steps = r.window.stride[0]> 1 || r.window.stride[1] > 1;
    *out = stp_conv_is_pointwise(node) ? least(x_rows, y_rows) : x_rows;
    if (stp_conv_is_pointwise(node) || listed || (!of && !steps))
        return STP_OK;
    *out = 0;
    for (int64_t s = 0; s < r.n * r.h * r.w; s++)
        *out += window_reads(&r, of, s / (r.h * r.w), s / r.w % r.h, s % r.w);
    return STP_OK;
}

// Bytes read of input `i`, where the node computes `y_rows` rows.
static stp_status count_read(struct count *c, int position, int i, double y_rows, double *out)
{
    const struct stp_node *node = c->graph->nodes[position];
    const struct stp_op *op = c->plan->instance->ops[position];
    const struct stp_value *x = node->inputs[i];
    const stp_tensor *t = stp_plan_tensor(c->plan, x);
    if (t->data || stp_value_is_constant(x)) { // or known on the host
        *out = size_of(t);
        return STP_OK;
    }
    double rows;
    STP_TRY(computed_rows(c, x, &rows));
    if (op->region == STP_REGION_SITEWISE) {
        rows = least(rows, y_rows);
    } else if (op->region == STP_REGION_CONV) {
        STP_TRY(window_rows(c, node, rows, y_rows, &rows));
    } else if (op->region == STP_REGION_MASK && i == 0) {
        const struct stp_value *source = stp_instance_mask_source(c->plan->instance, node->inputs[1]);
        rows = least(rows, find_mask(c, source->id)->sampled * (double)stp_plan_place(c->plan, x)->rows.sites);
    }
    *out = bytes_of(c, x, rows);
    return STP_OK;
}

// Position of the node whose kernel makes a mask convolution's products; −1 if it has none.
static int find_maker(const struct count *c, int position)
{
    const struct stp_projection *part = &c->plan->projections[position];
    return part->columns ? c->owner[c->plan->slots[part->slot].first] : -1;
}

// Where a node's bytes are counted: with the node whose launch does for it.
static struct stp_session_node *counted_with(struct count *c, int position)
{
    const struct stp_node *with = c->plan->projections[position].with;
    return &c->session->nodes[with ? stp_plan_position(c->plan, with) : position];
}

// A mask convolution's products: written by their maker, read here. x is read by the maker alone, which counts it.
static stp_status count_products(struct count *c, int position, int maker)
{
    const struct stp_node *node = c->graph->nodes[position];
    const int64_t *w = node->inputs[1]->dims;
    double rows;
    STP_TRY(computed_rows(c, node->inputs[0], &rows));
    double bytes = rows * (double)(w[0] * w[2] * w[3]) * (double)sizeof(float);
    counted_with(c, position)->bytes += bytes;
    c->session->nodes[maker].bytes += bytes;
    return STP_OK;
}

static stp_status count_bytes(struct count *c, int position)
{
    const struct stp_node *node = c->graph->nodes[position];
    const struct stp_tail *tail = &c->plan->tails[position];
    struct stp_session_node *out = counted_with(c, position);
    const double y_rows = c->session->nodes[position].rows;
    int maker = find_maker(c, position);
    double rows, bytes, written = 0;
    for (int o = 0; o < node->n_outputs; o++) {
        const struct stp_value *y = o ? node->outputs[o] : tail->output;
        if (!y)
            continue;
        STP_TRY(computed_rows(c, y, &rows));
        written += bytes_of(c, y, rows);
    }
    out->bytes += written;
    if (node->op == &stp_op_Slice || node->op == &stp_op_Split) { // they read what they write
        out->bytes += written;
        return STP_OK;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        bool is_shape = i < 32 && node->op->host_inputs >> i & 1, is_passed = i == 0 && maker >= 0 && maker != position;
        if (!node->inputs[i] || is_shape || is_passed)
            continue;
        STP_TRY(count_read(c, position, i, y_rows, &bytes));
        out->bytes += bytes;
    }
    if (tail->bias)
        out->bytes += size_of(stp_plan_tensor(c->plan, tail->bias));
    if (tail->sample)
        out->bytes += size_of(stp_plan_tensor(c->plan, tail->sample->inputs[1]));
    if (tail->identity) {
        STP_TRY(computed_rows(c, tail->identity, &rows));
        out->bytes += bytes_of(c, tail->identity, least(rows, y_rows));
    }
    return maker >= 0 ? count_products(c, position, maker) : STP_OK;
}

// Nodes --------------------------------------------------------------------------------------------------------------

// Kernels and times of the steps. They come nearly in the graph's order, so each search goes on from the last one's place.
static void add_steps(struct count *c)
{
    struct stp_session_node *nodes = c->session->nodes;
    int at = 0;
    for (int i = 0; i < c->plan->n_steps; i++) {
        const struct stp_step *step = c->plan->steps[i];
        while (step->node && c->graph->nodes[at] != step->node)
            at = (at + 1) % c->graph->n_nodes;
        c->owner[i] = step->node ? at : -1;
        struct stp_session_node *node = &nodes[step->node ? at : c->graph->n_nodes];
        node->ms += step->ms;
        if (step->node) {
            node->kernel = step->name;
            node->options = step->options;
        }
    }
}

static stp_status count_node(struct count *c, int position)
{
    const struct stp_node *node = c->graph->nodes[position];
    struct stp_session_node *out = &c->session->nodes[position];
    if (!node->outputs[0] || stp_plan_tensor(c->plan, node->outputs[0])->data)
        return STP_OK;
    STP_TRY(computed_rows(c, node->outputs[0], &out->rows));
    STP_TRY(count_macs(c, position, out));
    const struct stp_tail *tail = &c->plan->tails[position];
    const int anchor = tail->swallowed ? tail->anchor : position;
    const struct stp_node *with = c->plan->projections[anchor].with;
    int maker = find_maker(c, position);
    if (with && with != node)
        out->part_of = with->name;
    else if (tail->swallowed)
        out->part_of = c->graph->nodes[anchor]->name;
    else if (maker >= 0 && maker != position)
        out->part_of = c->graph->nodes[maker]->name;
    return out->kernel || (with && !tail->swallowed) ? count_bytes(c, position) : STP_OK;
}

static stp_status count_all(struct count *c)
{
    stp_session *session = c->session;
    size_t n_nodes = (size_t)c->graph->n_nodes;
    c->flags = stp_arena_array(&c->arena, (size_t)c->plan->instance->n_regions, sizeof *c->flags);
    c->listed = stp_arena_array(&c->arena, (size_t)c->plan->instance->n_regions, sizeof *c->listed);
    c->is_mask_conv = stp_arena_array(&c->arena, n_nodes, sizeof *c->is_mask_conv);
    c->owner = stp_arena_array(&c->arena, (size_t)c->plan->n_steps, sizeof *c->owner);
    free(session->nodes);
    session->nodes = calloc(n_nodes + 1, sizeof *session->nodes);
    if (!c->flags || !c->listed || !c->is_mask_conv || !c->owner || !session->nodes)
        return stp_fail_memory(session->context, n_nodes * sizeof *session->nodes, "a report");
    session->macs = (stp_session_macs){0};
    for (int n = 0; n < c->graph->n_nodes; n++)
        session->nodes[n] = (struct stp_session_node){.name = c->graph->nodes[n]->name, .op = c->graph->nodes[n]->type};
    session->nodes[n_nodes] =
        (struct stp_session_node){.name = "(lists, inputs, outputs)", .op = "", .kernel = "lists", .options = ""};
    STP_TRY(find_mask_convs(c));
    add_steps(c);
    for (int n = 0; n < c->graph->n_nodes; n++)
        STP_TRY(count_node(c, n));
    return STP_OK;
}

stp_status stp_session_count_nodes(stp_session *session)
{
    struct count c = {.session = session, .plan = session->plan, .graph = session->plan->instance->graph};
    stp_status status = count_all(&c);
    stp_arena_free(&c.arena);
    return status;
}
