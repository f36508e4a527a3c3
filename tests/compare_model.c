// SPDX-License-Identifier: Apache-2.0
// compare_model [--device D] [--seed N] [--size HxW] [--batch N] [--shape NAME=1x3x20x30]... MODEL [NAME=FILE]... [MODEL [NAME=FILE]...]...
// Runs each ONNX file with the C reference and on a device, and compares every output bit for bit (all NaNs are equal): sparse, dense, and
// with rows that nobody computed filled with NaN; each with the kernels for GPUs and, on a CPU, with those for CPUs. On a CPU also where
// arithmetic may be reordered: sparse within a tolerance of the reference, dense as sparse bit for bit.
// NAME=FILE: a .npy file or a TensorProto (.pb) for an input of the model before it. Inputs without: the default, else random values.
// Free sizes: those of --shape; else --batch (1) and --size (64x64) where the rank is 4, --batch for a vector of int64, else 1.
// Ends with a line "N passed, N failed" over (model, variant, output); exit status 0, 1 for a difference or an error, 2 for wrong usage.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <stipple/session.h>

#include "device/device.h"
#include "graph/infer.h"
#include "npy.h"
#include "ref/run.h"
#include "run/model.h"

static const struct variant {
    const char *name;
    bool tiles; // kernels for GPUs
    stp_session_params params;
    double tolerance; // of the largest magnitude of an output; 0: the same bits
    bool like_last;   // compared with the variant before it
} variants[] = {
    {"rows, sparse", false, {.exact = true}},
    {"rows, dense", false, {.exact = true, .dense = true}},
    {"rows, poisoned", false, {.exact = true, .poison = true}},
    {"rows, sparse, reordered", false, {.exact = false}, .tolerance = 1e-4},
    {"rows, dense, reordered", false, {.dense = true}, .like_last = true},
    {"tiles, sparse", true, {.exact = true}},
    {"tiles, dense", true, {.exact = true, .dense = true}},
    {"tiles, poisoned", true, {.exact = true, .poison = true}},
};

struct comparison {
    stp_context *context;
    stp_device *devices[2]; // of the variants that are not `tiles` (NULL where the device is no CPU), and that are
    int64_t sizes[4];       // N, unused, H, W where they are free
    uint64_t seed;
    uint64_t random; // state
    char **shapes;   // NAME=SIZES
    int n_shapes;
    int passed, failed;
};

// Inputs ---------------------------------------------------------------------------------------------------------------

