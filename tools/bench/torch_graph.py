# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph as a PyTorch module: the operators of the zoo's dense twins."""

from collections import Counter

import onnx
import torch
import torch.nn.functional as functional
from onnx import helper, numpy_helper

from .runtimes import RuntimeFailure

WEIGHTED = ("Conv", "Gemm")  # what makes a tensor that nobody else holds


class Graph(torch.nn.Module):
    """Works in place where nobody else reads the tensor, and lets go of each tensor after its last reader."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        self.weights = torch.nn.ParameterDict()
        self.keys = {}
        for index, tensor in enumerate(graph.initializer):
            self.keys[tensor.name] = str(index)
            value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            self.weights[str(index)] = torch.nn.Parameter(value, requires_grad=False)
        self.input = next(value.name for value in graph.input if value.name not in self.keys)
        self.outputs = [output.name for output in graph.output]
        readers = Counter(name for node in graph.node for name in node.input) + Counter(self.outputs)
        makers = {node.output[0]: node for node in graph.node}
        self.steps = []
        for node in graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            first = node.input[0]
            maker = makers.get(first)
            own = readers[first] == 1 and maker is not None and maker.op_type in (*WEIGHTED, "Add")
            self.steps.append((node.output[0], list(node.input), _step(node, attributes, own)))
        self.last = {name: index for index, (_, inputs, _) in enumerate(self.steps) for name in inputs}

    def forward(self, image):
        values = {self.input: image}
        for index, (output, inputs, step) in enumerate(self.steps):
            values[output] = step(*(self._value(values, name) for name in inputs))
            for name in inputs:
                if self.last[name] == index and name not in self.outputs:
                    values.pop(name, None)
        return [values[name] for name in self.outputs]

    def _value(self, values, name):
        return self.weights[self.keys[name]] if name in self.keys else values[name]


def _pads(node, attributes):
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise RuntimeFailure(f"node '{node.name}': uneven padding")
    return [top, left]


def _step(node, attributes, own):
    """The node as a function; `own`: it may overwrite its first operand."""
    if node.op_type == "Conv":
        options = {"stride": attributes.get("strides", [1, 1]), "padding": _pads(node, attributes),
                   "dilation": attributes.get("dilations", [1, 1]), "groups": attributes.get("group", 1)}
        return lambda x, weight, bias=None: functional.conv2d(x, weight, bias, **options)
    if node.op_type == "MaxPool":
        size, strides, pads = attributes["kernel_shape"], attributes.get("strides", [1, 1]), _pads(node, attributes)
        return lambda x: functional.max_pool2d(x, size, strides, pads)
    steps = {
        "Relu": torch.relu_ if own else torch.relu,
        "Add": torch.Tensor.add_ if own else torch.add,
        "GlobalAveragePool": lambda x: functional.adaptive_avg_pool2d(x, 1),
        "Flatten": lambda x: x.flatten(1),
        "Identity": lambda x: x,
        "Gemm": lambda x, weight, bias: functional.linear(x, weight if attributes.get("transB") else weight.T, bias),
    }
    if node.op_type not in steps:
        raise RuntimeFailure(f"node '{node.name}': tools/bench/torch_graph.py does not know {node.op_type}")
    return steps[node.op_type]
