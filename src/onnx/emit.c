// SPDX-License-Identifier: Apache-2.0
// Nodes of the file → nodes of the graph: names become values, Constants become constants, calls become what they call.
#include <stdio.h>

#include "onnx/loader.h"

static stp_status spend(struct stp_loader *loader, const struct onnx_scope *scope, int64_t amount)
{
    if (!scope->function)
        return STP_OK; // bounded by the file
    loader->inlined += amount;
    if (loader->inlined <= STP_ONNX_MAX_INLINED)
        return STP_OK;
    return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "function '%s': inlining makes more than %d nodes and operands",
                    scope->function->name, STP_ONNX_MAX_INLINED);
}

// A name inside a call, made of the caller's and the function's own: nested calls and long names must not add up.
static const char *inner_name(struct stp_loader *loader, const struct onnx_scope *scope, const char *name)
{
    enum { LONGEST = 200 };
    if (!scope->prefix)
        return name;
    if (strlen(scope->prefix) + strlen(name) < LONGEST)
        return stp_arena_format(loader->arena, "%s/%s", scope->prefix, name);
    return strlen(name) < LONGEST ? name : "inlined";
}

// Outputs ------------------------------------------------------------------------------------------------------------

static stp_status declare_output(struct stp_loader *loader, struct onnx_scope *scope, const struct stp_node *node,
                                 const char *name)
{
    if (stp_names_find(&scope->values, name, NULL))
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, node,
                             "makes '%s', which another node makes too, or which is an input or initializer", name);
    int id = -1;
    if (!stp_names_find(&scope->targets, name, &id) || id < 0) {
        const char *inner = inner_name(loader, scope, name);
        const char *unique = inner ? stp_graph_unique_name(loader->graph, inner) : NULL;
        const struct stp_value *value = unique ? stp_graph_add_value(loader->graph, unique) : NULL;
        if (!value)
            return stp_onnx_no_memory(loader);
        id = value->id;
    }
    return stp_names_add(&scope->values, name, id) ? STP_OK : stp_onnx_no_memory(loader);
}

static stp_status declare_outputs(struct stp_loader *loader, struct onnx_scope *scope, const struct onnx_node *node)
{
    STP_TRY(spend(loader, scope, 1 + node->node.n_inputs + node->node.n_outputs + node->node.n_attrs));
    for (int o = 0; o < node->node.n_outputs; o++)
        if (node->outputs[o][0])
            STP_TRY(declare_output(loader, scope, &node->node, node->outputs[o]));
    return STP_OK;
}

// Attributes ---------------------------------------------------------------------------------------------------------

// The attributes of `node` with references replaced by what the call gives, or the function's default; without either the
// attribute is absent.
static stp_status resolve_attrs(struct stp_loader *loader, const struct onnx_scope *scope, const struct onnx_node *node,
                                struct stp_node *out)
{
    if (!node->refs)
        return STP_OK;
    out->n_attrs = 0;
    out->attrs = stp_arena_array(loader->arena, (size_t)node->node.n_attrs, sizeof *out->attrs);
    if (!out->attrs)
        return stp_onnx_no_memory(loader);
    for (int a = 0; a < node->node.n_attrs; a++) {
        const struct stp_attr *attr = &node->node.attrs[a];
        struct stp_attr resolved = *attr;
        if (node->refs[a]) {
            if (!scope->function)
                return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, out,
                                     "attribute '%s' refers to a function's attribute, but is in no function", attr->name);
            const struct stp_attr *actual = stp_attr_find(scope->caller, node->refs[a]);
            if (!actual)
                actual = stp_attr_find(&scope->function->defaults.node, node->refs[a]);
            if (!actual)
                continue;
            if (actual->type != attr->type && actual->type != STP_ATTR_UNSUPPORTED)
                return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, out,
                                     "attribute '%s' refers to attribute '%s' of function '%s', which is of another type",
                                     attr->name, node->refs[a], scope->function->name);
            resolved = *actual;
            resolved.name = attr->name;
        }
        out->attrs[out->n_attrs++] = resolved;
    }
    return STP_OK;
}

// Calls --------------------------------------------------------------------------------------------------------------

// Binds the formal names of `scope->function` to the call's values.
static stp_status bind(struct stp_loader *loader, struct onnx_scope *scope, const struct stp_node *call)
{
    const struct onnx_function *function = scope->function;
    if (call->n_inputs > function->n_inputs || call->n_outputs > function->n_outputs)
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, call,
                             "has %d inputs and %d outputs where function '%s' has %d and %d", call->n_inputs,
                             call->n_outputs, function->name, function->n_inputs, function->n_outputs);
    for (int i = 0; i < function->n_inputs; i++) {
        const struct stp_value *value = i < call->n_inputs ? call->inputs[i] : NULL;
        if (!stp_names_add(&scope->values, function->inputs[i], value ? value->id : -1))
            return stp_onnx_no_memory(loader);
    }
    for (int o = 0; o < function->n_outputs; o++) {
        const struct stp_value *value = o < call->n_outputs ? call->outputs[o] : NULL;
        if (!stp_names_add(&scope->targets, function->outputs[o], value ? value->id : -1))
            return stp_onnx_no_memory(loader);
    }
    return STP_OK;
}

