// SPDX-License-Identifier: Apache-2.0
// The C interface from beginning to end: run_model MODEL HEIGHT WIDTH [DEVICE]
// Runs a model on a ramp of numbers and prints what every output holds and how much was sampled.
#include <stdio.h>
#include <stdlib.h>

#include <stipple/stipple.h>

static void print_message(void *user, stp_log_level level, const char *message)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", message);
}

// The first float input of rank 4: batch 1, `height` and `width` where the model leaves them free. The caller frees image.data.
static stp_tensor make_image(const stp_model_port *port, int64_t height, int64_t width)
{
    stp_tensor image = {.dtype = STP_F32, .rank = 4};
    for (int d = 0; d < 4; d++)
        image.dims[d] = port->dims[d] >= 0 ? port->dims[d] : d == 2 ? height : d == 3 ? width : 1;
    int64_t count = stp_tensor_elements(&image);
    float *data = count > 0 ? malloc((size_t)count * sizeof *data) : NULL;
    for (int64_t i = 0; data && i < count; i++)
        data[i] = (float)(i % 97) / 97;
    image.data = data;
    return image;
}

static stp_status print_outputs(stp_session *session, const stp_model *model)
{
    for (size_t i = 0; i < stp_model_output_count(model); i++) {
        stp_tensor output; // a view: the session owns the data
        stp_status status = stp_session_output(session, i, &output);
        if (status != STP_OK)
            return status;
        printf("%s: %lld elements of %s\n", stp_model_output(model, i)->name, (long long)stp_tensor_elements(&output),
               stp_dtype_name(output.dtype));
    }
    for (size_t i = 0; i < stp_session_mask_count(session); i++) {
        stp_session_mask mask;
        stp_status status = stp_session_mask_get(session, i, &mask);
        if (status != STP_OK)
            return status;
        printf("%s: %.1f %% sampled\n", mask.node, mask.sampled * 100);
    }
    return STP_OK;
}

static stp_status run(stp_session *session, const stp_model *model, int64_t height, int64_t width)
{
    for (size_t i = 0; i < stp_model_input_count(model); i++) {
        const stp_model_port *port = stp_model_input(model, i);
        if (port->has_default || port->dtype != STP_F32 || port->rank != 4)
            continue; // others keep their defaults; one without is an error of stp_session_run()
        stp_tensor image = make_image(port, height, width);
        stp_status status = stp_session_set_input(session, port->name, &image); // copies
        free(image.data);
        if (status != STP_OK)
            return status;
    }
    stp_status status = stp_session_run(session);
    return status == STP_OK ? print_outputs(session, model) : status;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: run_model MODEL HEIGHT WIDTH [DEVICE]\n");
        return 2;
    }
    stp_context *context;
    stp_model *model = NULL;
    stp_device *device = NULL;
    stp_session *session = NULL;
    stp_status status = stp_context_create(&context, stp_context_params(.log = print_message));
    if (status == STP_OK)
        status = stp_model_load_file(&model, context, argv[1]);
    if (status == STP_OK)
        status = stp_device_open(&device, context, argc > 4 ? argv[4] : NULL);
    if (status == STP_OK)
        status = stp_session_create(&session, model, device, NULL);
    if (status == STP_OK)
        status = run(session, model, atoll(argv[2]), atoll(argv[3]));
    // In reverse; each accepts what was never made.
    stp_session_destroy(&session);
    stp_device_destroy(&device);
    stp_model_destroy(&model);
    stp_context_destroy(&context);
    return status == STP_OK ? 0 : 1;
}
