# SPDX-License-Identifier: Apache-2.0
"""Cases of test_bits.py: networks whose tensors are read at some sites only, made to break regions and row lists (DESIGN.md, Regions)."""
import numpy
from onnx import helper

F32 = numpy.float32


class Net:
    """A graph under construction. Values are names; `shapes` has those of feature tensors (rank 4)."""

    def __init__(self, cases, n, c, h, w):
        self.cases, self.random, self.pick = cases, cases.random, cases.pick
        self.nodes, self.inputs, self.constants, self.outputs, self.shapes = [], {}, {}, {}, {}
        self.streams = 0
        self.n = n
        self.x = self.input('x', cases.values('f', (n, c, h, w), special=False))

    def name(self):
        return f'v{len(self.nodes)}_{len(self.constants)}'

    def input(self, name, value):
        self.inputs[name] = value
        self.shapes[name] = value.shape
        return name

    def constant(self, value):
        name = f'k{len(self.constants)}'
        self.constants[name] = numpy.asarray(value)
        return name

    def node(self, op, *inputs, shape=None, **attributes):
        name = self.name()
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f'{op}_{name}', **attributes))
        self.shapes[name] = shape or self.shapes[inputs[0]]
        return name

    def output(self, *values, code='f'):
        for value in values:
            self.outputs[value] = code

    def case(self, name):
        return self.cases.case(name, self.nodes, self.inputs, self.outputs, 18, constants=self.constants)

    def small(self, *shape):
        return self.constant(self.random.standard_normal(shape).astype(F32))

    # Operators --------------------------------------------------------------------------------------------------------

    def conv(self, x, channels=None, kernel=(1, 1), stride=(1, 1), dilation=(1, 1), pads=None, group=1, bias=None):
        n, c, h, w = self.shapes[x]
        channels = channels or int(self.random.integers(1, 20))
        if group == c > 1:
            channels = c
        pads = [kernel[0] // 2 * dilation[0], kernel[1] // 2 * dilation[1]] * 2 if pads is None else pads
        size = [(side + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i, side in enumerate((h, w))]
        weights = self.random.standard_normal((channels, c // group, *kernel)) / (c // group * kernel[0] * kernel[1]) ** 0.5
        operands = [x, self.constant(weights.astype(F32))]
        if bias if bias is not None else self.random.random() < 0.5:
            operands.append(self.small(channels))
        return self.node('Conv', *operands, shape=(n, channels, *size), kernel_shape=list(kernel), strides=list(stride), pads=list(pads),
                         dilations=list(dilation), group=group)

    def relu(self, x):
        return self.node('Relu', x)

    def mask(self, h, w, density, images=None, name=None):
        """A graph input that is used as a mask."""
        images = images or self.n
        sites = self.random.random((images, 1, h, w))
        if density == 'one':
            drawn = sites == sites.max()
        elif density == 'clustered':
            drawn = numpy.broadcast_to((numpy.arange(h)[:, None] < h // 2) & (numpy.arange(w) > w // 3), sites.shape)
        else:
            drawn = sites < density
        return self.input(name or f'm{len(self.inputs)}', drawn.astype(F32))

    def sample(self, x, bias=0.0, stochastic=1, grid=0):
        """A mask convolution and a draw."""
        c = self.shapes[x][1]
        weights = self.random.standard_normal((1, c, 3, 3)) * 3 / (9 * c) ** 0.5
        logits = self.node('Conv', x, self.constant(weights.astype(F32)), self.constant(numpy.array([bias], F32)),
                           shape=(self.shapes[x][0], 1, *self.shapes[x][2:]), pads=[1, 1, 1, 1])
        if 'seed' not in self.inputs:
            self.input('seed', self.random.integers(0, 1000, self.pick(1, self.n)))
        self.streams += 1
        return self.node('Sample', logits, 'seed', domain='stipple', stochastic=stochastic, stream=self.streams, grid=grid)

    def interpolate(self, x, mask, side=3, width=2.0):
        reach = numpy.arange(side) - side // 2
        weights = width**2 / (2 * numpy.pi) * numpy.exp(-width**2 / 2 * (reach[:, None] ** 2 + reach**2))
        return self.node('Interpolate', x, mask, self.constant(weights.astype(F32)), domain='stipple', epsilon=1e-5)

    def boolean(self, mask):
        return self.node('Greater', mask, self.constant(F32(0.5)))

    def where(self, mask, a, b):
        return self.node('Where', self.boolean(mask), a, b, shape=self.shapes[a])

    def concat(self, a, b, axis=1):
        shape = list(self.shapes[a])
        shape[axis] += self.shapes[b][axis]
        return self.node('Concat', a, b, shape=tuple(shape), axis=axis)

    def slice(self, x, axis, start, end, step=1):
        shape = list(self.shapes[x])
        shape[axis] = len(range(shape[axis])[start:end:step])
        ints = (self.constant(numpy.array([i])) for i in (start, end, axis, step))
        return self.node('Slice', x, *ints, shape=tuple(shape))

    def gate(self, x):
        """Squeeze and excitation: one number per image and channel."""
        n, c = self.shapes[x][:2]
        mean = self.node('GlobalAveragePool', x, shape=(n, c, 1, 1))
        return self.node('Mul', x, self.node('Sigmoid', self.conv(mean, c)))


class RegionCases:
    """To be mixed into Cases."""

    # Small graphs, one trap each ----------------------------------------------------------------------------------------
    # Each takes a Net and a mask of x's size, and names the outputs.

    @staticmethod
    def graph_block(net, m):
        y = net.relu(net.conv(net.x, 8))
        y = net.interpolate(y, m)
        y = net.relu(net.conv(y, 5, (3, 3)))
        y = net.interpolate(y, m, 7)
        net.output(net.relu(net.node('Add', net.conv(y, net.shapes[net.x][1]), net.x)))

    @staticmethod
    def graph_two_readers(net, m):
        y = net.relu(net.conv(net.x, 6))
        net.output(net.interpolate(y, m), net.node('Sigmoid', y))

    @staticmethod
    def graph_two_lists(net, m):
        other = net.mask(*net.shapes[net.x][2:], 0.4)
        y = net.conv(net.x, 6)
        net.output(net.interpolate(y, m), net.interpolate(y, other, 5))

    @staticmethod
    def graph_one_list_twice(net, m):
        y = net.relu(net.conv(net.x, 6))
        net.output(net.interpolate(y, m, 3), net.interpolate(y, m, 5), net.node('Mul', m, y))

    @staticmethod
    def graph_output_too(net, m):
        y = net.relu(net.conv(net.x, 6))
        net.output(y, net.interpolate(y, m))

    @staticmethod
    def graph_mul(net, m):
        net.output(net.node('Mul', net.conv(net.x, 7), net.node('Identity', m)), net.interpolate(net.x, m))
        net.output(net.node('Mul', m, net.conv(net.x, 3, (3, 3)), shape=None))

    @staticmethod
    def graph_where(net, m):
        a, b = net.conv(net.x, 6, (3, 3)), net.relu(net.conv(net.x, 6))
        net.output(net.where(m, a, b), net.where(m, net.conv(net.x, 4), net.constant(F32(0.5))), net.interpolate(net.x, m))

    @staticmethod
    def graph_where_turned(net, m):
        a, b = net.conv(net.x, 6, (3, 3)), net.relu(net.conv(net.x, 6))
        net.output(net.where(net.node('Sub', net.constant(F32(1)), m, shape=net.shapes[m]), a, b), net.interpolate(b, m))

    @staticmethod
    def graph_where_of_lists(net, m):
        other = net.mask(*net.shapes[net.x][2:], 0.5)
        y = net.where(other, net.conv(net.x, 6, (3, 3)), net.relu(net.conv(net.x, 6)))
        net.output(net.interpolate(y, m), net.interpolate(net.x, other))

    @staticmethod
    def graph_masks_in_masks(net, m):
        other = net.mask(*net.shapes[net.x][2:], 0.6)
        both = net.node('Mul', m, other)
        y = net.node('Mul', net.node('Mul', net.conv(net.x, 6), other), m)
        either = net.node('Max', net.node('Min', m, other), net.node('Cast', net.node('Not', net.boolean(both)), to=1))
        net.output(net.interpolate(y, both), net.interpolate(net.conv(net.x, 3), either), net.interpolate(net.x, other))

    @staticmethod
    def graph_two_windows(net, m):
        y = net.conv(net.relu(net.conv(net.relu(net.conv(net.x, 6)), 5, (3, 3))), 4, (3, 3))
        net.output(net.interpolate(y, m))

    @staticmethod
    def graph_chain_of_masks(net, m):
        h, w = net.shapes[net.x][2:]
        y = net.interpolate(net.conv(net.x, 6, (3, 3)), net.mask(h, w, 0.5))
        y = net.interpolate(net.conv(y, 5, (5, 3)), net.mask(h, w, 0.3), 5)
        net.output(net.interpolate(net.conv(y, 4, (3, 3)), m))

    @staticmethod
    def graph_stride(net, m):
        y = net.conv(net.interpolate(net.conv(net.x, 6), m), 5, (3, 3), (2, 2))
        small = net.mask(*net.shapes[y][2:], 0.4)
        net.output(net.interpolate(net.relu(y), small))

    @staticmethod
    def graph_uneven(net, m):
        y = net.conv(net.relu(net.conv(net.x, 6)), 5, (2, 3), (2, 3), (1, 1), (0, 2, 1, 1))
        if min(net.shapes[y]) > 0:
            net.output(net.interpolate(y, net.mask(*net.shapes[y][2:], 0.4)))
        net.output(net.interpolate(net.x, m))

    @staticmethod
    def graph_pointwise_with_pads(net, m):
        y = net.conv(net.relu(net.conv(net.x, 6)), 5, (1, 1), (1, 1), (1, 1), (1, 1, 1, 1))
        net.output(net.interpolate(y, net.mask(*net.shapes[y][2:], 0.4)), net.interpolate(net.x, m))

    @staticmethod
    def graph_dilation(net, m):
        net.output(net.interpolate(net.conv(net.relu(net.conv(net.x, 6)), 5, (3, 3), (1, 1), (2, 3)), m))

    @staticmethod
    def graph_depthwise(net, m):
        y = net.relu(net.conv(net.x, 12))
        y = net.relu(net.conv(y, 12, (3, 3), group=12))
        net.output(net.interpolate(net.conv(net.conv(y, 8, (3, 3), group=4), 5), m))

    @staticmethod
    def graph_concat_slice(net, m):
        a, b = net.relu(net.conv(net.x, 3)), net.conv(net.x, 5)
        y = net.slice(net.concat(a, b), 1, -1, 1, -2)
        net.output(net.interpolate(net.concat(y, net.concat(a, net.x)), m))

    @staticmethod
    def graph_split(net, m):
        y = net.relu(net.conv(net.x, 9))
        parts = ['p0', 'p1', 'p2']
        net.nodes.append(helper.make_node('Split', [y, net.constant(numpy.array([2, 3, 4]))], parts, axis=1, name='split'))
        for part, c in zip(parts, (2, 3, 4)):
            net.shapes[part] = (net.n, c, *net.shapes[y][2:])
        net.output(net.interpolate(parts[0], m), net.interpolate(parts[2], m), net.node('Mul', parts[1], m))
        net.output(net.interpolate(net.conv(parts[1], 3), net.mask(*net.shapes[y][2:], 0.4)))

    @staticmethod
    def graph_sites_moved(net, m):
        h = net.shapes[net.x][2]
        y = net.concat(net.slice(net.conv(net.x, 4), 2, h // 2, h), net.slice(net.relu(net.conv(net.x, 4)), 2, 0, h // 2), 2)
        net.output(net.interpolate(net.slice(y, 3, -1, -100, -1), m))

    @staticmethod
    def graph_pool(net, m):
        y = net.node('MaxPool', net.relu(net.conv(net.x, 6)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        y = net.node('AveragePool', net.conv(y, 5), kernel_shape=[3, 1], pads=[1, 0, 1, 0], count_include_pad=1)
        net.output(net.interpolate(net.relu(y), m))

    @staticmethod
    def graph_gate(net, m):
        c = net.shapes[net.x][1]
        y = net.gate(net.relu(net.conv(net.x, 6)))
        line = net.small(1, 1, 1, net.shapes[net.x][3])
        y = net.node('Add', net.node('Mul', y, net.small(6, 1, 1)), line)
        y = net.node('Mul', y, net.node('Sigmoid', net.conv(net.x, 1)))
        y = net.node('Sub', net.constant(F32(2)), net.node('Div', y, net.small(net.n, 6, 1, 1)), shape=net.shapes[y])
        net.output(net.interpolate(net.conv(y, c), m))

    @staticmethod
    def graph_mean_of_list(net, m):
        y = net.relu(net.conv(net.x, 6))
        net.output(net.node('GlobalAveragePool', net.interpolate(y, m), shape=(net.n, 6, 1, 1)), net.node('Mul', y, m))

    @staticmethod
    def graph_one_mask_for_all(net, m):
        one = net.mask(*net.shapes[net.x][2:], 0.4, images=1)
        y = net.conv(net.relu(net.conv(net.x, 6)), 5, (3, 3))
        net.output(net.interpolate(y, one), net.node('Mul', net.conv(net.x, 3), one), net.where(one, net.conv(net.x, 3), net.small(3, 1, 1)))
        net.output(net.interpolate(net.x, m))

    @staticmethod
    def graph_batchnorm(net, m):
        y = net.conv(net.x, 6)
        spread = net.constant(numpy.abs(net.random.standard_normal(6)).astype(F32) + F32(0.1))
        y = net.node('BatchNormalization', net.relu(y), net.small(6), net.small(6), net.small(6), spread)
        net.output(net.interpolate(net.node('Max', y, net.conv(net.x, 6), net.constant(F32(-0.5))), m))

    @staticmethod
    def graph_reshape(net, m):
        n, _, h, w = net.shapes[net.x]
        y = net.node('Reshape', net.conv(net.x, 6), net.constant(numpy.array([n, 3, h, 2 * w])), shape=(n, 3, h, 2 * w))
        net.output(net.interpolate(y, net.mask(h, 2 * w, 0.4)), net.interpolate(net.conv(net.x, 4), m))
        flat = net.node('Flatten', net.interpolate(net.conv(net.x, 3), m), axis=1)
        net.output(flat)

    @staticmethod
    def graph_drawn(net, m):
        y = net.relu(net.conv(net.x, 6))
        drawn = net.sample(net.x, grid=3)
        y = net.interpolate(y, drawn)
        again = net.sample(y, 1.0)
        net.output(net.interpolate(net.conv(y, 5, (3, 3)), again, 5), net.interpolate(net.x, m), drawn)

    @staticmethod
    def graph_mask_late(net, m):
        """The mask is computed after what it selects, in the file's order."""
        y = net.relu(net.conv(net.x, 6))
        z = net.conv(net.conv(net.x, 4), 3, (3, 3))
        net.output(net.interpolate(y, net.sample(z), 3), net.interpolate(net.x, m))

    @staticmethod
    def graph_poisoned_input(net, m):
        """NaN and Inf where the mask is 0 must not show."""
        x = net.inputs[net.x]
        hidden = numpy.broadcast_to(net.inputs[m] == 0, x.shape)
        net.inputs[net.x] = numpy.where(hidden, net.random.choice(numpy.array([numpy.nan, numpy.inf, -numpy.inf], F32), x.shape), x)
        net.output(net.interpolate(net.relu(net.conv(net.x, 5)), m), net.interpolate(net.x, m), net.node('Mul', net.x, m))
        net.output(net.where(m, net.node('Sub', net.x, net.x), net.constant(F32(1))))

    def regions(self):
        graphs = [(name, getattr(self, name)) for name in dir(self) if name.startswith('graph_')]
        for name, graph in graphs:
            for density in (0, 'one', 0.3, 'clustered', 1):
                n, c = self.pick(1, 1, 3), int(self.random.integers(1, 10))
                h, w = (int(side) for side in self.random.integers(3, 18, 2))
                net = Net(self, n, c, h, w)
                graph(net, net.mask(h, w, density))
                yield net.case(f'{name[6:]} {(n, c, h, w)} density {density}')

    # Random networks ------------------------------------------------------------------------------------------------------

    def networks(self):
        for i in range(60):
            net = Net(self, self.pick(1, 1, 2, 3), int(self.random.integers(1, 24)), *(int(s) for s in self.random.integers(1, 24, 2)))
            grow(net, int(self.random.integers(4, 30)))
            yield net.case(f'network {i} {net.shapes[net.x]}')


def grow(net, count):
    """Adds operators, most of them behind the newest value, so that long chains are read at sampled sites only."""
    values, masks = [net.x], [net.mask(*net.shapes[net.x][2:], 0.4)]
    net.output(net.interpolate(net.x, masks[0]))
    for _ in range(count):
        x = values[-1] if net.random.random() < 0.75 else str(net.random.choice(values))
        made = add_operator(net, x, values, masks)
        if made is not None:
            (masks if net.nodes[-1].op_type == 'Sample' else values).append(made)
    net.output(values[-1])
    if net.random.random() < 0.3:
        net.output(str(net.random.choice(values[1:] or [values[-1]])))
    net.outputs.pop(net.x, None)
    if not net.outputs:
        net.output(net.relu(net.x))


def add_operator(net, x, values, masks):
    """The name of what was added, or None if the operator does not fit."""
    n, c, h, w = net.shapes[x]
    same = [v for v in values if net.shapes[v] == net.shapes[x]]
    sized = [v for v in values if net.shapes[v][0] == n and net.shapes[v][2:] == (h, w)]
    fitting = [m for m in masks if net.shapes[m][2:] == (h, w)]
    kind = net.pick('pointwise', 'pointwise', 'conv', 'conv', 'depthwise', 'relu', 'relu', 'binary', 'binary', 'constant', 'gate', 'plane', 'sample',
                    'mask', 'interpolate', 'interpolate', 'interpolate', 'mul', 'where', 'concat', 'slice', 'rows', 'pool', 'batchnorm', 'identity')
    if kind in ('interpolate', 'mul', 'where') and not fitting:
        kind = 'sample'
    m = str(net.random.choice(fitting)) if fitting else None
    if kind == 'pointwise':
        return net.conv(x)
    if kind == 'conv':
        kernel = tuple(int(k) for k in net.random.integers(1, 4, 2))
        stride = net.pick((1, 1), (1, 1), (2, 2), (2, 1))
        dilation = net.pick((1, 1), (1, 1), (2, 1))
        pads = [int(p) for p in net.random.integers(0, 3, 4)]
        if any(side + pads[i] + pads[i + 2] <= (kernel[i] - 1) * dilation[i] for i, side in enumerate((h, w))):
            return None
        return net.conv(x, None, kernel, stride, dilation, pads)
    if kind == 'depthwise':
        return net.conv(x, c, (3, 3), group=c)
    if kind == 'relu':
        return net.node(net.pick('Relu', 'Relu', 'Sigmoid'), x)
    if kind == 'binary':
        return net.node(net.pick('Add', 'Add', 'Sub', 'Min', 'Max'), x, str(net.random.choice(same)))
    if kind == 'constant':
        return net.node(net.pick('Add', 'Mul', 'Max'), x, net.small(*net.pick((1, c, 1, 1), (c, 1, 1), (), (1,), (h, w), (1, 1, 1, w))))
    if kind == 'gate':
        return net.gate(x)
    if kind == 'plane':
        return net.node('Mul', x, net.node('Sigmoid', net.conv(str(net.random.choice(sized)), 1)))
    if kind == 'sample':
        return net.sample(str(net.random.choice(sized)), float(net.random.normal()), net.pick(0, 1, 1), net.pick(0, 0, 5))
    if kind == 'mask':
        masks.append(net.mask(h, w, float(net.random.random()), images=net.pick(1, n)))
        net.output(net.interpolate(x, masks[-1]))
        return None
    if kind == 'interpolate':
        return net.interpolate(x, m, net.pick(1, 3, 5, 7), net.pick(0.5, 2.0, 3.0))
    if kind == 'mul':
        return net.node('Mul', *net.pick((x, m), (m, x)), shape=net.shapes[x])
    if kind == 'where':
        return net.where(m, *net.pick((x, str(net.random.choice(same))), (x, net.constant(F32(1)))))
    if kind == 'concat':
        return net.concat(x, str(net.random.choice(sized)))
    if kind == 'slice':
        return net.slice(x, 1, int(net.random.integers(0, c)), c)
    if kind == 'rows':
        return net.slice(x, 2, int(net.random.integers(0, h)), h) if h > 1 else None
    if kind == 'pool':
        return net.node('MaxPool', x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    if kind == 'batchnorm':
        return net.node('BatchNormalization', x, net.small(c), net.small(c), net.small(c), net.constant(numpy.full(c, 0.5, F32)))
    return net.node('Identity', x)


REGION_FAMILIES = ['regions', 'networks']
