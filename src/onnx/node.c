// SPDX-License-Identifier: Apache-2.0
// NodeProto and AttributeProto.
#include "onnx/loader.h"

#include <stdio.h>

// Attributes ---------------------------------------------------------------------------------------------------------

// Field numbers of AttributeProto, and the numbers of AttributeProto.AttributeType.
enum { NAME = 1, TYPE = 20, REF_ATTR_NAME = 21 };
enum { TYPE_UNDEFINED = 0, N_TYPES = 15 };
static const struct kind {
    uint32_t number; // the field that holds a value of the type
    const char *what;
} kinds[N_TYPES] = {
    [STP_ATTR_FLOAT] = {2, "a float"},
    [STP_ATTR_INT] = {3, "an integer"},
    [STP_ATTR_STRING] = {4, "a string"},
    [STP_ATTR_TENSOR] = {5, "a tensor"},
    [5] = {6, "a subgraph"},
    [STP_ATTR_FLOATS] = {7, "a list of floats"},
    [STP_ATTR_INTS] = {8, "a list of integers"},
    [STP_ATTR_STRINGS] = {9, "a list of strings"},
    [9] = {10, "a list of tensors"},
    [10] = {11, "a list of subgraphs"},
    [11] = {22, "a sparse tensor"},
    [12] = {23, "a list of sparse tensors"},
    [13] = {14, "a type"},
    [14] = {15, "a list of types"},
};

// What the first look at an attribute tells.
struct head {
    const char *name, *ref;
    int64_t type;
    unsigned present; // bit t: there is a field of a value of type t
    size_t count;     // of floats, ints or strings
};

static int type_of_field(uint32_t number)
{
    for (int type = 1; type < N_TYPES; type++)
        if (kinds[type].number == number)
            return type;
    return TYPE_UNDEFINED;
}

static stp_status read_head(struct stp_loader *loader, struct stp_wire wire, const char *what, struct head *out)
{
    *out = (struct head){.name = "", .ref = ""};
    struct stp_field field;
    while (stp_wire_next(&wire, &field)) {
        if (field.number == NAME)
            STP_TRY(stp_onnx_text(loader, &wire, &field, true, what, &out->name));
        else if (field.number == REF_ATTR_NAME)
            STP_TRY(stp_onnx_text(loader, &wire, &field, true, what, &out->ref));
        else if (field.number == TYPE)
            out->type = stp_wire_int(&wire, &field);
        int type = type_of_field(field.number);
        if (type == TYPE_UNDEFINED)
            continue;
        out->present |= 1u << type;
        if (type == STP_ATTR_FLOATS)
            out->count += stp_wire_count_floats(&wire, &field);
        else if (type == STP_ATTR_INTS)
            out->count += stp_wire_count_ints(&wire, &field);
        else if (type == STP_ATTR_STRINGS)
            out->count++;
    }
    return stp_onnx_end(loader, &wire, what);
}

static stp_status read_strings(struct stp_loader *loader, struct stp_wire wire, const char *what, struct stp_attr *out)
{
    const char **strings = stp_arena_array(loader->arena, out->count, sizeof *strings);
    if (!strings)
        return stp_onnx_no_memory(loader);
    out->strings = strings;
    for (struct stp_field field; stp_wire_find(&wire, kinds[STP_ATTR_STRINGS].number, &field);)
        STP_TRY(stp_onnx_text(loader, &wire, &field, false, what, strings++));
    return STP_OK;
}

static stp_status read_numbers(struct stp_loader *loader, struct stp_wire wire, struct stp_attr *out)
{
    void *numbers = stp_arena_array(loader->arena, out->count, sizeof(int64_t));
    if (!numbers)
        return stp_onnx_no_memory(loader);
    out->floats = out->type == STP_ATTR_FLOATS ? numbers : NULL;
    out->ints = out->type == STP_ATTR_INTS ? numbers : NULL;
    for (struct stp_field field; stp_wire_find(&wire, kinds[out->type].number, &field);)
        numbers = out->floats ? (void *)stp_wire_read_floats(&field, numbers)
                              : (void *)stp_wire_read_ints(&field, numbers);
    return STP_OK;
}

static stp_status read_tensor(struct stp_loader *loader, struct stp_wire message, const char *what, struct stp_attr *out)
{
    struct onnx_tensor tensor;
    STP_TRY(stp_onnx_tensor(loader, message, what, &tensor));
    out->t = tensor.tensor;
    if (!tensor.unsupported)
        return STP_OK;
    out->type = STP_ATTR_UNSUPPORTED;
    out->s = stp_arena_format(loader->arena, "a tensor that %s", tensor.unsupported);
    return out->s ? STP_OK : stp_onnx_no_memory(loader);
}

