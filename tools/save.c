// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "outbox.h"
#include "picture.h"

static bool no_memory(struct stp_run *run)
{
    return stp_error_set(&run->tool->error, "out of memory");
}

// Before running -----------------------------------------------------------------------------------------------------

// Two outputs must not end up in one file.
static bool check_names(struct stp_run *run)
{
    size_t count = stp_model_output_count(run->loaded.model);
    char **names = calloc(count + 1, sizeof *names);
    bool ok = names || no_memory(run);
    for (size_t i = 0; ok && i < count; i++) {
        names[i] = stp_file_name(stp_model_output(run->loaded.model, i)->name, ".npy");
        ok = names[i] || no_memory(run);
        for (size_t j = 0; ok && j < i; j++)
            if (!strcmp(names[i], names[j]))
                ok = stp_error_set(&run->tool->error, "outputs '%s' and '%s' would both be written as %s",
                                   stp_model_output(run->loaded.model, j)->name,
                                   stp_model_output(run->loaded.model, i)->name, names[i]);
    }
    for (size_t i = 0; names && i < count; i++)
        free(names[i]);
    free(names);
    return ok;
}

bool stp_save_check(struct stp_run *run)
{
    if (run->output && (!stp_outbox_check(run->output, &run->tool->error) || !check_names(run)))
        return false;
    return !run->masks || stp_outbox_check(run->masks, &run->tool->error);
}

// Outputs ------------------------------------------------------------------------------------------------------------

static bool output_tensor(struct stp_run *run, size_t index, stp_tensor *out)
{
    return stp_session_output(run->session, index, out) == STP_OK ||
           stp_error_library(&run->tool->error, run->tool->context, NULL);
}

static bool save_output(struct stp_run *run, struct stp_outbox *box, const char *folder, size_t index)
{
    struct stp_error *error = &run->tool->error;
    stp_tensor tensor;
    if (!output_tensor(run, index, &tensor))
        return false;
    char *name = stp_file_name(stp_model_output(run->loaded.model, index)->name, ".npy");
    if (!name)
        return no_memory(run);
    FILE *file = stp_outbox_open(box, folder, name, error);
    free(name);
    if (!file)
        return false;
    stp_npy_write(file, &tensor); // what goes wrong shows when the file is closed
    return stp_outbox_close(box, error);
}

// The first float output that is N×C×H×W.
static bool find_scores(struct stp_run *run, stp_tensor *out)
{
    for (size_t i = 0; i < stp_model_output_count(run->loaded.model); i++) {
        if (!output_tensor(run, i, out))
            return false;
        bool sized = out->rank == 4 && out->dims[2] <= INT_MAX && out->dims[3] <= INT_MAX;
        if (out->dtype == STP_F32 && sized && stp_tensor_elements(out) > 0)
            return true;
    }
    return stp_error_set(&run->tool->error, "%s: the task is segment, but no output is float N×C×H×W", run->model_path);
}

static bool save_segments(struct stp_run *run, struct stp_shot *shot, struct stp_outbox *box, const char *folder)
{
    struct stp_error *error = &run->tool->error;
    stp_tensor scores;
    if (!find_scores(run, &scores))
        return false;
    int height = (int)scores.dims[2], width = (int)scores.dims[3];
    uint8_t *classes = malloc((size_t)height * (size_t)width);
    FILE *file = classes ? stp_outbox_open(box, folder, "overlay.png", error) : NULL;
    bool ok = file || (!classes && no_memory(run));
    if (ok) {
        stp_picture_classes(classes, scores.data, scores.dims[1], height, width);
        struct stp_map map = {.height = height, .width = width, .values = classes};
        ok = stp_picture_segments(file, &shot->image, &shot->fit, &map, error) && stp_outbox_close(box, error);
    }
    free(classes);
    shot->overlay = ok ? stp_path_join(folder, "overlay.png") : NULL;
    return ok;
}

static bool save_outputs(struct stp_run *run, struct stp_shot *shot, struct stp_outbox *box, const char *folder)
{
    for (size_t i = 0; i < stp_model_output_count(run->loaded.model); i++)
        if (!save_output(run, box, folder, i))
            return false;
    return run->task != STP_TASK_SEGMENT || !shot->source || save_segments(run, shot, box, folder);
}

