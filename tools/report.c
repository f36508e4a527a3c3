// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BEST = 5 }; // labels that are told

// What is told -------------------------------------------------------------------------------------------------------

static double element(const stp_tensor *tensor, int64_t index)
{
    switch (tensor->dtype) {
    case STP_F32: return (double)((const float *)tensor->data)[index];
    case STP_I32: return ((const int32_t *)tensor->data)[index];
    case STP_I64: return (double)((const int64_t *)tensor->data)[index];
    case STP_BOOL:
    case STP_U8: return ((const uint8_t *)tensor->data)[index];
    case STP_DTYPE_NONE: break;
    }
    return NAN;
}

// Over the elements that are not NaN; all three are NaN if there is none.
struct range {
    double min, mean, max;
    int64_t nans;
};

static struct range find_range(const stp_tensor *tensor)
{
    struct range range = {.min = INFINITY, .max = -INFINITY};
    int64_t count = stp_tensor_elements(tensor);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = element(tensor, i);
        if (isnan(value)) {
            range.nans++;
            continue;
        }
        sum += value;
        range.min = value < range.min ? value : range.min;
        range.max = value > range.max ? value : range.max;
    }
    if (range.nans == count)
        return (struct range){.min = NAN, .mean = NAN, .max = NAN, .nans = range.nans};
    range.mean = sum / (double)(count - range.nans);
    return range;
}

static bool get_output(struct stp_run *run, size_t index, stp_tensor *out)
{
    return stp_session_output(run->session, index, out) == STP_OK ||
           stp_error_library(&run->tool->error, run->tool->context, NULL);
}

static bool get_mask(struct stp_run *run, size_t index, stp_session_mask *out)
{
    return stp_session_mask_get(run->session, index, out) == STP_OK ||
           stp_error_library(&run->tool->error, run->tool->context, NULL);
}

// Labels -------------------------------------------------------------------------------------------------------------

// The first float output that is N×K, or N×K×1×1…
static bool find_scores(struct stp_run *run, stp_tensor *out)
{
    for (size_t i = 0; i < stp_model_output_count(run->loaded.model); i++) {
        if (!get_output(run, i, out))
            return false;
        bool flat = out->dtype == STP_F32 && out->rank >= 2 && stp_tensor_elements(out) > 0;
        for (int axis = 2; axis < out->rank; axis++)
            flat = flat && out->dims[axis] == 1;
        if (flat)
            return true;
    }
    return stp_error_set(&run->tool->error, "%s: the task is classify, but no output is float N×K", run->model_path);
}

bool stp_report_check(struct stp_run *run)
{
    stp_tensor scores;
    return run->task != STP_TASK_CLASSIFY || find_scores(run, &scores);
}

// The classes of the largest scores, best first, earlier ones first among equals; NaN is left out. Returns how many.
static int find_best(int64_t best[BEST], const float *scores, int64_t classes)
{
    int count = 0;
    for (int64_t i = 0; i < classes; i++) {
        int place = count;
        while (place > 0 && scores[best[place - 1]] < scores[i])
            place--;
        if (place == BEST || isnan(scores[i]))
            continue;
        count += count < BEST;
        memmove(best + place + 1, best + place, (size_t)(count - place - 1) * sizeof *best);
        best[place] = i;
    }
    return count;
}

// NULL if the metadata has no name for the class.
static const char *label(const struct stp_run *run, int64_t index)
{
    int named = cJSON_GetArraySize(run->labels);
    return index < named ? cJSON_GetArrayItem(run->labels, (int)index)->valuestring : NULL;
}

static bool print_labels(struct stp_run *run)
{
    stp_tensor scores;
    if (!find_scores(run, &scores))
        return false;
    for (int64_t image = 0; image < scores.dims[0]; image++) {
        const float *row = (const float *)scores.data + image * scores.dims[1];
        int64_t best[BEST];
        int count = find_best(best, row, scores.dims[1]);
        if (scores.dims[0] > 1)
            printf("labels of image %" PRId64 "\n", image);
        else
            puts("labels");
        for (int i = 0; i < count; i++) {
            printf("  %10.4f  ", (double)row[best[i]]);
            if (label(run, best[i]))
                stp_put_text(stdout, label(run, best[i]));
            else
                printf("class %" PRId64, best[i]);
            putchar('\n');
        }
        if (!count)
            puts("  every score is NaN");
    }
    return true;
}

static bool add_labels(struct stp_run *run, cJSON *object)
{
    stp_tensor scores;
    if (!find_scores(run, &scores))
        return false;
    cJSON *images = stp_json_array(object, "labels");
    for (int64_t image = 0; image < scores.dims[0]; image++) {
        const float *row = (const float *)scores.data + image * scores.dims[1];
        int64_t best[BEST];
        int count = find_best(best, row, scores.dims[1]);
        cJSON *list = stp_json_array(images, NULL);
        for (int i = 0; i < count; i++) {
            cJSON *entry = stp_json_object(list, NULL);
            stp_json_integer(entry, "class", best[i]);
            stp_json_text(entry, "label", label(run, best[i]));
            stp_json_number(entry, "score", (double)row[best[i]]);
        }
    }
    return true;
}