// The value, of the type that out->type says.
static stp_status read_value(struct stp_loader *loader, struct stp_wire wire, const char *what, struct stp_attr *out)
{
    switch (out->type) {
    case STP_ATTR_FLOATS:
    case STP_ATTR_INTS: return read_numbers(loader, wire, out);
    case STP_ATTR_STRINGS: return read_strings(loader, wire, what, out);
    default: break;
    }
    out->s = "";
    struct stp_field field, last = {.number = 0};
    while (stp_wire_find(&wire, kinds[out->type].number, &field))
        last = field;
    // Writers may leave out a zero or an empty string.
    if (!last.number && out->type == STP_ATTR_TENSOR)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: holds no tensor", what);
    if (!last.number)
        return STP_OK;
    if (out->type == STP_ATTR_FLOAT)
        out->f = stp_wire_float(&wire, &last);
    else if (out->type == STP_ATTR_INT)
        out->i = stp_wire_int(&wire, &last);
    else if (out->type == STP_ATTR_STRING)
        return stp_onnx_text(loader, &wire, &last, false, what, &out->s);
    else
        return read_tensor(loader, stp_wire_message(&wire, &last), what, out);
    return stp_onnx_end(loader, &wire, what);
}

static stp_status read_attr(struct stp_loader *loader, struct stp_wire message, const char *node, struct stp_attr *out,
                            const char **ref)
{
    char what[512];
    struct head head;
    snprintf(what, sizeof what, "an attribute of %s", node);
    STP_TRY(read_head(loader, message, what, &head));
    snprintf(what, sizeof what, "attribute '%.120s' of %s", head.name, node);
    if (!head.name[0])
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s has an attribute without a name", node);
    // The first files did not write the type.
    for (int type = 1; type < N_TYPES && head.type == TYPE_UNDEFINED; type++)
        if (head.present == 1u << type)
            head.type = type;
    if (head.type <= TYPE_UNDEFINED || head.type >= N_TYPES)
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: type %lld is none", what, (long long)head.type);
    if (head.present & ~(1u << head.type))
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s: ought to be %s, but holds something else", what,
                        kinds[head.type].what);
    *ref = head.ref[0] ? head.ref : NULL;
    *out = (struct stp_attr){.name = head.name, .type = (enum stp_attr_type)head.type, .count = head.count};
    if (*ref)
        return STP_OK;
    switch (head.type) {
    case STP_ATTR_FLOAT:
    case STP_ATTR_INT:
    case STP_ATTR_STRING:
    case STP_ATTR_TENSOR:
    case STP_ATTR_FLOATS:
    case STP_ATTR_INTS:
    case STP_ATTR_STRINGS: return read_value(loader, message, what, out);
    default: break;
    }
    out->type = STP_ATTR_UNSUPPORTED;
    out->s = kinds[head.type].what;
    return STP_OK;
}

stp_status stp_onnx_attrs(struct stp_loader *loader, struct stp_wire message, uint32_t number, struct onnx_node *out)
{
    struct stp_node *node = &out->node;
    char what[320];
    snprintf(what, sizeof what, "%.100s '%.200s'", node->type, node->name);
    int wanted = stp_onnx_count(message, number);
    if (wanted > STP_ONNX_MAX_ATTRS)
        return stp_fail(loader->context, STP_ERROR_UNSUPPORTED, "%s has %d attributes, at most %d are supported", what,
                        wanted, STP_ONNX_MAX_ATTRS);
    node->attrs = stp_arena_array(loader->arena, (size_t)wanted, sizeof *node->attrs);
    out->refs = stp_arena_array(loader->arena, (size_t)wanted, sizeof *out->refs);
    if (!node->attrs || !out->refs)
        return stp_onnx_no_memory(loader);
    bool has_refs = false;
    for (struct stp_field field; stp_wire_find(&message, number, &field);) {
        struct stp_attr *attr = &node->attrs[node->n_attrs];
        STP_TRY(read_attr(loader, stp_wire_message(&message, &field), what, attr, &out->refs[node->n_attrs]));
        if (stp_attr_find(node, attr->name))
            return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s has two attributes '%s'", what, attr->name);
        has_refs |= out->refs[node->n_attrs++] != NULL;
    }
    if (!has_refs)
        out->refs = NULL;
    return stp_onnx_end(loader, &message, what);
}

// Nodes --------------------------------------------------------------------------------------------------------------

// Trailing empty names are absent ones.
static int trim(const char **names, int count)
{
    while (count && !names[count - 1][0])
        count--;
    return count;
}

static stp_status read_strings_of_node(struct stp_loader *loader, struct stp_wire wire, const char *what,
                                       struct onnx_node *out, const char **overload)
{
    struct stp_node *node = &out->node;
    STP_TRY(stp_onnx_texts(loader, wire, 1, what, &out->inputs, &node->n_inputs));
    STP_TRY(stp_onnx_texts(loader, wire, 2, what, &out->outputs, &node->n_outputs));
    node->n_inputs = trim(out->inputs, node->n_inputs);
    node->n_outputs = trim(out->outputs, node->n_outputs);
    for (struct stp_field field; stp_wire_next(&wire, &field);) {
        const char **text = field.number == 3   ? &node->name
                            : field.number == 4 ? &node->type
                            : field.number == 7 ? &node->domain
                            : field.number == 8 ? overload
                                                : NULL;
        if (text)
            STP_TRY(stp_onnx_text(loader, &wire, &field, true, what, text));
    }
    return stp_onnx_end(loader, &wire, what);
}