// Masks --------------------------------------------------------------------------------------------------------------

static bool save_mask(struct stp_run *run, struct stp_outbox *box, const char *folder, const stp_session_mask *mask,
                      int64_t image)
{
    struct stp_error *error = &run->tool->error;
    char suffix[32] = ".png";
    if (mask->batch > 1)
        snprintf(suffix, sizeof suffix, "_%" PRId64 ".png", image);
    char *name = stp_file_name(mask->node, suffix);
    if (!name)
        return no_memory(run);
    FILE *file = stp_outbox_open(box, folder, name, error);
    free(name);
    if (!file)
        return false;
    struct stp_map map = {.height = (int)mask->height,
                          .width = (int)mask->width,
                          .values = mask->data + (size_t)image * (size_t)(mask->height * mask->width)};
    return stp_picture_mask(file, &map, error) && stp_outbox_close(box, error);
}

static bool save_heat(struct stp_run *run, const struct stp_shot *shot, struct stp_outbox *box, const char *folder,
                      const struct stp_map *maps, size_t count)
{
    struct stp_error *error = &run->tool->error;
    FILE *file = stp_outbox_open(box, folder, "heat.png", error);
    return file && stp_picture_heat(file, &shot->image, &shot->fit, maps, count, error) && stp_outbox_close(box, error);
}

static bool save_masks(struct stp_run *run, const struct stp_shot *shot, struct stp_outbox *box, const char *folder)
{
    size_t count = stp_session_mask_count(run->session);
    struct stp_map *maps = calloc(count + 1, sizeof *maps);
    bool ok = maps || no_memory(run);
    for (size_t i = 0; ok && i < count; i++) {
        stp_session_mask mask;
        ok = stp_session_mask_get(run->session, i, &mask) == STP_OK ||
             stp_error_library(&run->tool->error, run->tool->context, NULL);
        for (int64_t image = 0; ok && image < mask.batch; image++)
            ok = save_mask(run, box, folder, &mask, image);
        if (ok)
            maps[i] = (struct stp_map){.height = (int)mask.height, .width = (int)mask.width, .values = mask.data};
    }
    if (ok && !count)
        stp_tool_say(run->tool, STP_LOG_WARN, "the model has no sampling mask, so --masks writes nothing");
    else if (ok && shot->source)
        ok = save_heat(run, shot, box, folder, maps, count);
    free(maps);
    return ok;
}

// Everything of a shot -----------------------------------------------------------------------------------------------

// FOLDER, or with several photos FOLDER/STEM; malloc'ed.
static char *shot_folder(const struct stp_run *run, const struct stp_shot *shot, const char *folder)
{
    return stp_path_join(folder, run->photos.count > 1 ? shot->source->stem : "");
}

static bool save_files(struct stp_run *run, struct stp_shot *shot)
{
    struct stp_outbox box = {0};
    char *output = run->output ? shot_folder(run, shot, run->output) : NULL;
    char *masks = run->masks ? shot_folder(run, shot, run->masks) : NULL;
    bool ok = ((output || !run->output) && (masks || !run->masks)) || no_memory(run);
    ok = ok && (!output || save_outputs(run, shot, &box, output));
    ok = ok && (!masks || save_masks(run, shot, &box, masks));
    ok = ok && stp_outbox_commit(&box, &run->tool->error);
    stp_outbox_discard(&box);
    free(output);
    free(masks);
    return ok;
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

// A signal that ends the command waits until the files are in place or removed. Blocking it would not do: drivers have
// threads of their own, which would take it.
bool stp_save(struct stp_run *run, struct stp_shot *shot)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    struct sigaction before[STP_COUNT(signals)], during = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&during.sa_mask);
    caught = 0;
    for (size_t i = 0; i < STP_COUNT(signals); i++)
        sigaction(signals[i], &during, before + i);
    bool ok = save_files(run, shot);
    for (size_t i = 0; i < STP_COUNT(signals); i++)
        sigaction(signals[i], before + i, NULL);
    if (caught)
        raise(caught);
    return ok;
}
