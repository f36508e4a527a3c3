// SPDX-License-Identifier: Apache-2.0
// Kernels: cl/lists.cl.
#include "sparse/lists.h"

#include <stdio.h>

#include "device/worksize.h"
#include "run/plan.h"

// A list that holds more than this share of the sites becomes the identity: rows in place beat rows gathered.
static const double identity_share = 0.95;

struct count_source {
    int32_t count;
};

static void pack_count(void *destination, const void *user)
{
    memcpy(destination, &((const struct count_source *)user)->count, sizeof(int32_t));
}

static struct stp_rows all_rows(struct stp_plan *plan, int64_t sites)
{
    static const char key;
    int32_t count = stp_plan_i32(plan, NULL, sites);
    int slot = stp_plan_constant(plan, &key, count, sizeof count, pack_count, &(struct count_source){count});
    return (struct stp_rows){.all = true, .rows = slot, .inverse = slot, .count = slot, .sites = sites, .list = -1};
}

static struct stp_step *add_step(struct stp_plan *plan, stp_dtype mask, const char *kernel,
                                 const struct stp_scan_size *size)
{
    char options[64];
    snprintf(options, sizeof options, "-DT=%s -DVEC=%d -DLOCAL=%d -DALONE=%d",
             mask == STP_F32   ? "float"
             : mask == STP_I32 ? "int"
             : mask == STP_I64 ? "long"
                               : "uchar",
             stp_worksize_vector(&plan->device->limits), (int)size->local, size->alone);
    return stp_plan_step(plan, NULL, "lists", options, kernel);
}

static void set_size(struct stp_step *step, const struct stp_scan_size *size)
{
    size_t global = (size_t)size->pieces * size->local;
    stp_step_size(step, 1, &global, &size->local);
}

// The kernel that looks at each site, and what it looks at: `of_mask` or `of_list`.
static struct stp_step *add_look(struct stp_plan *plan, const struct stp_region *region, const char *of_mask, const char *of_list,
                                 const struct stp_scan_size *size)
{
    struct stp_step *step;
    if (region->kind == STP_SITES_LIST) {
        const struct stp_place *mask = stp_plan_place(plan, plan->instance->graph->values[region->mask]);
        step = add_step(plan, mask->dtype, of_mask, size);
        stp_step_read(step, mask->slot);
        stp_step_int(step, stp_plan_i32(plan, NULL, mask->rows.sites));
    } else {
        struct stp_rows of = stp_plan_rows(plan, region->of, region->n * region->of_h * region->of_w);
        step = add_step(plan, STP_F32, of_list, size);
        stp_step_in_rows(step, &of);
    }
    return step;
}

static void add_window(struct stp_step *step, const struct stp_region *region)
{
    if (region->kind != STP_SITES_NEED)
        return;
    const struct stp_window *w = &region->window;
    const int64_t numbers[16] = {region->h,      region->w,      region->of_h, region->of_w,
                                 w->kernel[0],   w->kernel[1],   w->stride[0], w->stride[1],
                                 w->dilation[0], w->dilation[1], w->pad[0],    w->pad[1]};
    stp_step_ints(step, numbers, 16);
}

static void add_outputs(struct stp_step *step, const struct stp_rows *rows)
{
    stp_step_write(step, rows->rows);
    stp_step_write(step, rows->inverse);
    stp_step_write(step, rows->count);
    stp_step_int(step, stp_plan_i32(step->plan, NULL, rows->sites));
}

static void add_most(struct stp_step *step, const struct stp_rows *rows)
{
    stp_step_int(step, stp_plan_i32(step->plan, NULL, (int64_t)(identity_share * (double)rows->sites)));
}

static void build_list(struct stp_plan *plan, const struct stp_region *region, const struct stp_rows *rows)
{
    const int64_t of = region->kind == STP_SITES_NEED ? region->n * region->of_h * region->of_w : 0;
    struct stp_scan_size size = stp_worksize_scan(&plan->device->limits, stp_max64(rows->sites, of));
    if (size.alone) {
        struct stp_step *step = add_look(plan, region, "list_mask", "list_need", &size);
        add_outputs(step, rows);
        add_most(step, rows);
        add_window(step, region);
        set_size(step, &size);
        return;
    }
    int flags = stp_plan_temp(plan, (size_t)rows->sites);
    int counts = stp_plan_temp(plan, (size_t)size.pieces * sizeof(int32_t));
    struct stp_step *step = add_look(plan, region, "flag_mask", "flag_need", &size);
    stp_step_write(step, flags);
    stp_step_write(step, counts);
    stp_step_int(step, stp_plan_i32(plan, NULL, rows->sites));
    stp_step_int(step, stp_plan_i32(plan, NULL, size.pieces));
    add_window(step, region);
    set_size(step, &size);
    step = add_step(plan, STP_F32, "write_list", &size);
    stp_step_read(step, flags);
    stp_step_read(step, counts);
    add_outputs(step, rows);
    stp_step_int(step, stp_plan_i32(plan, NULL, size.pieces));
    add_most(step, rows);
    set_size(step, &size);
}

struct stp_rows stp_plan_rows(struct stp_plan *plan, int region, int64_t sites)
{
    if (region <= 0 || plan->status != STP_OK)
        return all_rows(plan, sites);
    struct stp_list *list = &plan->lists[region];
    if (list->region)
        return list->rows;
    size_t bytes = (size_t)sites * sizeof(int32_t);
    list->region = region;
    list->rows = (struct stp_rows){.rows = stp_plan_temp(plan, bytes),
                                   .inverse = stp_plan_temp(plan, bytes),
                                   .count = stp_plan_temp(plan, sizeof(int32_t)),
                                   .sites = sites,
                                   .list = region};
    build_list(plan, &plan->instance->regions[region], &list->rows);
    return list->rows;
}
