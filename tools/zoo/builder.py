# SPDX-License-Identifier: Apache-2.0
"""Builds an ONNX graph while running it: every node is evaluated on a calibration input as it is added, so that
the weights which follow (batch norm statistics, mask biases) can be set from the values at hand."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from . import functions


class Value:
    """A tensor of the graph: its name and what it holds on the calibration input."""

    def __init__(self, name, array):
        self.name = name
        self.array = array


def make_session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class Builder:
    def __init__(self):
        self.nodes = []
        self.inputs = []
        self.outputs = []
        self.initializers = []
        self.metadata = {}
        self._sessions = {}

    def input(self, name, array, dims, default=None):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))
        if default is not None:
            self.initializers.append(numpy_helper.from_array(default, name))
        return Value(name, array)

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(array, name))
        return Value(name, array)

    def node(self, op, name, *inputs, domain="", **attributes):
        """Appends a node with one output, which bears the node's name."""
        self.nodes.append(
            helper.make_node(op, [i.name for i in inputs], [name], name=name, domain=domain, **attributes))
        return Value(name, self.evaluate(op, *(i.array for i in inputs), domain=domain, **attributes))

    def output(self, value, dims):
        kind = helper.np_dtype_to_tensor_dtype(value.array.dtype)
        self.outputs.append(helper.make_tensor_value_info(value.name, kind, dims))

    def evaluate(self, op, *arrays, domain="", **attributes):
        """What a node would give, without adding it."""
        key = repr((op, domain, sorted(attributes.items()), [(a.dtype, a.ndim) for a in arrays]))
        if key not in self._sessions:
            names = [f"i{k}" for k in range(len(arrays))]
            node = helper.make_node(op, names, ["o"], domain=domain, **attributes)
            inputs = [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), [None] * a.ndim)
                for n, a in zip(names, arrays)
            ]
            graph = helper.make_graph([node], op, inputs, [onnx.ValueInfoProto(name="o")])
            self._sessions[key] = make_session(_model(graph, {}))
        session = self._sessions[key]
        return session.run(None, {f"i{k}": a for k, a in enumerate(arrays)})[0]

    def model(self, name):
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)
        model = _model(graph, self.metadata)
        onnx.checker.check_model(model)
        return model


def _model(graph, metadata):
    needed = functions.stipple_functions(graph.node)
    model = helper.make_model(
        graph, functions=needed, opset_imports=functions.opset_imports(needed), ir_version=functions.IR_VERSION,
        producer_name="stipple zoo")
    helper.set_model_props(model, metadata)
    return model
