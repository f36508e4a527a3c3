#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small graphs made to break regions, and random ones, on a device against the C reference by bits: test_regions.py [--few]
COMPARE_MODEL [ARGUMENT...]. The arguments go to the program before the models. Sparse, dense, unlisted rows filled with NaN.
--few: graphs that use every kernel, for Oclgrind, which is slow; what it reports fails the test."""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tools.zoo import functions  # noqa: E402


class Graph:
    """A graph under construction: every method adds nodes and gives the name of the result."""

    def __init__(self, seed, n=1, c=6, h=11, w=13):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self.shape, self.streams = {}, 0
        self.x = self.add_input("x", (n, c, h, w))
        self.seed = "seed"
        self.constants.append(numpy_helper.from_array(np.array([seed], np.int64), "seed"))

    def add_input(self, name, shape):
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        self.shape[name] = tuple(shape)
        return name

    def constant(self, array):
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=f"{kind}{len(self.nodes)}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, ci, co, k=1, group=1, bias=True, **attributes):
        w = self.random.normal(size=(co, ci // group, k, k)).astype(np.float32) / np.float32(np.sqrt(ci * k * k / group))
        inputs = [x, self.constant(w)]
        if bias:
            inputs.append(self.constant(self.random.normal(size=co).astype(np.float32)))
        attributes.setdefault("pads", [k // 2] * 4)
        return self.op("Conv", *inputs, group=group, **attributes)

    def sample(self, x, ci, bias=0.0, grid=5, **attributes):
        w = self.random.normal(size=(1, ci, 3, 3)).astype(np.float32) / np.float32(np.sqrt(ci * 9) / 2)
        attributes.setdefault("pads", [1] * 4)
        logits = self.op("Conv", x, self.constant(w), self.constant(np.array([bias], np.float32)), **attributes)
        return self.draw(logits, grid=grid)

    def draw(self, logits, stochastic=1, grid=0):
        self.streams += 1
        return self.op("Sample", logits, self.seed, domain="stipple", stochastic=stochastic, stream=self.streams, grid=grid)

    def interpolate(self, x, mask, size=7, scale=3.0, negative=False):
        at = np.arange(size) - size // 2
        d = at[:, None] ** 2 + at[None] ** 2
        w = scale ** 2 / (2 * np.pi) * np.exp(-scale ** 2 / 2 * d)
        if negative:
            w = w - 0.01
        return self.interpolate_by(x, mask, w)

    def interpolate_by(self, x, mask, w):
        return self.op("Interpolate", x, mask, self.constant(w.astype(np.float32)), domain="stipple", epsilon=1e-5)

    def output(self, *names):
        self.outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        return self

    def save(self, path):
        graph = helper.make_graph(self.nodes, path.stem, self.inputs, self.outputs, self.constants)
        known = functions.stipple_functions(self.nodes)
        model = helper.make_model(graph, functions=known, opset_imports=functions.opset_imports(known), ir_version=8)
        onnx.save(model, path)


CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@case
def two_readers(seed):
    g = Graph(seed)
    m = g.sample(g.x, 6)
    a = g.op("Relu", g.conv(g.x, 6, 8))
    return g.output(g.interpolate(a, m), g.conv(a, 8, 5))


@case
def two_masks(seed):
    g = Graph(seed)
    a = g.conv(g.x, 6, 8)
    return g.output(g.interpolate(a, g.sample(g.x, 6)), g.interpolate(a, g.sample(g.x, 6, 1.0)))


@case
def one_mask_two_kernels(seed):
    g = Graph(seed)
    m = g.sample(g.x, 6)
    a = g.conv(g.x, 6, 8)
    return g.output(g.interpolate(a, m), g.interpolate(a, m, 3, 1.0, negative=True))


@case
def sparse_and_output(seed):
    g = Graph(seed)
    a = g.conv(g.x, 6, 8, 3)
    return g.output(g.interpolate(a, g.sample(g.x, 6)), a)


@case
def mul_by_mask(seed):
    g = Graph(seed, n=2)
    m = g.sample(g.x, 6)
    return g.output(g.op("Mul", g.conv(g.x, 6, 8, 3), m), g.op("Mul", m, g.conv(g.x, 6, 5)))


@case
def where_both_ways(seed):
    g = Graph(seed)
    c = g.op("Cast", g.sample(g.x, 6), to=TensorProto.BOOL)
    a, b = g.conv(g.x, 6, 8, 3), g.conv(g.x, 6, 8)
    d, e = g.conv(g.x, 6, 8), g.conv(g.x, 6, 8, 3)
    return g.output(g.op("Where", c, a, b), g.op("Where", g.op("Not", c), d, e))


@case
def two_3x3_in_a_row(seed):
    g = Graph(seed)
    m = g.sample(g.x, 6, -1.0)
    a = g.op("Relu", g.conv(g.conv(g.conv(g.x, 6, 8, 3), 8, 20, 3), 20, 7, 3))
    return g.output(g.interpolate(a, m))


@case
def chain_under_masks(seed):
    g = Graph(seed, n=2)
    m1, m2, m3 = (g.sample(g.x, 6, b) for b in (-1.0, 0.0, -2.0))
    a = g.interpolate(g.op("Relu", g.conv(g.x, 6, 8, 3)), m1)
    a = g.interpolate(g.op("Relu", g.conv(a, 8, 16, 5)), m2)
    return g.output(g.interpolate(g.conv(a, 16, 6, 3), m3))


@case
def bottleneck(seed):
    g = Graph(seed, n=2, c=32)
    m1, m2 = g.sample(g.x, 32), g.sample(g.x, 32)
    a = g.interpolate(g.op("Relu", g.conv(g.x, 32, 8)), m1)
    a = g.interpolate(g.op("Relu", g.conv(a, 8, 8, 3)), m2)
    return g.output(g.op("Relu", g.op("Add", g.conv(a, 8, 32), g.x)))


@case
def wide_tiles(seed):
    # Rows and channels for the largest tiles, listed and not, none a multiple of them; products that fill no step.
    g = Graph(seed, h=24, w=25, c=6)
    m = g.sample(g.x, 6)
    a = g.op("Relu", g.conv(g.x, 6, 70, 3))
    a = g.interpolate(g.conv(a, 70, 68, 3), m)
    return g.output(g.op("Add", g.conv(a, 68, 68), a))


@case
def long_lists(seed):
    # More sites than one work-group takes.
    g = Graph(seed, h=110, w=115, c=4)
    a = g.conv(g.conv(g.x, 4, 4, 3), 4, 4, 3)
    return g.output(g.interpolate(a, g.sample(g.x, 4)))


@case
def stride_and_odd_sizes(seed):
    g = Graph(seed, h=15, w=10)
    m = g.sample(g.x, 6, strides=[2, 2])
    a = g.conv(g.conv(g.x, 6, 8, 3), 8, 12, 3, strides=[2, 2])
    b = g.conv(g.x, 6, 12, 1, strides=[2, 2])
    return g.output(g.op("Add", g.interpolate(a, m), b))


@case
def asymmetric_pads(seed):
    g = Graph(seed)
    a = g.conv(g.conv(g.x, 6, 8, 3), 8, 8, 3, pads=[2, 0, 0, 2])
    return g.output(g.interpolate(a, g.sample(g.x, 6)))


@case
def dilation(seed):
    g = Graph(seed)
    a = g.conv(g.conv(g.x, 6, 8), 8, 8, 3, dilations=[2, 3], pads=[2, 3, 2, 3])
    return g.output(g.interpolate(a, g.sample(g.x, 6, -1.0)))


@case
def groups_and_depthwise(seed):
    g = Graph(seed, c=12)
    a = g.conv(g.conv(g.conv(g.x, 12, 12, 3, group=12), 12, 24, 3, group=4), 24, 10)
    return g.output(g.interpolate(a, g.sample(g.x, 12)))


@case
def concat_and_slice_axis_1(seed):
    g = Graph(seed)
    a = g.op("Concat", g.conv(g.x, 6, 8), g.conv(g.x, 6, 5, 3), axis=1)
    a = g.op("Slice", a, *(g.constant(np.array([v], np.int64)) for v in (2, 11, 1)))
    b, c = g.op("Split", g.conv(a, 9, 8), outputs=2, axis=1, num_outputs=2)
    return g.output(g.interpolate(g.op("Add", b, c), g.sample(g.x, 6)))


@case
def concat_and_slice_axis_2(seed):
    g = Graph(seed)
    a = g.op("Concat", g.conv(g.x, 6, 8), g.conv(g.x, 6, 8, 3), axis=2)
    a = g.op("Slice", a, *(g.constant(np.array([v], np.int64)) for v in (5, 16, 2)))
    return g.output(g.interpolate(a, g.sample(g.x, 6)))


@case
def pooling_between(seed):
    g = Graph(seed)
    a = g.op("MaxPool", g.conv(g.x, 6, 8, 3), kernel_shape=[3, 3], pads=[1] * 4)
    b = g.op("AveragePool", g.conv(g.x, 6, 8), kernel_shape=[3, 3], pads=[1] * 4)
    return g.output(g.interpolate(g.op("Add", a, b), g.sample(g.x, 6)))


@case
def broadcast_gate(seed):
    g = Graph(seed, n=2)
    a = g.op("Relu", g.conv(g.x, 6, 8, 3))
    gate = g.op("Sigmoid", g.conv(g.op("GlobalAveragePool", g.x), 6, 8))
    return g.output(g.interpolate(g.op("Mul", a, gate), g.sample(g.x, 6)))


@case
def mask_for_all_images(seed):
    g = Graph(seed, n=3)
    m = g.constant((g.random.random((1, 1, 11, 13)) < 0.3).astype(np.float32))
    return g.output(g.interpolate(g.conv(g.conv(g.x, 6, 8, 3), 8, 8, 3), m))


@case
def combined_masks(seed):
    g = Graph(seed)
    c, d = (g.op("Cast", g.sample(g.x, 6, b), to=TensorProto.BOOL) for b in (-1.0, 1.0))
    m = g.op("Cast", g.op("Or", c, g.op("Not", d)), to=TensorProto.FLOAT)
    inverse = g.op("Sub", g.constant(np.ones(1, np.float32)), m)
    a = g.conv(g.x, 6, 8, 3)
    return g.output(g.interpolate(g.op("Identity", a), m), g.interpolate(g.conv(g.x, 6, 8), inverse))


@case
def nothing_drawn(seed):
    g = Graph(seed)
    return g.output(g.interpolate(g.conv(g.x, 6, 8, 3), g.sample(g.x, 6, -1000.0, grid=0)))


@case
def everything_drawn(seed):
    g = Graph(seed)
    return g.output(g.interpolate(g.conv(g.x, 6, 8, 3), g.sample(g.x, 6, 1000.0)))


@case
def nan_and_inf_outside(seed):
    g = Graph(seed)
    m = g.sample(g.x, 6)
    # 1 / 0 and 0 / 0 at sites that the mask does not hold
    a = g.op("Div", g.conv(g.x, 6, 8), m)
    return g.output(g.interpolate(a, m), g.op("Mul", a, m))


@case
def sums_that_underflow(seed):
    # Negative ones become -0, and so does their quotient.
    g = Graph(seed)
    a = g.op("Mul", g.conv(g.x, 6, 128), g.constant(np.float32(1e-36)))
    return g.output(g.interpolate_by(a, g.sample(g.x, 6), np.full((3, 3), 1e-11)))


@case
def boxes_of_taps(seed):
    """Kernels whose taps other than 0 fill a box larger than a word of bits, lie in a corner, or are none."""
    g = Graph(seed, h=19, w=23)
    m = g.sample(g.x, 6, -1.0)
    a = g.conv(g.x, 6, 8)
    corner, line, none = np.zeros((5, 7)), np.zeros((3, 65)), np.zeros((3, 3))
    corner[0, 5:] = 1, -2
    line[0] = np.arange(65) - 20
    kernels = [np.ones((9, 11)), np.ones((8, 8))[:7], corner, line, none]
    return g.output(*(g.interpolate_by(a, m, w if w.shape[1] % 2 else w[:, :7]) for w in kernels))


@case
def need_of_nothing(seed):
    """A convolution at sampled sites, all of whose windows read padding: the image has no lines."""
    g = Graph(seed, h=2, w=7)
    nothing = g.op("Relu", g.add_input("nothing", (1, 6, 0, 5)))
    return g.output(g.interpolate(g.conv(nothing, 6, 8, 3, pads=[2] * 4), g.sample(g.x, 6)))


@case
def masks_in_passing(seed):
    """Mask convolutions on interpolations: 9, 18, 27 and 36 columns, whole vectors of channels and not, all sites and listed ones."""
    g = Graph(seed, n=2)
    m = g.sample(g.x, 6, -0.5)
    outputs = []
    for channels, counts in ((70, (1,)), (96, (1, 1)), (5, (1, 1, 1)), (17, (4,)), (64, (3, 1))):
        y = g.op("Relu", g.interpolate(g.conv(g.x, 6, channels), m))
        outputs += [g.conv(y, channels, count, 3) for count in counts]
        listed = g.op("Relu", g.interpolate(g.conv(g.x, 6, channels), m))
        outputs += [g.op("Mul", g.conv(listed, channels, count, 3), g.sample(g.x, 6, -2.0, grid=4)) for count in counts]
    return g.output(*outputs)


@case
def drawn_masks(seed):
    """A mask convolution's sum goes on to a draw, to another tensor, to Relu; its logits are read twice; another operator makes them."""
    g = Graph(seed, n=2, h=9, w=37)

    y = g.op("Relu", g.interpolate(g.conv(g.x, 6, 32), g.sample(g.x, 6)))
    other, twice = g.conv(g.x, 6, 1), g.conv(y, 32, 1, 3)
    masks = [
        g.draw(g.conv(y, 32, 1, 3)),
        g.draw(g.op("Add", other, g.conv(y, 32, 1, 3, bias=False)), grid=2),
        g.draw(g.op("Add", g.conv(y, 32, 1, 3), other), stochastic=0, grid=5),
        g.draw(g.op("Relu", g.op("Add", g.conv(y, 32, 1, 3), other)), grid=11),
        g.draw(g.op("Relu", g.conv(y, 32, 1, 3)), stochastic=0),
        g.draw(twice, grid=3),
        g.draw(g.op("Mul", twice, other)),
    ]
    return g.output(*masks, *(g.interpolate(g.conv(g.x, 6, 5), mask) for mask in masks))


