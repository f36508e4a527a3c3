# SPDX-License-Identifier: Apache-2.0
"""The operators of the domain `stipple` as ONNX functions in standard operators: what any other runtime runs."""

import numpy as np
from onnx import AttributeProto, FunctionProto, TensorProto, helper, numpy_helper

DOMAIN = "stipple"
DOMAIN_VERSION = 1
OPSET = 18  # the first with BitwiseXor
IR_VERSION = 8  # the first with functions

PHILOX_MULTIPLIER = 0xD256D193
PHILOX_WEYL = 0x9E3779B9
PHILOX_ROUNDS = 10
WORD = 0xFFFFFFFF


class Body:
    """Collects a function's nodes. Each call appends one node and gives the name of its output."""

    def __init__(self):
        self.nodes = []

    def __call__(self, op, *inputs, output=None, **attributes):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value, dtype=np.int64):
        return self("Constant", value=numpy_helper.from_array(np.array(value, dtype)))

    def attribute(self, name, kind):
        """The value of the calling node's attribute, a scalar."""
        output = self("Constant")
        field = "value_int" if kind == AttributeProto.INT else "value_float"
        self.nodes[-1].attribute.append(AttributeProto(name=field, ref_attr_name=name, type=kind))
        return output


def philox(body, c0, c1, key):
    """First word of Philox2x32-10 on int64 tensors that hold 32-bit words.

    A product of two words does not fit int64, so the multiplier is split at 16 bits: each part is below 2^49.
    """
    multiplier_low = body.constant(PHILOX_MULTIPLIER & 0xFFFF)
    multiplier_high = body.constant(PHILOX_MULTIPLIER >> 16)
    weyl = body.constant(PHILOX_WEYL)
    word, half, shift = body.constant(WORD), body.constant(0xFFFF), body.constant(1 << 16)
    for turn in range(PHILOX_ROUNDS):
        if turn:
            key = body("BitwiseAnd", body("Add", key, weyl), word)
        low = body("Mul", c0, multiplier_low)
        high = body("Add", body("Mul", c0, multiplier_high), body("Div", low, shift))
        mixed = body("BitwiseXor", body("BitwiseXor", body("Div", high, shift), key), c1)
        c1 = body("Add", body("Mul", body("BitwiseAnd", high, half), shift), body("BitwiseAnd", low, half))
        c0 = mixed
    return c0


def _multiples(body, positions, step, on):
    """1 where a position is a multiple of step and `on` is true; step may be 0 where `on` is false."""
    remainder = body("Mod", positions, body("Max", step, body.constant(1)))
    return body("And", body("Equal", remainder, body.constant(0)), on)


def sample_function():
    """mask = Sample(logits, seed), attributes stochastic, stream, grid."""
    body = Body()
    zero, one = body.constant(0), body.constant(1)
    height = body("Squeeze", body("Shape", "logits", start=2, end=3))
    width = body("Squeeze", body("Shape", "logits", start=3, end=4))
    rows = body("Reshape", body("Range", zero, height, one), body.constant([-1, 1]))
    columns = body("Range", zero, width, one)

    site = body("Add", body("Mul", rows, width), columns)
    key = body("BitwiseAnd", body("Reshape", "seed", body.constant([-1, 1, 1, 1])), body.constant(WORD))
    word = philox(body, site, body.attribute("stream", AttributeProto.INT), key)
    bits = body("Cast", body("Div", word, body.constant(256)), to=TensorProto.FLOAT)
    uniform = body("Mul", bits, body.constant(2.0**-24, np.float32))
    drawn = body("Less", uniform, body("Sigmoid", "logits"))
    threshold = body("GreaterOrEqual", "logits", body.constant(0, np.float32))

    stochastic = body("Greater", body.attribute("stochastic", AttributeProto.INT), zero)
    chosen = body("Or", body("And", drawn, stochastic), body("And", threshold, body("Not", stochastic)))
    grid = body.attribute("grid", AttributeProto.INT)
    on = body("Greater", grid, zero)
    prior = body("And", _multiples(body, rows, grid, on), _multiples(body, columns, grid, on))
    body("Cast", body("Or", chosen, prior), to=TensorProto.FLOAT, output="mask")
    return _function("Sample", ["logits", "seed"], ["mask"], body, ["stochastic", "stream", "grid"])


def interpolate_function():
    """y = Interpolate(x, mask, weight), attribute epsilon."""
    body = Body()
    sampled = body("Cast", "mask", to=TensorProto.BOOL)
    kept = body("Where", sampled, "x", body.constant(0, np.float32))
    kernel = body("Unsqueeze", "weight", body.constant([0, 1]))
    # One kernel for all channels: they become images of a batch. SAME_UPPER pads half of an odd size on each side.
    planes = body("Concat", body.constant([-1, 1]), body("Shape", "x", start=2), axis=0)
    blurred = body("Conv", body("Reshape", kept, planes), kernel, auto_pad="SAME_UPPER")
    numerator = body("Reshape", blurred, body("Shape", "x"))
    total = body("Conv", "mask", kernel, auto_pad="SAME_UPPER")
    denominator = body("Add", total, body.attribute("epsilon", AttributeProto.FLOAT))
    body("Where", sampled, "x", body("Div", numerator, denominator), output="y")
    return _function("Interpolate", ["x", "mask", "weight"], ["y"], body, ["epsilon"])


def _function(name, inputs, outputs, body, attributes) -> FunctionProto:
    return helper.make_function(DOMAIN, name, inputs, outputs, body.nodes, [helper.make_opsetid("", OPSET)], attributes)


def stipple_functions(nodes):
    """The functions that these nodes need."""
    makers = {"Sample": sample_function, "Interpolate": interpolate_function}
    used = {node.op_type for node in nodes if node.domain == DOMAIN}
    return [make() for name, make in makers.items() if name in used]


def opset_imports(functions):
    imports = [helper.make_opsetid("", OPSET)]
    if functions:
        imports.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    return imports
