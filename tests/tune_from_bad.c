// SPDX-License-Identifier: Apache-2.0
// tune_from_bad MODEL INPUT FILE.npy SECONDS: tunes a model on STIPPLE_DEVICE as if everything were computed in the worst way without
// tuning: register tiles of one row and few columns, work-groups of one item. Prints what `stipple tune` prints of each class, as lines
// "before | after | shape", and the whole run's times: before, after, and of what is really used without tuning.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stipple/stipple.h>

#include "npy.h"
#include "run/session.h"
#include "device/tuned.h"

static struct stp_conv_choice worst(const struct stp_limits *limits, const struct stp_conv_shape *shape)
{
    const int piece = shape->channels % 4 == 0 ? 4 : 1;
    if (limits->is_cpu)
        return (struct stp_conv_choice){.tile = {.rows = 1, .vec = 4, .vecs = 1, .block = 1}};
    return (struct stp_conv_choice){.local = {.across = 1, .down = 1, .columns = 1, .rows = 1, .depth = piece, .ahead = 1, .piece = piece,
                                              .unroll = 1, .groups = 1}};
}

static int fail(const stp_context *context, const char *what)
{
    fprintf(stderr, "tune_from_bad: %s: %s\n", what, context ? stp_last_error(context) : "out of memory");
    return 1;
}

static double least_ms(stp_session *session)
{
    double least = 0;
    for (int i = 0; i < 20; i++) {
        if (stp_session_run(session) != STP_OK)
            return 0;
        least = i && least < session->run_ms ? least : session->run_ms;
    }
    return least;
}

int main(int argc, char **argv)
{
    stp_context *context;
    stp_device *device;
    stp_model *model;
    stp_session *session;
    stp_tuning *tuning;
    stp_tensor tensor;
    struct stp_error error;
    struct stp_bytes bytes;
    struct stp_tuned_table bad = {0}, none = {0};
    if (argc != 5)
        return 2;
    if (stp_context_create(&context, NULL) != STP_OK || stp_device_open(&device, context, getenv("STIPPLE_DEVICE")) != STP_OK)
        return fail(context, "device");
    if (!stp_read_file(&bytes, argv[3], &error) || !stp_npy_parse(&tensor, bytes.data, bytes.size, argv[3], &error)) {
        fprintf(stderr, "tune_from_bad: %s\n", error.text);
        return 1;
    }
    if (stp_model_load_file(&model, context, argv[1]) != STP_OK || stp_session_create(&session, model, device, NULL) != STP_OK)
        return fail(context, argv[1]);
    session->tuned = &none;
    if (stp_session_set_input(session, argv[2], &tensor) != STP_OK || stp_session_run(session) != STP_OK)
        return fail(context, "first run");
    const double usual = least_ms(session);
    for (int i = 0; i < session->plan->n_convs; i++) {
        const struct stp_conv_shape *shape = &session->plan->convs[i].shape;
        const struct stp_tuned tuned = {.class = stp_conv_class(shape), .choice = worst(&device->limits, shape)};
        if (!stp_worksize_conv_fits(&device->limits, shape, &tuned.choice) || !stp_tuned_put(&bad, &tuned))
            return fail(context, "the worst choice does not fit");
    }
    session->tuned = &bad;
    if (stp_session_tune(&tuning, session, stp_tune_params(.seconds = atof(argv[4]))) != STP_OK)
        return fail(context, "tuning");
    for (size_t i = 0; i < stp_tuning_count(tuning); i++) {
        const stp_tuned_class *class = stp_tuning_get(tuning, i);
        printf("%s | %s | %s | %.3f -> %.3f ms\n", class->before, class->after, class->shape, class->before_ms, class->after_ms);
    }
    double before, after;
    stp_tuning_run_ms(tuning, &before, &after);
    printf("run: %.2f ms before, %.2f ms after, %.2f ms without tuning\n", before, after, usual);
    stp_tuning_destroy(&tuning);
    stp_session_destroy(&session);
    stp_model_destroy(&model);
    stp_device_destroy(&device);
    stp_context_destroy(&context);
    free(bad.items);
    free(bytes.data);
    free(tensor.data);
    return 0;
}
