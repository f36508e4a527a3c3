# SPDX-License-Identifier: Apache-2.0
"""Cases of test_ops.py: convolution, pooling, Gemm, BatchNormalization, Sample and Interpolate."""
import numpy
from onnx import helper

from runners import Case  # noqa: F401 (the first to fail without onnxruntime)

node = helper.make_node
F32 = numpy.float32


class ImageCases:
    """To be mixed into Cases, which has `random`, `pick`, `values` and `case`."""

    def image(self, n, c, h, w, special=False):
        return self.values('f', (n, c, h, w), special=special)

    def small(self, *shape):
        return self.random.standard_normal(shape).astype(F32)

    def window(self, opset_of_dilation, opset, largest=4):
        """kernel, strides, dilations and attributes of a window with padding less than the kernel."""
        kernel = [int(k) for k in self.random.integers(1, largest + 1, 2)]
        attributes = {}
        if self.random.random() < 0.7:
            attributes['strides'] = [int(s) for s in self.random.integers(1, 4, 2)]
        dilation = [1, 1]
        if opset >= opset_of_dilation and self.random.random() < 0.4:
            dilation = attributes['dilations'] = [int(d) for d in self.random.integers(1, 4, 2)]
        how = self.pick('pads', 'pads', 'none', 'VALID', 'SAME_UPPER', 'SAME_LOWER')
        if how == 'pads':
            attributes['pads'] = [int(self.random.integers(0, kernel[i % 2])) for i in range(4)]
        elif how != 'none':
            attributes['auto_pad'] = how
            if how != 'VALID':  # ONNX Runtime takes no dilation with these
                attributes.pop('dilations', None)
                dilation = [1, 1]
                # Its pools crop, or refuse, where the stride is larger than the kernel; its Conv does not.
                attributes['strides'] = [min(pair) for pair in zip(attributes.get('strides', [1, 1]), kernel)]
        least = [(kernel[a] - 1) * dilation[a] + 1 for a in range(2)]
        return kernel, least, attributes

    # Convolution ----------------------------------------------------------------------------------------------------

    def conv(self):
        for opset in (6, 11, 13, 22):
            for _ in range(25):
                kernel, least, attributes = self.window(1, opset)
                group = int(self.pick(1, 1, 2, 3, 8))
                each_in, each_out = int(self.pick(1, 2, 3, 17)), int(self.pick(1, 2, 3, 5, 16))
                h, w = (int(size + self.random.integers(0, 9)) for size in least)
                inputs = {'x': self.image(int(self.pick(1, 1, 3)), group * each_in, h, w)}
                constants = {'w': self.small(group * each_out, each_in, *kernel)}
                if self.random.random() < 0.5:
                    constants['b'] = self.small(group * each_out)
                if self.random.random() < 0.5:
                    attributes['kernel_shape'] = kernel
                if group > 1 or self.random.random() < 0.3:
                    attributes['group'] = group
                yield self.case(f'Conv {inputs["x"].shape} {constants["w"].shape} {attributes}',
                                [node('Conv', ['x', *constants], ['y'], **attributes)], inputs, {'y': 'f'}, opset,
                                constants=constants, tolerance=2e-6)

    def conv_batchnorm(self):
        """Folded into the convolution, and alone where something else reads what it reads."""
        for opset, alone in ((7, False), (9, True), (14, False), (15, True)):
            for ratio in (1, 5):
                channels = int(self.pick(2, 4, 7))
                names = ['scale', 'shift', 'mean', 'variance']
                constants = {'w': self.small(channels * ratio, 3, 3, 3), **{name: self.small(channels * ratio) for name in names}}
                constants['variance'] = constants['variance'] ** 2 + F32(0.01)
                attributes = {'epsilon': float(self.pick(1e-5, 1e-3))} if self.random.random() < 0.7 else {}
                nodes = [node('Conv', ['x', 'w'], ['c'], pads=[1, 1, 1, 1]), node('BatchNormalization', ['c', *names], ['y'], **attributes)]
                yield self.case(f'BatchNormalization behind Conv, {"not " * alone}folded', nodes, {'x': self.image(2, 3, 5, 6)},
                                {'y': 'f', **({'c': 'f'} if alone else {})}, opset, constants=constants, tolerance=3e-6)
        constants = {'w': self.small(5, 3, 3, 3), **{name: self.small(5) for name in names}, 'variance': numpy.full(5, 0.5, F32)}
        nodes = [node('Conv', ['x', 'w'], ['c']), node('BatchNormalization', ['c', *names], ['b']),
                 node('BatchNormalization', ['b', *names], ['y'])]
        yield self.case('two BatchNormalization behind Conv', nodes, {'x': self.image(2, 3, 5, 6)}, {'y': 'f'}, 15,
                        constants=constants, tolerance=3e-6)

    def batchnorm(self):
        for opset in (7, 9, 14, 15, 22):
            for shape in ((2, 3), (1, 4, 5), (2, 3, 4, 5), (1, 2, 3, 2, 2)):
                names = ['scale', 'shift', 'mean', 'variance']
                constants = {name: self.small(shape[1]) for name in names}
                constants['variance'] = constants['variance'] ** 2
                yield self.case(f'BatchNormalization {shape}', [node('BatchNormalization', ['x', *names], ['y'], epsilon=1e-3)],
                                {'x': self.values('f', shape, special=False)}, {'y': 'f'}, opset, constants=constants, tolerance=1e-6)

    # Pooling --------------------------------------------------------------------------------------------------------

    def pool(self):
        for op, opset in (('MaxPool', 6), ('MaxPool', 8), ('MaxPool', 10), ('MaxPool', 11), ('MaxPool', 12), ('MaxPool', 22),
                          ('AveragePool', 6), ('AveragePool', 7), ('AveragePool', 10), ('AveragePool', 11), ('AveragePool', 19),
                          ('AveragePool', 22)):
            average = op == 'AveragePool'
            for _ in range(25):
                kernel, least, attributes = self.window(19 if average else 10, opset)
                if opset >= 10 and self.random.random() < 0.4 and 'auto_pad' not in attributes:
                    attributes['ceil_mode'] = 1
                if average and opset >= 7 and self.random.random() < 0.4:
                    attributes['count_include_pad'] = 1
                h, w = (int(size + self.random.integers(0, 9)) for size in least)
                yield self.case(f'{op} {h}×{w} {kernel} {attributes}', [node(op, ['x'], ['y'], kernel_shape=kernel, **attributes)],
                                {'x': self.image(int(self.pick(1, 3)), int(self.pick(1, 5)), h, w)}, {'y': 'f'},
                                opset, tolerance=1e-6 if average else 0)

    def pool_special(self):
        """NaN passes through MaxPool (ONNX Runtime drops some), Inf and both zeros through both."""
        nan, inf = F32('nan'), F32('inf')
        x = numpy.array([[[[1, nan, 2, -inf], [0, 3, -1, -inf], [-5, -6, inf, 1], [-7, -8, 2, nan]]]], F32)
        yield self.case('MaxPool special', [node('MaxPool', ['x'], ['y'], kernel_shape=[2, 2], strides=[2, 2])], {'x': x}, {'y': 'f'}, 12,
                        want={'y': numpy.array([[[[nan, 2], [-5, nan]]]], F32)})
        yield self.case('AveragePool special', [node('AveragePool', ['x'], ['y'], kernel_shape=[2, 2], strides=[2, 2])], {'x': x},
                        {'y': 'f'}, 12, want={'y': numpy.array([[[[nan, -inf], [-6.5, nan]]]], F32)})

    def global_pool(self):
        for opset, (h, w) in zip((6, 13, 22, 22, 22, 22, 22), ((1, 1), (7, 7), (8, 8), (5, 13), (64, 1), (1, 129), (30, 41))):
            yield self.case(f'GlobalAveragePool {h}×{w}', [node('GlobalAveragePool', ['x'], ['y'])], {'x': self.image(2, 5, h, w)},
                            {'y': 'f'}, opset, tolerance=1e-6)

    # Gemm -----------------------------------------------------------------------------------------------------------

    def gemm(self):
        for opset in (7, 9, 11, 13):
            for trans_a, trans_b in ((0, 0), (0, 1), (1, 0), (1, 1)):
                for _ in range(4):
                    m, k, n = int(self.pick(1, 1, 3, 8)), int(self.pick(1, 2, 65, 300)), int(self.pick(1, 2, 17, 33, 100))
                    attributes = {'transA': trans_a} if trans_a else {}
                    if trans_b or self.random.random() < 0.3:
                        attributes['transB'] = trans_b
                    if self.random.random() < 0.4:
                        attributes['alpha'] = float(self.random.standard_normal())
                    if self.random.random() < 0.4:
                        attributes['beta'] = float(self.pick(0.0, -2.5, 0.3))
                    constants = {'b': self.small(*((n, k) if trans_b else (k, n)))}
                    c = self.pick((), (1,), (n,), (1, n), (m, 1), (m, n), (1, 1), *([None] if opset >= 11 else []))
                    if c is not None:
                        constants['c'] = self.small(*c)
                    yield self.case(f'Gemm {m}×{k}×{n} C {c} {attributes}', [node('Gemm', ['a', *constants], ['y'], **attributes)],
                                    {'a': self.small(*((k, m) if trans_a else (m, k)))}, {'y': 'f'}, opset, constants=constants,
                                    tolerance=3e-6)

    # Sample and Interpolate -----------------------------------------------------------------------------------------

    def sample(self):
        nan, inf = F32('nan'), F32('inf')
        for n, h, w in ((1, 1, 1), (1, 7, 13), (3, 16, 9), (2, 33, 40)):
            for stochastic, grid in ((1, 0), (1, 3), (0, 0), (0, 11)):
                logits = (self.small(n, 1, h, w) * F32(3)).astype(F32)
                logits.flat[:4] = [nan, inf, -inf, -0.0][:logits.size]
                logits = numpy.roll(logits, 1, 3)  # off the grid
                seeds = self.random.integers(-2**63, 2**63 - 1, self.pick(1, n)) if self.random.random() < 0.7 else numpy.array([0])
                stream = int(self.pick(0, 1, 17, 2**31 - 1))
                yield self.case(f'Sample {logits.shape} stream {stream} grid {grid} stochastic {stochastic}',
                                [node('Sample', ['x', 'seed'], ['y'], domain='stipple', stochastic=stochastic, stream=stream, grid=grid)],
                                {'x': logits, 'seed': seeds}, {'y': 'f'}, 18)

    def interpolate(self):
        """Where the mask is 0, x holds anything; weights of both signs, whose sums stay away from 0."""
        for n, c, h, w in ((1, 1, 1, 1), (2, 3, 5, 7), (1, 5, 12, 9), (3, 16, 8, 8), (1, 33, 6, 11)):
            for kernel in ((1, 1), (3, 3), (7, 7), (1, 5), (5, 3)):
                density, shared = float(self.pick(0, 0.02, 0.3, 0.9, 1)), bool(self.pick(False, True))
                draws = self.random.random((1 if shared else n, 1, h, w)).astype(F32)
                weight = numpy.abs(self.small(*kernel)) * self.pick(1, 1, 30)
                if self.random.random() < 0.3:
                    weight = weight + F32(0.5)
                    weight.flat[0] = -weight.flat[0] / 4
                weight = weight.astype(F32)
                mask = draws < density
                x = numpy.where(mask, self.image(n, c, h, w), self.values('f', (n, c, h, w))).astype(F32)
                nodes = [node('Less', ['draws', 'density'], ['m']), node('Cast', ['m'], ['mask'], to=1),
                         node('Interpolate', ['x', 'mask', 'weight'], ['y'], domain='stipple', epsilon=1e-5)]
                yield self.case(f'Interpolate {x.shape} mask {mask.shape} density {density} weight {kernel}', nodes,
                                {'x': x, 'draws': draws}, {'y': 'f'}, 18, constants={'density': F32(density), 'weight': weight},
                                tolerance=3e-6)

    # Errors ---------------------------------------------------------------------------------------------------------

    def image_errors(self):
        x, w, seed = self.image(1, 4, 6, 6), self.small(5, 4, 3, 3), numpy.array([0])
        nan = w.copy()
        nan[1, 2, 0, 1] = F32('nan')
        zero_to_one = self.random.random((1, 1, 6, 6)).astype(F32)

        def bad(parts, op, inputs, constants=None, opset=13, outputs=1, **attributes):
            domain = 'stipple' if op in ('Sample', 'Interpolate') else ''
            made = node(op, [*inputs, *(constants or {})], [f'y{i}' for i in range(outputs)], name='guilty', domain=domain, **attributes)
            return self.case(f'error {op} {parts}', [made], inputs, {'y0': 'f'}, 18 if domain else opset, constants=constants,
                             error=['guilty', *parts])

        yield bad(["'w'", 'constant'], 'Conv', {'x': x, 'w': w})
        yield bad(["'w'", 'nan'], 'Conv', {'x': x}, {'w': nan})
        yield bad(["'w'", 'rank 3'], 'Conv', {'x': x[0]}, {'w': w[0]})
        yield bad(['4×6×6'], 'Conv', {'x': x[0]}, {'w': w})
        yield bad(['4 channels'], 'Conv', {'x': x}, {'w': w[:, :3].copy()})
        yield bad(['groups'], 'Conv', {'x': x}, {'w': w}, group=2)
        yield bad(['groups'], 'Conv', {'x': x}, {'w': w}, group=0)
        yield bad(['kernel_shape'], 'Conv', {'x': x}, {'w': w}, kernel_shape=[3, 1])
        yield bad(['bias'], 'Conv', {'x': x}, {'w': w, 'b': self.small(4)})
        yield bad(['strides'], 'Conv', {'x': x}, {'w': w}, strides=[0, 1])
        yield bad(['strides', '2-D'], 'Conv', {'x': x}, {'w': w}, strides=[1, 1, 1])
        yield bad(['pads', '-1'], 'Conv', {'x': x}, {'w': w}, pads=[0, 0, -1, 0])
        yield bad(['auto_pad', 'SAME'], 'Conv', {'x': x}, {'w': w}, auto_pad='SAME')
        yield bad(['too small'], 'Conv', {'x': x}, {'w': w}, dilations=[1, 4])
        yield bad(['kernel_shape'], 'MaxPool', {'x': x})
        yield bad(["'y1'"], 'MaxPool', {'x': x}, outputs=2, kernel_shape=[2, 2])
        yield bad(['padding', '2'], 'MaxPool', {'x': x}, kernel_shape=[2, 2], pads=[0, 2, 0, 0])
        yield bad(['too small', '1×4×6×6'], 'MaxPool', {'x': x}, kernel_shape=[2, 7])
        yield bad(['dilations', 'opset 10'], 'MaxPool', {'x': x}, opset=8, kernel_shape=[2, 2], dilations=[1, 1])
        yield bad(['dilations', 'opset 19'], 'AveragePool', {'x': x}, kernel_shape=[2, 2], dilations=[1, 1])
        yield bad(['ceil_mode'], 'AveragePool', {'x': x}, kernel_shape=[2, 2], ceil_mode=2)
        yield bad(['rank 4'], 'AveragePool', {'x': x[0]}, kernel_shape=[2, 2])
        yield bad(['rank 4'], 'GlobalAveragePool', {'x': x[0]})
        yield bad(['too small'], 'GlobalAveragePool', {'x': x[:, :, :0].copy()})
        a, b = self.small(2, 3), self.small(3, 4)
        yield bad(["'b'", 'constant'], 'Gemm', {'a': a, 'b': b})
        yield bad(["'a'", '2×3', '4×3'], 'Gemm', {'a': a}, {'b': b.T.copy()})
        yield bad(["'c'", 'broadcast', '3'], 'Gemm', {'a': a}, {'b': b, 'c': self.small(3)})
        yield bad(["'c'", '3 rows'], 'Gemm', {'a': a}, {'b': b, 'c': self.small(3, 4)})
        yield bad(['input 2'], 'Gemm', {'a': a}, {'b': b}, opset=9)
        yield bad(['broadcast'], 'Gemm', {'a': a}, {'b': b, 'c': self.small(4)}, opset=6)
        yield bad(['transB'], 'Gemm', {'a': a}, {'b': b}, transB=2)
        four = {name: self.small(4) for name in ('s', 'o', 'm', 'v')}
        yield bad(['training'], 'BatchNormalization', {'x': x}, four, opset=15, training_mode=1)
        yield bad(['1×4×6×6', '5 channels'], 'BatchNormalization', {'x': x}, {name: self.small(5) for name in four})
        yield bad(["'o'"], 'BatchNormalization', {'x': x}, {**four, 'o': self.small(3)})
        yield bad(["'s'", 'constant'], 'BatchNormalization', {'x': x, **four})
        yield bad(['1×4×6×6'], 'Sample', {'x': x, 'seed': seed}, stochastic=1, stream=0, grid=0)
        yield bad(['stream'], 'Sample', {'x': x[:, :1].copy(), 'seed': seed}, stochastic=1, grid=0)
        yield bad(['grid', '-1'], 'Sample', {'x': x[:, :1].copy(), 'seed': seed}, stochastic=1, stream=0, grid=-1)
        yield bad(['seed'], 'Sample', {'x': x[:, :1].copy(), 'seed': numpy.array([1, 2])}, stochastic=1, stream=0, grid=0)
        twice = [node('Sample', ['x', 'seed'], [f'y{i}'], name=('first', 'guilty')[i], domain='stipple', stochastic=1, stream=4, grid=0)
                 for i in range(2)]
        yield self.case('error one stream twice', twice, {'x': x[:, :1].copy(), 'seed': seed}, {'y0': 'f', 'y1': 'f'}, 18,
                        error=['guilty', 'stream', 'first'])

        def bad_interpolation(parts, weight, mask='mask', **attributes):
            nodes = [node('GreaterOrEqual', ['z', 'half'], ['m']), node('Cast', ['m'], ['mask'], to=1), node('Sub', ['mask', 'half'], ['data']),
                     node('Interpolate', ['x', mask, 'w'], ['y'], name='guilty', domain='stipple', **attributes)]
            return self.case(f'error Interpolate {parts}', nodes, {'x': x, 'z': zero_to_one}, {'y': 'f'}, 18,
                             constants={'half': F32(0.5), 'w': weight}, error=['guilty', *parts])
        ones = numpy.ones((3, 3), F32)
        yield bad_interpolation(['epsilon'], ones)
        yield bad_interpolation(['epsilon', '-1'], ones, epsilon=-1.0)
        yield bad_interpolation(["'w'", '2×3'], ones[:2].copy(), epsilon=1e-5)
        yield bad_interpolation(["'w'", 'inf'], ones * F32('inf'), epsilon=1e-5)
        yield bad_interpolation(["'w'", '3'], ones[0].copy(), epsilon=1e-5)
        yield bad_interpolation(["'data'", 'mask'], ones, mask='data', epsilon=1e-5)


IMAGE_FAMILIES = ['conv', 'conv_batchnorm', 'batchnorm', 'pool', 'pool_special', 'global_pool', 'gemm', 'sample', 'interpolate',
                  'image_errors']
