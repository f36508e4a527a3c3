# SPDX-License-Identifier: Apache-2.0
"""Rewrites any stipple model into its dense twin or its replay form."""

import onnx
from onnx import TensorProto, helper

from .functions import DOMAIN

LAMBDA = "stipple.lambda."  # metadata: λ of the node whose name follows


def sample_nodes(model):
    return [node for node in model.graph.node if node.domain == DOMAIN and node.op_type == "Sample"]


def dense_twin(model):
    """The same network and weights, computed everywhere: no Interpolate, and nothing that only masks needed."""
    twin = _copy(model)
    graph = twin.graph
    outputs = {output.name for output in graph.output}
    replaced = {}
    for node in graph.node:
        node.input[:] = [replaced.get(name, name) for name in node.input]
        if node.domain != DOMAIN or node.op_type != "Interpolate":
            continue
        if node.output[0] in outputs:
            node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output, name=node.name))
        else:
            replaced[node.output[0]] = node.input[0]
    _prune(twin)
    return twin


def replay(model):
    """The same network with its masks as graph inputs (named as the Sample nodes' outputs) and the logits that
    made them as further graph outputs."""
    rewritten = _copy(model)
    graph = rewritten.graph
    outputs = {output.name for output in graph.output}
    for node in sample_nodes(rewritten):
        logits, mask = node.input[0], node.output[0]
        dims = [f"{mask}.N", 1, f"{mask}.H", f"{mask}.W"]
        graph.input.append(helper.make_tensor_value_info(mask, TensorProto.FLOAT, dims))
        if logits not in outputs:
            outputs.add(logits)
            graph.output.append(helper.make_tensor_value_info(logits, TensorProto.FLOAT, [None, 1, None, None]))
        graph.node.remove(node)
    _prune(rewritten)
    return rewritten


def _copy(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _keep(field, wanted):
    """Deletes the items of a repeated field that are not wanted, in place: initializers are large."""
    for index in reversed(range(len(field))):
        if not wanted(field[index]):
            del field[index]


def _prune(model):
    """Drops nodes that lead to no output, and what then has no reader: initializers, graph inputs with a default,
    functions, metadata of dropped nodes."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    for index in reversed(range(len(graph.node))):
        if needed.intersection(graph.node[index].output):
            needed.update(graph.node[index].input)
        else:
            del graph.node[index]
    defaults = {initializer.name for initializer in graph.initializer}
    _keep(graph.input, lambda i: i.name in needed or i.name not in defaults)
    _keep(graph.initializer, lambda i: i.name in needed)
    interpolates = {node.name for node in graph.node if node.op_type == "Interpolate"}
    _keep(model.metadata_props, lambda p: not p.key.startswith(LAMBDA) or p.key.removeprefix(LAMBDA) in interpolates)
    called = [*graph.node, *(node for function in model.functions for node in function.node)]
    used = {(node.domain, node.op_type) for node in called}
    _keep(model.functions, lambda f: f.domain != DOMAIN or (f.domain, f.name) in used)
    domains = {domain for domain, _ in used}
    _keep(model.opset_import, lambda o: o.domain != DOMAIN or DOMAIN in domains)
