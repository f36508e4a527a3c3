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

static int64_t sites_of(const struct stp_region *region)
{
    return region->n * region->h * region->w;
}

// Of the list that windows are at; 0: there are none.
static int64_t of_sites(const struct stp_region *region)
{
    return region->kind == STP_SITES_NEED ? region->n * region->of_h * region->of_w : 0;
}

static int64_t most_sites(const struct stp_region *region)
{
    return stp_max64(sites_of(region), of_sites(region));
}

static int32_t most_of(struct stp_plan *plan, int64_t sites)
{
    return stp_plan_i32(plan, NULL, (int64_t)(identity_share * (double)sites));
}

// The kernels' `job`.
static void add_job(struct stp_step *step, const struct stp_region *region, int64_t mask_sites)
{
    struct stp_plan *plan = step->plan;
    const struct stp_window *w = &region->window;
    int64_t job[16] = {sites_of(region), most_of(plan, sites_of(region)), mask_sites, most_of(plan, of_sites(region))};
    if (region->kind == STP_SITES_NEED) {
        const int64_t windows[12] = {region->h,    region->w,      region->of_h,   region->of_w, w->kernel[0], w->kernel[1], w->stride[0],
                                     w->stride[1], w->dilation[0], w->dilation[1], w->pad[0],    w->pad[1]};
        memcpy(job + 4, windows, sizeof windows);
    }
    stp_step_ints(step, job, 16);
}

static void new_list(struct stp_plan *plan, int region)
{
    const int64_t sites = sites_of(&plan->instance->regions[region]);
    const size_t bytes = (size_t)sites * sizeof(int32_t);
    plan->lists[region] = (struct stp_list){.region = region,
                                            .rows = {.rows = stp_plan_temp(plan, bytes),
                                                     .inverse = stp_plan_temp(plan, bytes),
                                                     .count = stp_plan_temp(plan, sizeof(int32_t)),
                                                     .sites = sites,
                                                     .list = region}};
}

static void add_outputs(struct stp_step *step, const struct stp_rows *rows)
{
    stp_step_write(step, rows->rows);
    stp_step_write(step, rows->inverse);
    stp_step_write(step, rows->count);
}

// Together -----------------------------------------------------------------------------------------------------------

enum { TOGETHER = 3 }; // as cl/lists.cl

// The value of the mask from which the kernel `lists` can make a region's list; NULL: it takes more.
static const struct stp_value *mask_of(const struct stp_plan *plan, int region)
{
    const struct stp_region *regions = plan->instance->regions, *r = &regions[region];
    if (!sites_of(r) || !stp_worksize_scan(&plan->device->limits, most_sites(r)).alone)
        return NULL;
    if (r->kind == STP_SITES_NEED)
        r = &regions[r->of];
    return r->kind == STP_SITES_LIST ? plan->instance->graph->values[r->mask] : NULL;
}

// Regions of values that turned out to be read elsewhere too have no tensor in them.
static bool is_used(const struct stp_plan *plan, int region)
{
    int v = 0;
    while (v < plan->instance->graph->n_values && plan->instance->region[v] != region)
        v++;
    return v < plan->instance->graph->n_values;
}

// This region first, then others that have no list yet and can have one now; the graph's first ones have the highest numbers.
static int find_together(const struct stp_plan *plan, int first, int *regions)
{
    const stp_tensor *tensors = plan->instance->tensors;
    const stp_dtype dtype = tensors[mask_of(plan, first)->id].dtype;
    int count = 0;
    regions[count++] = first;
    for (int r = plan->n_lists - 1; r > 0 && count < TOGETHER; r--) {
        const struct stp_value *mask = mask_of(plan, r);
        if (r != first && !plan->lists[r].region && mask && tensors[mask->id].dtype == dtype && stp_plan_has(plan, mask) && is_used(plan, r))
            regions[count++] = r;
    }
    return count;
}

static void build_together(struct stp_plan *plan, int first)
{
    const struct stp_region *all = plan->instance->regions;
    const struct stp_place *masks[TOGETHER];
    int regions[TOGETHER], count = find_together(plan, first, regions);
    int64_t longest = 0;
    for (int i = 0; i < TOGETHER; i++) {
        if (i < count)
            new_list(plan, regions[i]);
        else
            regions[i] = first; // for arguments that no work-group looks at
        masks[i] = stp_plan_place(plan, mask_of(plan, regions[i]));
        longest = stp_max64(longest, most_sites(&all[regions[i]]));
    }
    const struct stp_scan_size size = stp_worksize_scan(&plan->device->limits, longest);
    const int64_t room = size.local == 1 ? 2 * longest : 0;
    int flags = stp_plan_temp(plan, (size_t)(room * count));
    struct stp_step *step = add_step(plan, masks[0]->dtype, "lists", &size);
    for (int i = 0; i < TOGETHER; i++)
        stp_step_read(step, masks[i]->slot);
    for (int i = 0; i < TOGETHER; i++)
        add_outputs(step, &plan->lists[regions[i]].rows);
    stp_step_write(step, flags);
    stp_step_int(step, stp_plan_i32(plan, NULL, room));
    for (int i = 0; i < TOGETHER; i++)
        add_job(step, &all[regions[i]], masks[i]->rows.sites);
    stp_step_size(step, 1, (size_t[]){(size_t)count * size.local}, &size.local);
}

// One by one ---------------------------------------------------------------------------------------------------------

static void add_pieces(struct stp_step *step, const struct stp_scan_size *size)
{
    const size_t global = (size_t)size->pieces * size->local;
    stp_step_int(step, stp_plan_i32(step->plan, NULL, size->pieces));
    stp_step_size(step, 1, &global, &size->local);
}

static void build_alone(struct stp_plan *plan, int number)
{
    const struct stp_region *region = &plan->instance->regions[number];
    const struct stp_scan_size size = stp_worksize_scan(&plan->device->limits, sites_of(region));
    int flags = stp_plan_temp(plan, (size_t)sites_of(region));
    int counts = stp_plan_temp(plan, (size_t)size.pieces * sizeof(int32_t));
    int64_t mask_sites = 0;
    struct stp_step *step;
    if (region->kind == STP_SITES_LIST) {
        const struct stp_place *mask = stp_plan_place(plan, plan->instance->graph->values[region->mask]);
        mask_sites = mask->rows.sites;
        step = add_step(plan, mask->dtype, "flag_mask", &size);
        stp_step_read(step, mask->slot);
    } else {
        struct stp_rows of = stp_plan_rows(plan, region->of, of_sites(region));
        step = add_step(plan, STP_F32, "flag_need", &size);
        stp_step_in_rows(step, &of);
    }
    stp_step_write(step, flags);
    stp_step_write(step, counts);
    add_pieces(step, &size);
    add_job(step, region, mask_sites);
    new_list(plan, number);
    step = add_step(plan, STP_F32, "write_list", &size);
    stp_step_read(step, flags);
    stp_step_read(step, counts);
    add_outputs(step, &plan->lists[number].rows);
    add_pieces(step, &size);
    add_job(step, region, mask_sites);
}

struct stp_rows stp_plan_rows(struct stp_plan *plan, int region, int64_t sites)
{
    if (region <= 0 || sites_of(&plan->instance->regions[region]) == 0 || plan->status != STP_OK)
        return all_rows(plan, sites);
    if (!plan->lists[region].region) {
        if (mask_of(plan, region))
            build_together(plan, region);
        else
            build_alone(plan, region);
    }
    return plan->lists[region].rows;
}
