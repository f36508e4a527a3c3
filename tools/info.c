// SPDX-License-Identifier: Apache-2.0
// stipple info: what is in a model, and which sites of each convolution anybody reads.
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "model.h"

static const char help[] =
    "usage: stipple info MODEL [--json]\n"
    "\n"
    "Shows the inputs, outputs, operators, parameters and metadata of an ONNX file (- for standard input), and for\n"
    "each convolution the region of its output that is computed, and why. Operators are those that run: after\n"
    "constants and batch normalisation are folded.\n"
    "\n"
    "      --json          print one JSON object\n" STP_COMMON_HELP;

// The metadata keys of SPEC.md.
static const char *const keys[] = {"stipple.task",      "stipple.image.order",  "stipple.image.mean",
                                   "stipple.image.std", "stipple.image.resize", "stipple.labels"};

struct operator_count {
    const char *op, *domain;
    int64_t count;
};

struct summary {
    struct operator_count *operators; // by first appearance
    size_t n_operators;
    int64_t parameters;
};

static void count_node(struct summary *summary, const stp_model_node *node)
{
    size_t i = 0;
    while (i < summary->n_operators &&
           (strcmp(summary->operators[i].op, node->op) || strcmp(summary->operators[i].domain, node->domain)))
        i++;
    if (i == summary->n_operators)
        summary->operators[summary->n_operators++] = (struct operator_count){.op = node->op, .domain = node->domain};
    summary->operators[i].count++;
    summary->parameters += node->parameters;
}

static bool summarise(struct summary *out, const stp_model *model, struct stp_error *error)
{
    size_t count = stp_model_node_count(model);
    *out = (struct summary){.operators = calloc(count + 1, sizeof *out->operators)};
    if (!out->operators)
        return stp_error_set(error, "out of memory");
    stp_model_node node;
    for (size_t i = 0; stp_model_node_get(model, i, &node); i++)
        count_node(out, &node);
    return true;
}

static bool is_convolution(const stp_model_node *node)
{
    return !*node->domain && (!strcmp(node->op, "Conv") || !strcmp(node->op, "ConvTranspose"));
}

// For people ---------------------------------------------------------------------------------------------------------

static void print_ports(const char *title, const stp_model *model, size_t count,
                        const stp_model_port *(*get)(const stp_model *model, size_t index))
{
    printf("%s\n", title);
    for (size_t i = 0; i < count; i++) {
        const stp_model_port *port = get(model, i);
        fputs("  ", stdout);
        stp_put_text(stdout, port->name);
        printf("  %s ", stp_dtype_name(port->dtype));
        stp_put_shape(stdout, port->rank, port->dims, port->dim_names);
        puts(port->has_default ? "  (with a default)" : "");
    }
}

static void print_convolutions(const stp_model *model)
{
    puts("convolutions (region: sites of the output that are computed)");
    stp_model_node node;
    for (size_t i = 0; stp_model_node_get(model, i, &node); i++) {
        if (!is_convolution(&node))
            continue;
        fputs("  ", stdout);
        stp_put_text(stdout, node.name);
        fputs("  ", stdout);
        stp_put_text(stdout, node.region ? node.region : "unknown");
        fputs(": ", stdout);
        stp_put_text(stdout, node.reason ? node.reason : "the model cannot be run at its declared sizes");
        putchar('\n');
    }
}

static void print_metadata(const stp_model *model)
{
    const int longest = 100; // a list of labels may be long
    puts("metadata");
    for (size_t i = 0; i < STP_COUNT(keys); i++) {
        const char *value = stp_model_metadata(model, keys[i]);
        if (!value)
            continue;
        char text[128];
        snprintf(text, sizeof text, "%.*s%s", longest, value, strlen(value) > (size_t)longest ? " ..." : "");
        printf("  %s  ", keys[i]);
        stp_put_text(stdout, text);
        putchar('\n');
    }
}