// For people ---------------------------------------------------------------------------------------------------------

void stp_report_model(const struct stp_run *run)
{
    const stp_device_info *info = stp_device_get_info(run->device);
    fputs("device   ", stdout);
    stp_put_text(stdout, info->name);
    fputs(" (", stdout);
    stp_put_text(stdout, info->platform);
    fputs(", driver ", stdout);
    stp_put_text(stdout, info->driver_version);
    fputs(")\nmodel    ", stdout);
    stp_put_text(stdout, run->model_path);
    putchar('\n');
}

static void print_head(struct stp_run *run, const struct stp_shot *shot)
{
    stp_report_model(run);
    if (shot->source) {
        const struct stp_fit *fit = &shot->fit;
        fputs("photo    ", stdout);
        stp_put_text(stdout, shot->source->path);
        printf(", %d×%d; ", fit->photo_width, fit->photo_height);
        if (fit->width != fit->padded_width || fit->height != fit->padded_height)
            printf("resized to %d×%d, padded to %d×%d\n", fit->width, fit->height, fit->padded_width,
                   fit->padded_height);
        else
            printf("input %d×%d\n", fit->width, fit->height);
    }
    stp_tensor tensor;
    int64_t value;
    const stp_tensor *seed = stp_feed_seed(run, &tensor, &value);
    if (!seed)
        return;
    int64_t count = stp_tensor_elements(seed);
    fputs("seed    ", stdout);
    for (int64_t i = 0; i < count; i++) {
        memcpy(&value, (const char *)seed->data + (size_t)i * sizeof value, sizeof value);
        printf(" %" PRId64, value);
    }
    putchar('\n');
}

static bool print_masks(struct stp_run *run)
{
    size_t count = stp_session_mask_count(run->session);
    double sum = 0, least = 1, most = 0;
    for (size_t i = 0; i < count; i++) {
        stp_session_mask mask;
        if (!get_mask(run, i, &mask))
            return false;
        sum += mask.sampled;
        least = mask.sampled < least ? mask.sampled : least;
        most = mask.sampled > most ? mask.sampled : most;
    }
    if (count)
        printf("masks    %zu, sampled %.1f %% on average (%.1f to %.1f %%)\n", count, 100 * sum / (double)count,
               100 * least, 100 * most);
    return true;
}

bool stp_report_head(struct stp_run *run, const struct stp_shot *shot)
{
    print_head(run, shot);
    return print_masks(run);
}

void stp_report_macs(const stp_session_macs *macs)
{
    printf("MACs     %.3f G of %.3f G", macs->done * 1e-9, macs->dense * 1e-9);
    if (macs->done > 0)
        printf(" (%.2f times fewer)", macs->dense / macs->done);
    printf("; of those for masks %.3f G; besides for interpolation %.3f G\n", macs->masks * 1e-9,
           macs->interpolation * 1e-9);
}

static void print_costs(const struct stp_run *run, const struct stp_shot *shot)
{
    printf("time     load %.1f ms, compile %.1f ms, first run %.1f ms", run->load_ms, shot->compile_ms, shot->first_ms);
    if (shot->warm_ms)
        printf("; %d warm: least %.1f ms, median %.1f ms", run->runs, shot->warm_ms[0],
               stp_job_median(shot->warm_ms, run->runs));
    printf("\nmemory   %.1f MiB for activations, %.1f MiB for weights\n", (double)shot->stats.arena_bytes / (1 << 20),
           (double)shot->stats.weight_bytes / (1 << 20));
}

static bool print_outputs(struct stp_run *run)
{
    puts("outputs");
    for (size_t i = 0; i < stp_model_output_count(run->loaded.model); i++) {
        stp_tensor tensor;
        if (!get_output(run, i, &tensor))
            return false;
        struct range range = find_range(&tensor);
        fputs("  ", stdout);
        stp_put_text(stdout, stp_model_output(run->loaded.model, i)->name);
        printf("  %s ", stp_dtype_name(tensor.dtype));
        stp_put_shape(stdout, tensor.rank, tensor.dims, NULL);
        printf("  min %.6g, mean %.6g, max %.6g", range.min, range.mean, range.max);
        if (range.nans)
            printf(", and %" PRId64 " NaN", range.nans);
        putchar('\n');
    }
    return true;
}

static void print_overlay(const struct stp_shot *shot)
{
    fputs("overlay  ", stdout);
    if (shot->overlay)
        stp_put_text(stdout, shot->overlay);
    else
        fputs(shot->source ? "not written: --output DIR is not given" : "not written: there is no photo", stdout);
    putchar('\n');
}

