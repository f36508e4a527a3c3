// SPDX-License-Identifier: Apache-2.0
#include "selftest/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <stipple/tune.h>

#include "graph/infer.h"
#include "onnx/write.h"
#include "ref/run.h"
#include "run/session.h"
#include "run/verify.h"
#include "selftest/cases.h"
#include "selftest/script.h"
#include "tune/candidates.h"

// The parts behind the groups.
enum { VARIANTS, TIMING, OWN_PARTS };
static const char *const own_names[OWN_PARTS] = {"convolution, ways", "speed"};

size_t stp_part_count(void)
{
    return stp_selftest_group_count + OWN_PARTS;
}

const char *stp_part_name(size_t part)
{
    return part < stp_selftest_group_count ? stp_selftest_groups[part].name : own_names[part - stp_selftest_group_count];
}

// The first failure is told.
static void note(struct stp_part_result *out, bool right, const char *what, const char *finding)
{
    out->checks++;
    if (right)
        return;
    if (!out->failed++)
        snprintf(out->detail, sizeof out->detail, "%.60s: %.300s", what, finding);
}

// Small models --------------------------------------------------------------------------------------------------------

// How a model is run.
enum { SPARSE, POISONED, DENSE, MODES };
static const char *const mode_names[MODES] = {"sparse", "with NaN where nobody computes", "dense"};

struct inputs {
    stp_tensor tensors[STP_SCRIPT_INPUTS];
    float *floats[STP_SCRIPT_INPUTS];
};

static stp_status make_inputs(struct inputs *out, stp_context *context, const struct stp_script *script)
{
    for (int i = 0; i < script->n_inputs; i++) {
        const int64_t count = stp_tensor_elements(&script->inputs[i].tensor);
        out->floats[i] = malloc((size_t)count * sizeof(float));
        if (!out->floats[i])
            return stp_fail_memory(context, (size_t)count * sizeof(float), "an input");
        stp_fill_noise(out->floats[i], count, 2, (uint32_t)(100 + i));
        out->tensors[i] = script->inputs[i].tensor;
        out->tensors[i].data = out->floats[i];
    }
    return STP_OK;
}

static bool same_bits(const stp_tensor *got, const stp_tensor *wanted, const char *name, char finding[256])
{
    const size_t size = stp_dtype_size(wanted->dtype);
    const int64_t count = stp_tensor_elements(wanted);
    for (int64_t i = 0; i < count; i++) {
        if (!memcmp((const char *)got->data + (size_t)i * size, (const char *)wanted->data + (size_t)i * size, size))
            continue;
        snprintf(finding, 256, "'%s' at element %lld is %.9g, not %.9g", name, (long long)i, stp_number_at(got, i), stp_number_at(wanted, i));
        return false;
    }
    return true;
}

// What all exact devices have in common.
struct hashes {
    uint64_t masks, outputs;
};

static stp_status hash_results(stp_session *session, struct hashes *out)
{
    *out = (struct hashes){STP_HASH, STP_HASH};
    for (size_t i = 0; i < stp_session_mask_count(session); i++) {
        stp_session_mask mask;
        STP_TRY(stp_session_mask_get(session, i, &mask));
        out->masks = stp_hash(out->masks, mask.data, (size_t)(mask.batch * mask.height * mask.width));
    }
    for (int i = 0; i < session->model->graph->n_outputs; i++)
        out->outputs = stp_hash(out->outputs, session->outputs[i].data, stp_tensor_bytes(&session->outputs[i]));
    return STP_OK;
}

static stp_status check_mode(struct stp_device *device, stp_model *model, const struct stp_script *script, const struct inputs *inputs,
                             const stp_tensor *wanted, int mode, struct hashes *hashes, struct stp_part_result *out)
{
    char finding[256] = "";
    stp_session *session;
    const struct stp_tuned_table untuned = {0};
    STP_TRY(stp_session_create(&session, model, device,
                               stp_session_params(.exact = true, .dense = mode == DENSE, .poison = mode == POISONED)));
    session->tuned = &untuned; // the same on every machine
    stp_status status = STP_OK;
    for (int i = 0; i < script->n_inputs && status == STP_OK; i++)
        status = stp_session_set_input(session, script->inputs[i].name, &inputs->tensors[i]);
    if (status == STP_OK)
        status = stp_session_run(session);
    bool right = true;
    const struct stp_graph *graph = model->graph;
    for (int i = 0; i < graph->n_outputs && status == STP_OK && right; i++) {
        stp_tensor got;
        status = stp_session_output(session, (size_t)i, &got);
        right = status == STP_OK && same_bits(&got, &wanted[i], graph->outputs[i]->name, finding);
    }
    if (status == STP_OK)
        note(out, right, mode_names[mode], finding);
    if (status == STP_OK)
        status = hash_results(session, hashes);
    stp_session_destroy(&session);
    return status;
}

static stp_status check_model(struct stp_device *device, const struct stp_script *script, struct hashes *hashes, struct stp_part_result *out)
{
    enum { MOST_OUTPUTS = 8 };
    struct inputs inputs = {0};
    stp_tensor wanted[MOST_OUTPUTS] = {{0}};
    stp_model *model;
    STP_TRY(stp_model_load_memory(&model, device->context, script->bytes, script->size));
    const struct stp_graph *graph = model->graph;
    stp_status status = graph->n_outputs <= MOST_OUTPUTS && graph->n_inputs == script->n_inputs
                            ? make_inputs(&inputs, device->context, script)
                            : stp_fail(device->context, STP_ERROR_INVALID_MODEL, "a model of the selftest has too many outputs");
    if (status == STP_OK)
        status = stp_ref_run(graph, inputs.tensors, wanted, NULL, NULL);
    for (int mode = 0; mode < MODES && status == STP_OK; mode++)
        status = check_mode(device, model, script, &inputs, wanted, mode, hashes, out);
    for (int i = 0; i < MOST_OUTPUTS; i++)
        free(wanted[i].data);
    for (int i = 0; i < STP_SCRIPT_INPUTS; i++)
        free(inputs.floats[i]);
    stp_model_destroy(&model);
    return status;
}

