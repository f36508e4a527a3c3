// SPDX-License-Identifier: Apache-2.0
// onnx_dump MODEL: what the ONNX reader makes of a file, as lines that test_onnx_package.py compares with the Python package onnx.
// Fields are separated by tabs; bytes and texts that may hold tabs are hexadecimal.
#include <stdio.h>

#include "onnx/load.h"

static void put_hex(const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", ((const unsigned char *)bytes)[i]);
}

static void put_text(const char *text)
{
    put_hex(text, strlen(text));
}

static void put_tensor(const stp_tensor *tensor)
{
    printf("%s", stp_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++)
        printf(" %lld", (long long)tensor->dims[i]);
    printf("\t");
    put_hex(tensor->data, (size_t)stp_tensor_elements(tensor) * stp_dtype_size(tensor->dtype));
}

static void put_port(const char *kind, const struct stp_value *value)
{
    printf("%s\t%s\t%s", kind, value->name, stp_dtype_name(value->dtype));
    if (value->rank < 0)
        printf(" any");
    for (int i = 0; i < value->rank; i++)
        if (value->dims[i] < 0)
            printf(" ?%s", value->dim_names[i] ? value->dim_names[i] : "");
        else
            printf(" %lld", (long long)value->dims[i]);
    if (value->is_input && value->data) {
        stp_tensor tensor = stp_value_tensor(value);
        printf("\t");
        put_tensor(&tensor);
    }
    printf("\n");
}

static void put_attr(const struct stp_attr *attr)
{
    printf("attr\t%s\t%d\t", attr->name, attr->type);
    switch (attr->type) {
    case STP_ATTR_FLOAT: put_hex(&attr->f, sizeof attr->f); break;
    case STP_ATTR_INT: printf("%lld", (long long)attr->i); break;
    case STP_ATTR_STRING: put_text(attr->s); break;
    case STP_ATTR_TENSOR: put_tensor(&attr->t); break;
    case STP_ATTR_FLOATS: put_hex(attr->floats, attr->count * sizeof *attr->floats); break;
    case STP_ATTR_INTS:
        for (size_t i = 0; i < attr->count; i++)
            printf("%lld ", (long long)attr->ints[i]);
        break;
    case STP_ATTR_STRINGS:
        for (size_t i = 0; i < attr->count; i++) {
            put_text(attr->strings[i]);
            printf(",");
        }
        break;
    case STP_ATTR_UNSUPPORTED: break;
    }
    printf("\n");
}

static void put_node(const struct stp_node *node)
{
    printf("node\t%s\t%s\t%d\t%s\t", node->domain, node->type, node->version, node->name);
    for (int i = 0; i < node->n_inputs; i++)
        printf("%s,", node->inputs[i] ? node->inputs[i]->name : "");
    printf("\t");
    for (int i = 0; i < node->n_outputs; i++)
        printf("%s,", node->outputs[i] ? node->outputs[i]->name : "");
    printf("\n");
    for (int i = 0; i < node->n_attrs; i++)
        put_attr(&node->attrs[i]);
}

static void put_graph(const struct stp_graph *graph)
{
    for (int i = 0; i < graph->n_metadata; i++) {
        printf("metadata\t%s\t", graph->metadata[i].key);
        put_text(graph->metadata[i].value);
        printf("\n");
    }
    for (int i = 0; i < graph->n_inputs; i++)
        put_port("input", graph->inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++)
        put_port("output", graph->outputs[i]);
    for (int v = 0; v < graph->n_values; v++) {
        if (!stp_value_is_constant(graph->values[v]))
            continue;
        stp_tensor tensor = stp_value_tensor(graph->values[v]);
        printf("constant\t%s\t", graph->values[v]->name);
        put_tensor(&tensor);
        printf("\n");
    }
    for (int n = 0; n < graph->n_nodes; n++)
        put_node(graph->nodes[n]);
}

int main(int argc, char **argv)
{
    stp_context *context;
    if (argc != 2) {
        fputs("usage: onnx_dump MODEL\n", stderr);
        return 2;
    }
    if (stp_context_create(&context, NULL) != STP_OK)
        return 1;
    struct stp_graph *graph;
    stp_status status = stp_onnx_load(&graph, context, argv[1]);
    if (status == STP_OK)
        put_graph(graph);
    else
        fprintf(stderr, "%s\n", stp_last_error(context));
    stp_graph_destroy(graph);
    stp_context_destroy(&context);
    return status != STP_OK;
}
