// SPDX-License-Identifier: Apache-2.0
// FunctionProto: model-local functions, read when they are first called.
#include <stdio.h>

#include "onnx/loader.h"

enum { MODEL_FUNCTIONS = 25 }; // of ModelProto
// Field numbers of FunctionProto.
enum { NAME = 1, INPUT = 4, OUTPUT = 5, NODE = 7, OPSET_IMPORT = 9, DOMAIN = 10, ATTRIBUTE_PROTO = 11, OVERLOAD = 13 };

const char *stp_onnx_function_key(struct stp_loader *loader, const char *domain, const char *name, const char *overload)
{
    size_t domain_size = strlen(domain), name_size = strlen(name), overload_size = strlen(overload);
    char *key = stp_arena_alloc(loader->arena, domain_size + name_size + overload_size + 3);
    if (!key)
        return NULL;
    // Names hold no control characters.
    memcpy(key, domain, domain_size);
    key[domain_size] = '\n';
    memcpy(key + domain_size + 1, name, name_size);
    key[domain_size + 1 + name_size] = '\n';
    memcpy(key + domain_size + name_size + 2, overload, overload_size);
    return key;
}

static stp_status add_function(struct stp_loader *loader, struct stp_wire message)
{
    struct onnx_function *function = stp_arena_alloc(loader->arena, sizeof *function);
    if (!function)
        return stp_onnx_no_memory(loader);
    function->message = message;
    const char *name = "", *domain = "", *overload = "", *what = "a function";
    struct stp_field field;
    while (stp_wire_next(&message, &field)) {
        const char **text = field.number == NAME       ? &name
                            : field.number == DOMAIN   ? &domain
                            : field.number == OVERLOAD ? &overload
                                                       : NULL;
        if (text)
            STP_TRY(stp_onnx_text(loader, &message, &field, true, what, text));
    }
    STP_TRY(stp_onnx_end(loader, &message, what));
    if (!name[0])
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "a function has no name");
    function->name = name;
    const char *key = stp_onnx_function_key(loader, stp_onnx_domain(domain), name, overload);
    if (!key)
        return stp_onnx_no_memory(loader);
    if (stp_names_find(&loader->function_keys, key, NULL))
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "function '%s' of domain '%s' is defined twice", name,
                        domain);
    if (!stp_names_add(&loader->function_keys, key, loader->n_functions))
        return stp_onnx_no_memory(loader);
    loader->functions[loader->n_functions++] = function;
    return STP_OK;
}

stp_status stp_onnx_functions(struct stp_loader *loader, struct stp_wire model)
{
    size_t wanted = (size_t)stp_onnx_count(model, MODEL_FUNCTIONS);
    loader->functions = stp_arena_array(loader->arena, wanted, sizeof *loader->functions);
    if (!loader->functions)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&model, MODEL_FUNCTIONS, &field);)
        STP_TRY(add_function(loader, stp_wire_message(&model, &field)));
    return stp_onnx_end(loader, &model, "the model's functions");
}

// Every formal name once, and none of them both an input and an output: an output is what a node of the body makes.
static stp_status check_formals(struct stp_loader *loader, const struct onnx_function *function)
{
    struct stp_names seen = {.count = 0};
    stp_status status = STP_OK;
    for (int i = 0; i < function->n_inputs + function->n_outputs && status == STP_OK; i++) {
        const char *name = i < function->n_inputs ? function->inputs[i] : function->outputs[i - function->n_inputs];
        if (!name[0] || stp_names_find(&seen, name, NULL))
            status = stp_fail(loader->context, STP_ERROR_INVALID_MODEL,
                              "function '%s': '%s' cannot be the name of an input or output, it is %s", function->name,
                              name, name[0] ? "one already" : "empty");
        else if (!stp_names_add(&seen, name, i))
            status = stp_onnx_no_memory(loader);
    }
    stp_names_free(&seen);
    return status;
}

stp_status stp_onnx_read_function(struct stp_loader *loader, struct onnx_function *function)
{
    if (function->is_read)
        return STP_OK;
    char what[300];
    snprintf(what, sizeof what, "function '%.250s'", function->name);
    struct stp_wire message = function->message;
    STP_TRY(stp_onnx_imports(loader, message, OPSET_IMPORT, what, &function->imports));
    STP_TRY(stp_onnx_texts(loader, message, INPUT, what, &function->inputs, &function->n_inputs));
    STP_TRY(stp_onnx_texts(loader, message, OUTPUT, what, &function->outputs, &function->n_outputs));
    STP_TRY(check_formals(loader, function));
    function->defaults.node.type = "function";
    function->defaults.node.name = function->name;
    STP_TRY(stp_onnx_attrs(loader, message, ATTRIBUTE_PROTO, &function->defaults));
    STP_TRY(stp_onnx_nodes(loader, message, NODE, what, &function->nodes, &function->n_nodes));
    function->is_read = true;
    return STP_OK;
}