@case
def pairs_of_masks(seed):
    """Masks from one tensor that one launch may draw: three alike, with identities, of which one waits for the first mask; and others."""
    g = Graph(seed, n=2, h=5, w=19)

    def tensor():
        return g.op("Relu", g.interpolate(g.conv(g.x, 6, 16), first))

    first = g.sample(g.x, 6)
    y, z, u = tensor(), tensor(), tensor()
    a, b = g.conv(g.x, 6, 1), g.conv(g.x, 6, 1)
    masks = [g.draw(g.conv(y, 16, 1, 3), grid=3) for _ in range(3)]
    masks += [g.draw(g.op("Add", g.conv(z, 16, 1, 3), other)) for other in (a, b)]
    late = g.interpolate(g.conv(g.x, 6, 1), masks[-1])
    masks += [g.draw(g.op("Add", g.conv(z, 16, 1, 3), other)) for other in (a, late)]
    masks += [
        g.draw(g.conv(u, 16, 1, 3)),
        g.draw(g.conv(u, 16, 1, 3), grid=4),
        g.draw(g.conv(u, 16, 1, 3), stochastic=0),
        g.draw(g.conv(u, 16, 1, 3, bias=False)),
        g.draw(g.conv(u, 16, 1, 3, dilations=[2, 2], pads=[2] * 4)),
        g.draw(g.op("Relu", g.conv(u, 16, 1, 3))),
        g.draw(g.conv(u, 16, 1, 3, bias=False)),
        g.draw(g.conv(u, 16, 1)),
    ]
    smaller = [g.draw(g.conv(y, 16, 1, 3, pads=pads)) for pads in ([1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 2, 2])]
    return g.output(*masks, *smaller, *(g.interpolate(g.conv(g.x, 6, 5), mask) for mask in masks))


