// SPDX-License-Identifier: Apache-2.0
// ref_model MODEL IN_DIR OUT_DIR: runs an ONNX file with the C reference. Reads the input NAME from IN_DIR/NAME.pb (a
// TensorProto; without that file the input's default stands in) and writes the output NAME to OUT_DIR/NAME.npy.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "graph/infer.h"
#include "graph/passes.h"
#include "onnx/load.h"
#include "ref/run.h"

static stp_status read_input(stp_context *context, const char *folder, const struct stp_value *value, stp_tensor *out)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.pb", folder, value->name);
    if (access(path, F_OK))
        return STP_OK;
    struct stp_file file;
    STP_TRY(stp_file_map(&file, context, path));
    stp_status status = stp_tensor_parse(out, context, file.data, file.size);
    stp_file_unmap(&file);
    return status;
}

static stp_status write_npy(stp_context *context, const char *folder, const char *name, const stp_tensor *tensor)
{
    static const char *const types[] = {[STP_F32] = "<f4", [STP_I32] = "<i4", [STP_I64] = "<i8", [STP_BOOL] = "|b1",
                                        [STP_U8] = "|u1"};
    char path[4096], shape[256] = "", header[512];
    int used = 0;
    for (int i = 0; i < tensor->rank; i++)
        used += snprintf(shape + used, sizeof shape - (size_t)used, "%lld,", (long long)tensor->dims[i]);
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n",
             types[tensor->dtype], shape);
    unsigned length = (unsigned)strlen(header);
    const unsigned char prefix[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, length & 255, length >> 8 & 255};
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file)
        return stp_fail(context, STP_ERROR_IO, "cannot create %s", path);
    size_t bytes = stp_tensor_bytes(tensor);
    bool written = fwrite(prefix, 1, sizeof prefix, file) == sizeof prefix &&
                   fwrite(header, 1, length, file) == length && fwrite(tensor->data, 1, bytes, file) == bytes;
    if (fclose(file) || !written)
        return stp_fail(context, STP_ERROR_IO, "cannot write %s", path);
    return STP_OK;
}

static stp_status run(stp_context *context, struct stp_graph *graph, const char *in_folder, const char *out_folder)
{
    STP_TRY(stp_graph_check(graph));
    STP_TRY(stp_graph_rewrite(graph));
    stp_status status = STP_OK;
    stp_tensor *inputs = calloc((size_t)graph->n_inputs + 1, sizeof *inputs);
    stp_tensor *outputs = calloc((size_t)graph->n_outputs + 1, sizeof *outputs);
    if (!inputs || !outputs)
        status = stp_fail_memory(context, sizeof *inputs, "inputs and outputs");
    for (int i = 0; status == STP_OK && i < graph->n_inputs; i++)
        status = read_input(context, in_folder, graph->inputs[i], &inputs[i]);
    if (status == STP_OK)
        status = stp_ref_run(graph, inputs, outputs, NULL, NULL);
    for (int i = 0; status == STP_OK && i < graph->n_outputs; i++)
        status = write_npy(context, out_folder, graph->outputs[i]->name, &outputs[i]);
    for (int i = 0; inputs && i < graph->n_inputs; i++)
        free(inputs[i].data);
    for (int i = 0; outputs && i < graph->n_outputs; i++)
        free(outputs[i].data);
    free(inputs);
    free(outputs);
    return status;
}

int main(int argc, char **argv)
{
    stp_context *context;
    if (argc != 4) {
        fputs("usage: ref_model MODEL IN_DIR OUT_DIR\n", stderr);
        return 2;
    }
    if (stp_context_create(&context, NULL) != STP_OK)
        return 1;
    struct stp_graph *graph = NULL;
    stp_status status = stp_onnx_load(&graph, context, argv[1]);
    if (status == STP_OK)
        status = run(context, graph, argv[2], argv[3]);
    if (status != STP_OK)
        fprintf(stderr, "%s\n", stp_last_error(context));
    stp_graph_destroy(graph);
    stp_context_destroy(&context);
    return status != STP_OK;
}