bool stp_report_text(struct stp_run *run, const struct stp_shot *shot)
{
    if (!stp_report_head(run, shot))
        return false;
    stp_report_macs(&shot->stats.macs);
    print_costs(run, shot);
    switch (run->task) {
    case STP_TASK_CLASSIFY: return print_labels(run);
    case STP_TASK_SEGMENT: print_overlay(shot); return true;
    case STP_TASK_NONE: break;
    }
    return print_outputs(run);
}

// JSON ---------------------------------------------------------------------------------------------------------------

// A number; a list where the images have seeds of their own; null without an input of that name.
static void add_seed(const struct stp_run *run, cJSON *object)
{
    stp_tensor tensor;
    int64_t value;
    const stp_tensor *seed = stp_feed_seed(run, &tensor, &value);
    if (!seed) {
        stp_json_null(object, "seed");
        return;
    }
    int64_t count = stp_tensor_elements(seed);
    cJSON *list = count == 1 ? NULL : stp_json_array(object, "seed");
    for (int64_t i = 0; i < count; i++) {
        memcpy(&value, (const char *)seed->data + (size_t)i * sizeof value, sizeof value);
        stp_json_integer(list ? list : object, list ? NULL : "seed", value);
    }
}

static bool add_masks(struct stp_run *run, cJSON *object)
{
    cJSON *masks = stp_json_array(object, "masks");
    for (size_t i = 0; i < stp_session_mask_count(run->session); i++) {
        stp_session_mask mask;
        if (!get_mask(run, i, &mask))
            return false;
        cJSON *entry = stp_json_object(masks, NULL);
        stp_json_text(entry, "node", mask.node);
        stp_json_integer(entry, "height", mask.height);
        stp_json_integer(entry, "width", mask.width);
        stp_json_number(entry, "sampled", mask.sampled);
    }
    return true;
}

static void add_macs(const stp_session_macs *macs, cJSON *object)
{
    cJSON *list = stp_json_object(object, "macs");
    stp_json_number(list, "dense", macs->dense);
    stp_json_number(list, "done", macs->done);
    stp_json_number(list, "masks", macs->masks);
    stp_json_number(list, "interpolation", macs->interpolation);
}

static void add_times(const struct stp_run *run, const struct stp_shot *shot, cJSON *object)
{
    cJSON *ms = stp_json_object(object, "ms");
    stp_json_number(ms, "load", run->load_ms);
    stp_json_number(ms, "compile", shot->compile_ms);
    stp_json_number(ms, "first", shot->first_ms);
    if (shot->warm_ms) {
        stp_json_number(ms, "warm_min", shot->warm_ms[0]);
        stp_json_number(ms, "warm_median", stp_job_median(shot->warm_ms, run->runs));
    }
}

cJSON *stp_report_json_memory(const stp_session_stats *stats, cJSON *object)
{
    cJSON *memory = stp_json_object(object, "memory");
    stp_json_number(memory, "arena_bytes", (double)stats->arena_bytes);
    stp_json_number(memory, "weight_bytes", (double)stats->weight_bytes);
    return memory;
}

static bool add_outputs(struct stp_run *run, cJSON *object)
{
    cJSON *outputs = stp_json_array(object, "outputs");
    for (size_t i = 0; i < stp_model_output_count(run->loaded.model); i++) {
        stp_tensor tensor;
        if (!get_output(run, i, &tensor))
            return false;
        struct range range = find_range(&tensor);
        cJSON *entry = stp_json_object(outputs, NULL);
        stp_json_text(entry, "name", stp_model_output(run->loaded.model, i)->name);
        cJSON *shape = stp_json_array(entry, "shape");
        for (int axis = 0; axis < tensor.rank; axis++)
            stp_json_integer(shape, NULL, tensor.dims[axis]);
        stp_json_number(entry, "min", range.min);
        stp_json_number(entry, "mean", range.mean);
        stp_json_number(entry, "max", range.max);
        stp_json_integer(entry, "nan", range.nans);
    }
    return true;
}

bool stp_report_json_head(struct stp_run *run, const struct stp_shot *shot, cJSON *object)
{
    const stp_device_info *info = stp_device_get_info(run->device);
    stp_json_text(object, "device", info->name);
    stp_json_text(object, "platform", info->platform);
    stp_json_text(object, "driver", info->driver_version);
    stp_json_text(object, "model", run->model_path);
    stp_json_text(object, "photo", shot->source ? shot->source->path : NULL);
    add_seed(run, object);
    if (!add_masks(run, object))
        return false;
    add_macs(&shot->stats.macs, object);
    return true;
}

bool stp_report_json_outputs(struct stp_run *run, cJSON *object)
{
    return add_outputs(run, object) && (run->task != STP_TASK_CLASSIFY || add_labels(run, object));
}

bool stp_report_json(struct stp_run *run, const struct stp_shot *shot, cJSON *object)
{
    if (!stp_report_json_head(run, shot, object))
        return false;
    add_times(run, shot, object);
    stp_report_json_memory(&shot->stats, object);
    return stp_report_json_outputs(run, object);
}