// SplitMix64
static uint64_t next_random(struct comparison *all)
{
    uint64_t z = all->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// Mean 0, deviation about 1.
static float next_float(struct comparison *all)
{
    int sum = 0;
    for (int i = 0; i < 3; i++)
        sum += (int)(next_random(all) >> 48) - 0x8000;
    return (float)sum * 0x1p-15f;
}

static void fill(struct comparison *all, const struct stp_value *value, const stp_tensor *t)
{
    int64_t count = stp_tensor_elements(t);
    for (int64_t i = 0; i < count; i++) {
        int64_t whole = value->is_binary || t->dtype == STP_BOOL ? (int64_t)(next_random(all) >> 63)
                                                                 : (int64_t)(next_random(all) % 19) - 9;
        switch (t->dtype) {
        case STP_F32: ((float *)t->data)[i] = value->is_binary ? (float)whole : next_float(all); break;
        case STP_I32: ((int32_t *)t->data)[i] = (int32_t)whole; break;
        case STP_I64: ((int64_t *)t->data)[i] = strcmp(value->name, "seed") ? whole : (int64_t)all->seed + i; break;
        default: ((uint8_t *)t->data)[i] = (uint8_t)whole; break;
        }
    }
}

// What follows "NAME=" in an argument of that name, or NULL.
static const char *text_for(const char *argument, const char *name)
{
    size_t length = strlen(name);
    return !strncmp(argument, name, length) && argument[length] == '=' ? argument + length + 1 : NULL;
}

static bool read_sizes(stp_tensor *out, const char *text)
{
    char *end = NULL;
    out->rank = 0;
    while (*text && out->rank < STP_MAX_RANK) {
        out->dims[out->rank++] = strtoll(text, &end, 10);
        if (end == text || (*end && *end != 'x'))
            return false;
        text = end + (*end == 'x');
    }
    return !*text;
}

// The sizes of an input that has no file.
static bool find_sizes(struct comparison *all, const struct stp_value *value, stp_tensor *out)
{
    *out = stp_tensor_make(value->dtype, value->rank < 0 ? 0 : value->rank, value->dims);
    for (int d = 0; d < out->rank; d++)
        if (out->dims[d] < 0)
            out->dims[d] = out->rank == 4 && d != 1                          ? all->sizes[d]
                           : out->rank == 1 && value->dtype == STP_I64 ? all->sizes[0]
                                                                       : 1;
    bool sized = true;
    for (int i = 0; i < all->n_shapes; i++) {
        const char *text = text_for(all->shapes[i], value->name);
        if (text)
            sized = read_sizes(out, text);
    }
    if (!sized || stp_tensor_elements(out) < 0)
        fprintf(stderr, "input '%s': sizes are written as 1x3x20x30\n", value->name);
    return sized && stp_tensor_elements(out) >= 0;
}

static bool random_input(struct comparison *all, const struct stp_value *value, stp_tensor *out)
{
    if (!find_sizes(all, value, out))
        return false;
    out->data = malloc(stp_tensor_bytes(out) + 1);
    if (out->data)
        fill(all, value, out);
    return out->data != NULL;
}

static bool read_input(struct comparison *all, const char *path, stp_tensor *out)
{
    struct stp_bytes bytes;
    struct stp_error error;
    bool read = stp_read_file(&bytes, path, &error);
    if (read) {
        read = stp_npy_is(bytes.data, bytes.size) ? stp_npy_parse(out, bytes.data, bytes.size, path, &error)
               : stp_tensor_parse(out, all->context, bytes.data, bytes.size) == STP_OK ||
                     stp_error_library(&error, all->context, path);
        free(bytes.data);
    }
    if (!read)
        fprintf(stderr, "%s\n", error.text);
    return read;
}

// out->dtype stays STP_DTYPE_NONE where the input's default stands in.
static bool make_input(struct comparison *all, const struct stp_value *value, char **files, int n_files, stp_tensor *out)
{
    for (int i = 0; i < n_files; i++) {
        const char *path = text_for(files[i], value->name);
        if (path)
            return read_input(all, path, out);
    }
    if (value->data && (strcmp(value->name, "seed") || value->dtype != STP_I64))
        return true;
    return random_input(all, value, out);
}

// Comparing --------------------------------------------------------------------------------------------------------------

// Largest magnitude among the finite elements.
static double magnitude(const stp_tensor *t)
{
    double most = 0;
    for (int64_t i = 0; t->dtype == STP_F32 && i < stp_tensor_elements(t); i++) {
        double x = fabs((double)((const float *)t->data)[i]);
        most = x > most && isfinite(x) ? x : most;
    }
    return most;
}

// `near`: how much floats may differ.
static bool same_element(const stp_tensor *a, const stp_tensor *b, int64_t i, bool any_zero, double near)
{
    size_t size = stp_dtype_size(a->dtype);
    if (a->dtype == STP_F32) {
        float x = ((const float *)a->data)[i], y = ((const float *)b->data)[i];
        if ((x != x && y != y) || (any_zero && x == 0 && y == 0) || (near > 0 && fabs((double)x - (double)y) <= near))
            return true;
    }
    return !memcmp((const char *)a->data + (size_t)i * size, (const char *)b->data + (size_t)i * size, size);
}

static void put_element(const stp_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case STP_F32: printf("%a", (double)((const float *)t->data)[i]); break;
    case STP_I32: printf("%" PRId32, ((const int32_t *)t->data)[i]); break;
    case STP_I64: printf("%" PRId64, ((const int64_t *)t->data)[i]); break;
    default: printf("%d", ((const uint8_t *)t->data)[i]); break;
    }
}

// "(0, 3, 2, 5)"
static void put_place(const stp_tensor *t, int64_t i)
{
    int64_t step = stp_tensor_elements(t);
    printf("(");
    for (int d = 0; d < t->rank; d++) {
        step /= t->dims[d];
        printf("%s%" PRId64, d ? ", " : "", i / step % t->dims[d]);
    }
    printf(")");
}