def outputs_in_passing(seed, **size):
    """Interpolations that are outputs and that mask convolutions read, or nobody."""
    g = Graph(seed, **size)
    m = g.sample(g.x, 6, -0.5)
    outputs = []
    for channels in (64, 21, 70):
        y = g.op("Relu", g.interpolate(g.conv(g.x, 6, channels), m))
        outputs += [y, g.conv(y, channels, 1, 3), g.op("Relu", g.interpolate(g.conv(g.x, 6, channels), m))]
    return g.output(*outputs)


@case
def outputs_in_passing_odd(seed):
    return outputs_in_passing(seed, n=1, h=11, w=13)


@case
def outputs_in_passing_odd_two(seed):
    return outputs_in_passing(seed, n=2, h=11, w=13)


@case
def outputs_in_passing_lines(seed):
    return outputs_in_passing(seed, n=2, h=12, w=16)


@case
def outputs_of_lines(seed):
    """Outputs whose sites and channels are multiples of a cache line's words, and not."""
    g = Graph(seed, n=2, h=12, w=16)
    a = g.conv(g.x, 6, 21)
    return g.output(a, g.conv(g.x, 6, 16), g.conv(g.op("MaxPool", a, kernel_shape=[2, 2], strides=[2, 1]), 21, 24))


@case
def reordered_arithmetic(seed):
    """3×3 convolutions for Winograd's algorithm: even and odd sizes, pads, all tails; beside them some that a Sample or a list forbids."""
    g = Graph(seed, n=2, h=15, w=18)
    a = g.op("Relu", g.conv(g.x, 6, 64))
    b = g.op("Relu", g.conv(a, 64, 64, 3))
    c = g.op("Relu", g.op("Add", g.conv(b, 64, 64, 3, bias=False), b))
    d = g.op("Add", a, g.conv(c, 64, 64, 3))
    e = g.conv(g.conv(d, 64, 96, 3, pads=[0] * 4), 96, 64, 3, pads=[2, 0, 1, 3])
    upstream = g.op("Relu", g.conv(a, 64, 64, 3))
    m = g.sample(upstream, 64)
    return g.output(b, d, e, g.interpolate(upstream, m), g.interpolate(g.conv(a, 64, 64, 3), m))