static int print_model(struct stp_tool *tool, const stp_model *model, const struct summary *summary)
{
    print_ports("inputs", model, stp_model_input_count(model), stp_model_input);
    print_ports("outputs", model, stp_model_output_count(model), stp_model_output);
    puts("operators");
    for (size_t i = 0; i < summary->n_operators; i++) {
        const struct operator_count *entry = summary->operators + i;
        printf("  %4" PRId64 "  ", entry->count);
        stp_put_text(stdout, entry->domain);
        fputs(*entry->domain ? "." : "", stdout);
        stp_put_text(stdout, entry->op);
        putchar('\n');
    }
    printf("parameters\n  %" PRId64 "\n", summary->parameters);
    print_convolutions(model);
    print_metadata(model);
    return stp_tool_printed(tool);
}

// JSON ---------------------------------------------------------------------------------------------------------------

static void add_ports(cJSON *parent, const char *key, const stp_model *model, size_t count,
                      const stp_model_port *(*get)(const stp_model *model, size_t index))
{
    cJSON *ports = stp_json_array(parent, key);
    for (size_t i = 0; i < count; i++) {
        const stp_model_port *port = get(model, i);
        cJSON *object = stp_json_object(ports, NULL);
        stp_json_text(object, "name", port->name);
        stp_json_text(object, "dtype", stp_dtype_name(port->dtype));
        if (port->rank < 0)
            stp_json_null(object, "shape");
        cJSON *shape = port->rank < 0 ? NULL : stp_json_array(object, "shape");
        for (int axis = 0; axis < port->rank; axis++) {
            if (port->dims[axis] >= 0)
                stp_json_integer(shape, NULL, port->dims[axis]);
            else
                stp_json_text(shape, NULL, port->dim_names[axis]); // null: free, without a name
        }
        stp_json_bool(object, "has_default", port->has_default);
    }
}

static int print_json(struct stp_tool *tool, const char *path, const stp_model *model, const struct summary *summary)
{
    cJSON *object = stp_json_object(NULL, NULL);
    stp_json_text(object, "model", path);
    add_ports(object, "inputs", model, stp_model_input_count(model), stp_model_input);
    add_ports(object, "outputs", model, stp_model_output_count(model), stp_model_output);
    cJSON *operators = stp_json_array(object, "operators");
    for (size_t i = 0; i < summary->n_operators; i++) {
        cJSON *entry = stp_json_object(operators, NULL);
        stp_json_text(entry, "op", summary->operators[i].op);
        stp_json_text(entry, "domain", summary->operators[i].domain);
        stp_json_integer(entry, "count", summary->operators[i].count);
    }
    stp_json_integer(object, "parameters", summary->parameters);
    cJSON *convolutions = stp_json_array(object, "convolutions");
    stp_model_node node;
    for (size_t i = 0; stp_model_node_get(model, i, &node); i++) {
        if (!is_convolution(&node))
            continue;
        cJSON *entry = stp_json_object(convolutions, NULL);
        stp_json_text(entry, "name", node.name);
        stp_json_text(entry, "op", node.op);
        stp_json_integer(entry, "parameters", node.parameters);
        stp_json_text(entry, "region", node.region);
        stp_json_text(entry, "reason", node.reason);
    }
    cJSON *metadata = stp_json_object(object, "metadata");
    for (size_t i = 0; i < STP_COUNT(keys); i++)
        if (stp_model_metadata(model, keys[i]))
            stp_json_text(metadata, keys[i], stp_model_metadata(model, keys[i]));
    return stp_json_print(tool, object);
}

// Verb ---------------------------------------------------------------------------------------------------------------

static int show(struct stp_tool *tool, const char *path, bool json)
{
    struct stp_loaded loaded;
    struct summary summary = {0};
    if (!stp_tool_begin(tool) || !stp_loaded_open(&loaded, tool, path))
        return stp_tool_failure(tool);
    int status = !summarise(&summary, loaded.model, &tool->error) ? stp_tool_failure(tool)
                 : json                                           ? print_json(tool, path, loaded.model, &summary)
                                                                  : print_model(tool, loaded.model, &summary);
    free(summary.operators);
    stp_loaded_close(&loaded);
    return status;
}

int stp_verb_info(struct stp_tool *tool, int argc, char **argv)
{
    bool json = false;
    int status = stp_tool_json_options(tool, argc, argv, "info", help, &json);
    if (status >= 0)
        return status;
    if (argc - optind != 1)
        return stp_tool_usage(tool, "info", argc == optind ? "info needs a MODEL" : "info takes one MODEL");
    return show(tool, argv[optind], json);
}