static stp_status run_group(struct stp_device *device, size_t group, struct stp_part_result *out)
{
    struct hashes hashes = {0};
    for (const char *const *text = stp_selftest_groups[group].models; *text; text++) {
        struct stp_script script;
        STP_TRY(stp_script_read(&script, device->context, *text));
        const stp_status status = check_model(device, &script, &hashes, out);
        free(script.bytes);
        STP_TRY(status);
    }
    if (group == stp_selftest_group_count - 1 && !out->failed)
        snprintf(out->detail, sizeof out->detail, "masks %016llx, outputs %016llx", (unsigned long long)hashes.masks,
                 (unsigned long long)hashes.outputs);
    return STP_OK;
}

// Ways of computing convolutions ---------------------------------------------------------------------------------------

static stp_status run_variants(struct stp_device *device, struct stp_part_result *out)
{
    static const struct stp_conv_shape shapes[] = {
        {1, 64, 1, 256, 4096, 0}, {1, 64, 9, 64, 4096, 256}, {1, 3, 49, 64, 16384, 0}, {4, 9, 9, 5, 1024, 0}};
    static struct stp_candidates candidates;
    for (size_t s = 0; s < STP_LENGTH(shapes); s++) {
        struct stp_conv_shape shape = shapes[s];
        shape.winograd_tiles = device->limits.is_cpu ? shape.winograd_tiles : 0; // as stp_winograd_tiles() has it
        stp_candidates_core(&candidates, &device->limits, &shape, false);
        for (size_t i = 0; i < candidates.count && i < 6; i++) {
            bool right;
            char finding[256] = "", text[STP_TUNED_TEXT];
            const struct stp_conv_shape class = stp_conv_class(&shape);
            stp_conv_choice_text(text, &candidates.items[i]);
            STP_TRY(stp_verify_conv(device, &class, &candidates.items[i], &right, finding));
            note(out, right, text, finding);
        }
    }
    return STP_OK;
}

// Times ----------------------------------------------------------------------------------------------------------------

enum { MOST_KERNELS = 16 };
struct kernel_times {
    const char *names[MOST_KERNELS];
    double ms[MOST_KERNELS];
    int count;
};

static void add_time(struct kernel_times *times, const char *name, double ms)
{
    int i = 0;
    while (i < times->count && strcmp(times->names[i], name) != 0)
        i++;
    if (i == MOST_KERNELS)
        return;
    if (i == times->count)
        times->names[times->count++] = name;
    times->ms[i] += ms;
}

static void tell_times(const struct stp_session *session, const stp_device_speed *speed, struct stp_part_result *out)
{
    struct kernel_times times = {.count = 0};
    for (int s = 0; s < session->plan->n_steps; s++)
        add_time(&times, session->plan->steps[s]->name, session->plan->steps[s]->ms);
    int used = snprintf(out->detail, sizeof out->detail, "%.0f GFLOP/s of fma, %.0f GB/s; a network of 224×224 in %.2f ms:",
                        speed->flops * 1e-9, speed->bytes * 1e-9, session->run_ms);
    for (int i = 0; i < times.count && used < (int)sizeof out->detail; i++)
        used += snprintf(out->detail + used, sizeof out->detail - (size_t)used, " %s %.2f", times.names[i], times.ms[i]);
}

static stp_status time_network(struct stp_device *device, stp_model *model, const stp_device_speed *speed, struct stp_part_result *out)
{
    enum { SIDE = 224, RUNS = 5, LONG_MS = 3000 };
    stp_tensor x = stp_tensor_make(STP_F32, 4, (int64_t[]){1, 3, SIDE, SIDE});
    const int64_t count = stp_tensor_elements(&x);
    float *floats = malloc((size_t)count * sizeof *floats);
    stp_session *session = NULL;
    stp_status status = floats ? stp_session_create(&session, model, device, stp_session_params(.profile = device->profiling))
                               : stp_fail_memory(device->context, (size_t)count * sizeof *floats, "an input");
    if (status == STP_OK) {
        stp_fill_noise(floats, count, 2, 1);
        x.data = floats;
        status = stp_session_set_input(session, "x", &x);
    }
    const double start = stp_now_ms();
    for (int i = 0; i < RUNS && status == STP_OK && stp_now_ms() - start < LONG_MS; i++)
        status = stp_session_run(session);
    if (status == STP_OK)
        tell_times(session, speed, out);
    stp_session_destroy(&session);
    free(floats);
    return status;
}

static stp_status run_timing(struct stp_device *device, struct stp_part_result *out)
{
    stp_device_speed speed;
    void *bytes;
    size_t size;
    stp_model *model;
    STP_TRY(stp_device_measure(device, &speed));
    STP_TRY(stp_tuning_usual_model(&bytes, &size, device->context, 224, 224));
    stp_status status = stp_model_load_memory(&model, device->context, bytes, size);
    if (status == STP_OK)
        status = time_network(device, model, &speed, out);
    stp_model_destroy(&model);
    stp_tuning_free(bytes);
    return status;
}

stp_status stp_part_run(struct stp_device *device, size_t part, struct stp_part_result *out)
{
    *out = (struct stp_part_result){0};
    if (part < stp_selftest_group_count)
        return run_group(device, part, out);
    return part - stp_selftest_group_count == VARIANTS ? run_variants(device, out) : run_timing(device, out);
}