@case
def reordered_arithmetic_small(seed):
    g = Graph(seed, c=32, h=9, w=11)
    return g.output(g.op("Relu", g.op("Add", g.conv(g.x, 32, 32, 3), g.x)))


def random_graph(seed):
    """Convolutions, site-wise operators and masks in a random order; several outputs."""
    r = np.random.default_rng(1000 + seed)
    n, c, h, w = int(r.integers(1, 4)), int(r.integers(1, 20)), int(r.integers(3, 24)), int(r.integers(3, 24))
    g = Graph(seed, n, c, h, w)
    live = [(g.x, c)]
    masks = [g.sample(g.x, c, float(r.normal()), int(r.integers(0, 6))) for _ in range(2)]
    for _ in range(int(r.integers(4, 12))):
        x, channels = live[int(r.integers(len(live)))]
        kind = r.choice(["conv", "conv3", "relu", "interpolate", "mul", "add", "gate", "mask"])
        if kind in ("conv", "conv3"):
            co = int(r.choice([1, 3, 7, 16, 17, 33]))
            live.append((g.conv(x, channels, co, 3 if kind == "conv3" else 1), co))
        elif kind == "relu":
            live.append((g.op("Relu", x), channels))
        elif kind == "interpolate":
            live.append((g.interpolate(x, masks[int(r.integers(len(masks)))], int(r.choice([1, 3, 7]))), channels))
        elif kind == "mul":
            live.append((g.op("Mul", x, masks[int(r.integers(len(masks)))]), channels))
        elif kind == "add":
            same = [name for name, count in live if count == channels]
            live.append((g.op("Add", x, same[int(r.integers(len(same)))]), channels))
        elif kind == "gate":
            live.append((g.op("Mul", x, g.constant(r.normal(size=(channels, 1, 1)).astype(np.float32))), channels))
        else:
            masks.append(g.sample(x, channels, float(r.normal())))
    made = [name for name, _ in live[1:]]
    return g.output(*([made[-1]] + [name for name in made[:-1] if r.random() < 0.15]))