// Where a device has no fma of its own, Mesa's drops an addend of +0, and a zero may get the other sign.
static bool loses_signs_of_zero(const struct comparison *all)
{
    return !strcmp(all->devices[1]->info.platform, "rusticl");
}

static void compare(struct comparison *all, const char *what, const char *name, const stp_tensor *got, const stp_tensor *want,
                    double tolerance)
{
    int64_t count = stp_tensor_elements(want), differ = 0, first = 0;
    double near = tolerance > 0 ? tolerance * magnitude(want) : 0;
    bool any_zero = loses_signs_of_zero(all);
    if (got->dtype != want->dtype || !stp_tensor_same_shape(got, want)) {
        char a[256], b[256];
        printf("%s, output '%s': %s %s, wanted %s %s\n", what, name, stp_dtype_name(got->dtype),
               stp_shape_text(a, sizeof a, got->rank, got->dims), stp_dtype_name(want->dtype),
               stp_shape_text(b, sizeof b, want->rank, want->dims));
        all->failed++;
        return;
    }
    for (int64_t i = count - 1; i >= 0; i--)
        if (!same_element(got, want, i, any_zero, near)) {
            differ++;
            first = i;
        }
    if (differ) {
        printf("%s, output '%s': %" PRId64 " of %" PRId64 " differ, the first at ", what, name, differ, count);
        put_place(want, first);
        printf(": ");
        put_element(got, first);
        printf(", wanted ");
        put_element(want, first);
        printf("\n");
    }
    *(differ ? &all->failed : &all->passed) += 1;
}

// Running ----------------------------------------------------------------------------------------------------------------

// Takes the place of the copies in `last`.
static stp_status keep_copy(struct comparison *all, stp_tensor *last, const stp_tensor *got)
{
    free(last->data);
    *last = *got;
    last->data = malloc(stp_tensor_bytes(got) + 1);
    if (!last->data)
        return stp_fail_memory(all->context, stp_tensor_bytes(got), "an output");
    memcpy(last->data, got->data, stp_tensor_bytes(got));
    return STP_OK;
}

static stp_status run_session(struct comparison *all, const char *what, const struct variant *variant, stp_model *model,
                              stp_session *session, const stp_tensor *inputs, const stp_tensor *wanted, stp_tensor *last)
{
    const struct stp_graph *graph = model->graph;
    for (int i = 0; i < graph->n_inputs; i++)
        if (inputs[i].dtype != STP_DTYPE_NONE)
            STP_TRY(stp_session_set_input(session, graph->inputs[i]->name, &inputs[i]));
    STP_TRY(stp_session_run(session));
    STP_TRY(stp_session_run(session)); // what the first run left behind must not matter
    for (int i = 0; i < graph->n_outputs; i++) {
        stp_tensor got;
        STP_TRY(stp_session_output(session, (size_t)i, &got));
        compare(all, what, graph->outputs[i]->name, &got, variant->like_last ? &last[i] : &wanted[i], variant->tolerance);
        STP_TRY(keep_copy(all, &last[i], &got));
    }
    return STP_OK;
}

static stp_status run_all(struct comparison *all, const char *path, stp_model *model, const stp_tensor *inputs,
                          stp_tensor *wanted, stp_tensor *last)
{
    STP_TRY(stp_ref_run(model->graph, inputs, wanted, NULL, NULL));
    for (size_t i = 0; i < STP_LENGTH(variants); i++) {
        if (!all->devices[variants[i].tiles])
            continue;
        char what[4200];
        snprintf(what, sizeof what, "%s, %s", path, variants[i].name);
        stp_session *session;
        STP_TRY(stp_session_create(&session, model, all->devices[variants[i].tiles], &variants[i].params));
        stp_status status = run_session(all, what, &variants[i], model, session, inputs, wanted, last);
        stp_session_destroy(&session);
        STP_TRY(status);
    }
    return STP_OK;
}