static stp_status read_node(struct stp_loader *loader, struct stp_wire message, const char *what, struct onnx_node *out)
{
    struct stp_node *node = &out->node;
    const char *overload = "";
    node->name = node->type = node->domain = "";
    STP_TRY(read_strings_of_node(loader, message, what, out, &overload));
    for (int i = 0; i < node->n_outputs && !node->name[0]; i++)
        node->name = out->outputs[i];
    if (!node->type[0])
        return stp_fail(loader->context, STP_ERROR_INVALID_MODEL, "%s ('%s') names no operator", what, node->name);
    if (!node->n_outputs)
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, node, "%s has no output", what);
    node->domain = stp_onnx_domain(node->domain);
    STP_TRY(stp_onnx_attrs(loader, message, 5, out));
    if (!loader->n_functions)
        return STP_OK;
    out->function_key = stp_onnx_function_key(loader, node->domain, node->type, overload);
    return out->function_key ? STP_OK : stp_onnx_no_memory(loader);
}

stp_status stp_onnx_nodes(struct stp_loader *loader, struct stp_wire message, uint32_t number, const char *what,
                          struct onnx_node **out, int *count)
{
    *count = 0;
    *out = stp_arena_array(loader->arena, (size_t)stp_onnx_count(message, number), sizeof **out);
    if (!*out)
        return stp_onnx_no_memory(loader);
    for (struct stp_field field; stp_wire_find(&message, number, &field);) {
        char name[300];
        snprintf(name, sizeof name, "node %d of %.250s", *count, what);
        STP_TRY(read_node(loader, stp_wire_message(&message, &field), name, &(*out)[(*count)++]));
    }
    return stp_onnx_end(loader, &message, what);
}

// Constants ----------------------------------------------------------------------------------------------------------

static void set_list(struct stp_value *out, stp_dtype dtype, size_t count, const void *data)
{
    out->dtype = dtype;
    out->rank = 1;
    out->dims[0] = (int64_t)count;
    out->data = data;
}

static void set_scalar(struct stp_value *out, stp_dtype dtype, const void *data)
{
    out->dtype = dtype;
    out->rank = 0;
    out->data = data;
}

stp_status stp_onnx_constant(struct stp_loader *loader, const struct stp_node *node)
{
    static const struct {
        const char *name;
        enum stp_attr_type type;
    } forms[] = {
        {"value", STP_ATTR_TENSOR},       {"value_float", STP_ATTR_FLOAT}, {"value_int", STP_ATTR_INT},
        {"value_floats", STP_ATTR_FLOATS}, {"value_ints", STP_ATTR_INTS},   {"value_string", STP_ATTR_STRING},
        {"value_strings", STP_ATTR_STRINGS}, {"sparse_value", STP_ATTR_UNSUPPORTED},
    };
    if (node->n_inputs || node->n_outputs != 1 || !node->outputs[0])
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, node, "must have no input and one output");
    struct stp_value *out = node->outputs[0];
    const struct stp_attr *attr = node->n_attrs == 1 ? &node->attrs[0] : NULL;
    bool known = false;
    for (size_t f = 0; attr && f < STP_LENGTH(forms); f++)
        known |= !strcmp(attr->name, forms[f].name) &&
                 (attr->type == forms[f].type || attr->type == STP_ATTR_UNSUPPORTED);
    if (!known)
        return stp_fail_node(loader->context, STP_ERROR_INVALID_MODEL, node,
                             "must have exactly one attribute, one that holds a value");
    switch (attr->type) {
    case STP_ATTR_FLOAT: set_scalar(out, STP_F32, &attr->f); break;
    case STP_ATTR_INT: set_scalar(out, STP_I64, &attr->i); break;
    case STP_ATTR_FLOATS: set_list(out, STP_F32, attr->count, attr->floats); break;
    case STP_ATTR_INTS: set_list(out, STP_I64, attr->count, attr->ints); break;
    case STP_ATTR_TENSOR:
        out->dtype = attr->t.dtype;
        out->rank = attr->t.rank;
        memcpy(out->dims, attr->t.dims, sizeof out->dims);
        out->data = attr->t.data;
        break;
    case STP_ATTR_STRING:
    case STP_ATTR_STRINGS: out->unsupported = "is a string"; break;
    case STP_ATTR_UNSUPPORTED:
        out->unsupported = stp_arena_format(loader->arena, "is %s", attr->s);
        return out->unsupported ? STP_OK : stp_onnx_no_memory(loader);
    }
    return STP_OK;
}