FEW = ["bottleneck", "wide_tiles", "groups_and_depthwise", "stride_and_odd_sizes", "pooling_between", "broadcast_gate", "boxes_of_taps",
       "masks_in_passing", "drawn_masks", "pairs_of_masks", "outputs_in_passing_odd", "outputs_in_passing_lines", "reordered_arithmetic_small"]
REPORTS = ["Oclgrind -", "OCLGRIND", "Data race", "Invalid "]  # how Oclgrind's messages begin


def make_models(folder, few):
    paths = []
    for name in FEW if few else CASES:
        paths.append(folder / f"{name}.onnx")
        CASES[name](len(paths) - 1).save(paths[-1])
    for seed in range(0 if few else 40):
        paths.append(folder / f"random_{seed}.onnx")
        random_graph(seed).save(paths[-1])
    return paths


def main():
    arguments = sys.argv[1:]
    few = arguments[:1] == ["--few"]
    arguments = arguments[few:]
    if not arguments:
        sys.exit("usage: test_regions.py [--few] COMPARE_MODEL [ARGUMENT...]")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_models(pathlib.Path(folder), few)
        done = subprocess.run([*arguments, *paths], check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="")
    if done.returncode < 0:
        sys.exit(f"{arguments[0]} was ended by signal {-done.returncode}")
    if any(report in done.stdout for report in REPORTS):
        sys.exit("Oclgrind reports an error: see above")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