static stp_status inline_body(struct stp_loader *loader, struct onnx_scope *scope, const struct stp_node *call)
{
    const struct onnx_function *function = scope->function;
    STP_TRY(spend(loader, scope, 1 + function->n_inputs + function->n_outputs));
    STP_TRY(bind(loader, scope, call));
    STP_TRY(stp_onnx_emit(loader, scope, function->nodes, function->n_nodes));
    for (int o = 0; o < call->n_outputs; o++)
        if (!stp_names_find(&scope->values, function->outputs[o], NULL))
            return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, call,
                                 "function '%s' does not make its output '%s'", function->name, function->outputs[o]);
    return STP_OK;
}

static stp_status inline_call(struct stp_loader *loader, const struct onnx_scope *scope, const struct stp_node *call,
                              struct onnx_function *function)
{
    if (function->is_active)
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, call, "function '%s' calls itself", function->name);
    if (scope->depth == STP_ONNX_MAX_CALL_DEPTH)
        return stp_fail_node(loader->context, STP_ERROR_UNSUPPORTED, call, "functions call each other more than %d deep",
                             STP_ONNX_MAX_CALL_DEPTH);
    STP_TRY(stp_onnx_read_function(loader, function));
    struct onnx_scope inner = {
        .imports = &function->imports,
        .prefix = call->name,
        .function = function,
        .caller = call,
        .depth = scope->depth + 1,
    };
    function->is_active = true;
    stp_status status = inline_body(loader, &inner, call);
    function->is_active = false;
    stp_names_free(&inner.values);
    stp_names_free(&inner.targets);
    return status;
}

// Nodes --------------------------------------------------------------------------------------------------------------

static stp_status find_operands(struct stp_loader *loader, const struct onnx_scope *scope, const struct onnx_node *node,
                                struct stp_node *out)
{
    out->inputs = stp_arena_array(loader->arena, (size_t)out->n_inputs, sizeof *out->inputs);
    out->outputs = stp_arena_array(loader->arena, (size_t)out->n_outputs, sizeof *out->outputs);
    if (!out->inputs || !out->outputs)
        return stp_onnx_no_memory(loader);
    for (int i = 0; i < out->n_inputs; i++) {
        int id = -1;
        if (node->inputs[i][0] && !stp_names_find(&scope->values, node->inputs[i], &id))
            return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, out,
                                 "reads '%s', which is no input, no initializer and no node's output", node->inputs[i]);
        out->inputs[i] = id < 0 ? NULL : loader->graph->values[id];
    }
    // What the caller left out at the end is absent inside too.
    while (out->n_inputs && !out->inputs[out->n_inputs - 1])
        out->n_inputs--;
    for (int o = 0; o < out->n_outputs; o++) {
        int id;
        out->outputs[o] = stp_names_find(&scope->values, node->outputs[o], &id) ? loader->graph->values[id] : NULL;
    }
    return STP_OK;
}

static stp_status emit_node(struct stp_loader *loader, const struct onnx_scope *scope, const struct onnx_node *node)
{
    struct stp_node resolved = node->node;
    resolved.name = inner_name(loader, scope, node->node.name);
    if (!resolved.name)
        return stp_onnx_no_memory(loader);
    resolved.version = stp_onnx_version(scope->imports, resolved.domain);
    STP_TRY(resolve_attrs(loader, scope, node, &resolved));
    STP_TRY(find_operands(loader, scope, node, &resolved));
    int function;
    if (node->function_key && strcmp(resolved.domain, "stipple") &&
        stp_names_find(&loader->function_keys, node->function_key, &function))
        return inline_call(loader, scope, &resolved, loader->functions[function]);
    if (!resolved.version && (!resolved.domain[0] || !strcmp(resolved.domain, "stipple")))
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, &resolved, "%s imports no opset of domain '%s'",
                             scope->function ? "its function" : "the model", resolved.domain);
    if (!resolved.domain[0] && !strcmp(resolved.type, "Constant"))
        return stp_onnx_constant(loader, &resolved);
    struct stp_node *added = stp_graph_add_node(loader->graph, 0, 0);
    if (!added)
        return stp_onnx_no_memory(loader);
    *added = resolved;
    return STP_OK;
}

stp_status stp_onnx_emit(struct stp_loader *loader, struct onnx_scope *scope, const struct onnx_node *nodes, int count)
{
    for (int n = 0; n < count; n++)
        STP_TRY(declare_outputs(loader, scope, &nodes[n]));
    for (int n = 0; n < count; n++)
        STP_TRY(emit_node(loader, scope, &nodes[n]));
    return STP_OK;
}