static void compare_model(struct comparison *all, const char *path, char **files, int n_files)
{
    stp_model *model = NULL;
    stp_tensor *inputs = NULL, *wanted = NULL, *last = NULL;
    stp_status status = stp_model_load_file(&model, all->context, path);
    if (status != STP_OK)
        goto end;
    const struct stp_graph *graph = model->graph;
    inputs = calloc((size_t)graph->n_inputs + 1, sizeof *inputs);
    wanted = calloc((size_t)graph->n_outputs + 1, sizeof *wanted);
    last = calloc((size_t)graph->n_outputs + 1, sizeof *last);
    all->random = all->seed;
    bool made = inputs && wanted && last;
    for (int i = 0; made && i < graph->n_inputs; i++)
        made = make_input(all, graph->inputs[i], files, n_files, &inputs[i]);
    if (made)
        status = run_all(all, path, model, inputs, wanted, last);
    else
        all->failed++;
    for (int i = 0; inputs && i < graph->n_inputs; i++)
        free(inputs[i].data);
    for (int i = 0; wanted && i < graph->n_outputs; i++)
        free(wanted[i].data);
    for (int i = 0; last && i < graph->n_outputs; i++)
        free(last[i].data);
end:
    if (status != STP_OK) {
        printf("%s: %s\n", path, stp_last_error(all->context));
        all->failed++;
    }
    free(inputs);
    free(wanted);
    free(last);
    stp_model_destroy(&model);
}

static int usage(void)
{
    fputs("usage: compare_model [--device D] [--seed N] [--size HxW] [--batch N] [--shape NAME=1x3x20x30]... MODEL "
          "[NAME=FILE]... [MODEL [NAME=FILE]...]...\n", stderr);
    return 2;
}

static void on_log(void *user, stp_log_level level, const char *message)
{
    (void)user;
    if (level != STP_LOG_ERROR) // comes back as a status
        fprintf(stderr, "%s\n", message);
}

// Where the models start, or -1.
static int read_options(struct comparison *all, const char **selector, int argc, char **argv)
{
    int at = 1;
    for (; at + 1 < argc && !strncmp(argv[at], "--", 2); at += 2) {
        const char *value = argv[at + 1];
        char rest;
        if (!strcmp(argv[at], "--device"))
            *selector = value;
        else if (!strcmp(argv[at], "--seed"))
            all->seed = strtoull(value, NULL, 10);
        else if (!strcmp(argv[at], "--shape"))
            all->shapes[all->n_shapes++] = argv[at + 1];
        else if (!strcmp(argv[at], "--batch") && sscanf(value, "%" SCNd64 "%c", &all->sizes[0], &rest) == 1)
            continue;
        else if (!strcmp(argv[at], "--size") &&
                 sscanf(value, "%" SCNd64 "x%" SCNd64 "%c", &all->sizes[2], &all->sizes[3], &rest) == 2)
            continue;
        else
            return -1;
    }
    return at < argc && !strchr(argv[at], '=') ? at : -1;
}

static stp_status open_devices(struct comparison *all, const char *selector)
{
    STP_TRY(stp_device_open(&all->devices[1], all->context, selector));
    if (!all->devices[1]->limits.is_cpu)
        return STP_OK;
    all->devices[1]->limits.is_cpu = false;
    all->devices[1]->limits.apart = true;          // as of Nvidia's
    all->devices[1]->info.unified_memory = false;
    return stp_device_open(&all->devices[0], all->context, selector);
}

int main(int argc, char **argv)
{
    struct comparison all = {.sizes = {1, 0, 64, 64}};
    const char *selector = NULL;
    all.shapes = calloc((size_t)argc + 1, sizeof *all.shapes);
    int at = all.shapes ? read_options(&all, &selector, argc, argv) : -1;
    if (at < 0) {
        free(all.shapes);
        return usage();
    }
    stp_status status = stp_context_create(&all.context, stp_context_params(.log = on_log));
    if (status == STP_OK)
        status = open_devices(&all, selector);
    if (status != STP_OK)
        fprintf(stderr, "%s\n", all.context ? stp_last_error(all.context) : stp_status_name(status));
    while (status == STP_OK && at < argc) {
        int files = at + 1;
        while (files < argc && strchr(argv[files], '='))
            files++;
        compare_model(&all, argv[at], argv + at + 1, files - at - 1);
        at = files;
    }
    stp_device_destroy(&all.devices[0]);
    stp_device_destroy(&all.devices[1]);
    stp_context_destroy(&all.context);
    free(all.shapes);
    printf("compare_model: seed %" PRIu64 ": %d passed, %d failed\n", all.seed, all.passed, all.failed);
    return status != STP_OK || all.failed || !all.passed;
}
