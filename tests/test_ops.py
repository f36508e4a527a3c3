# SPDX-License-Identifier: Apache-2.0
"""Every operator in small random models, every opset it changed in, against ONNX Runtime.

test_ops.py --reference PROGRAM             runs them with the C reference (ref_model)
test_ops.py --command PROGRAM [OPTION…]     runs them with `stipple run MODEL … OPTION…`"""
import argparse
import itertools
import sys
import unittest

try:
    import numpy
    from onnx import helper

    from image_cases import IMAGE_FAMILIES, ImageCases
    from runners import Case, Command, Reference, check_case, DTYPES
except ImportError as missing:
    print(f'test_ops: skipped: {missing}')
    sys.exit(77)

node = helper.make_node
SPECIAL = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0, 1.0, -1.0, 3.4e38, -3.4e38, 1.2e-38], numpy.float32)
BIG = {'i': numpy.iinfo(numpy.int32), 'l': numpy.iinfo(numpy.int64)}


class Cases(ImageCases):
    """All cases of one seed, by family."""

    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)
        self.count = 0

    # Values ---------------------------------------------------------------------------------------------------------

    def values(self, code, shape, special=True):
        """Random values; integers are small or anywhere in their range, floats hold NaN, Inf and zeros of both signs."""
        if code == 'b':
            return self.random.random(shape) < 0.5
        if code == 'f':
            drawn = self.random.standard_normal(shape).astype(numpy.float32) * self.random.choice([1e-3, 1, 30])
            return numpy.where(self.random.random(shape) < 0.1 * special, self.random.choice(SPECIAL, shape),
                               drawn).astype(numpy.float32)
        small = self.random.integers(-5, 6, shape)
        wide = self.random.integers(BIG[code].min, BIG[code].max, shape, endpoint=True)
        return numpy.where(self.random.random(shape) < 0.2 * special, wide, small).astype(DTYPES[code])

    def shape(self, rank, empty=0.05):
        return tuple(0 if self.random.random() < empty else int(self.random.integers(1, 6)) for _ in range(rank))

    def pick(self, *options):
        return options[self.random.integers(len(options))]

    def case(self, name, nodes, inputs, outputs, opset, **more):
        self.count += 1
        return Case(f'{self.count} {name} opset {opset}', nodes, inputs, outputs, opset, free=self.pick(False, True), **more)

    # ONNX Runtime's own error is below 3e-7, and far out it gives 0.
    sigmoid_error = {'tolerance': 5e-7, 'scale': 1}

    # Unary ----------------------------------------------------------------------------------------------------------

    def unary(self):
        for op, opset, codes in [('Relu', 6, 'f'), ('Relu', 13, 'f'), ('Relu', 14, 'fil'), ('Relu', 22, 'fi'),
                                 ('Not', 6, 'b'), ('Not', 20, 'b'), ('Identity', 6, 'filb'), ('Identity', 13, 'filb'),
                                 ('Identity', 16, 'filb'), ('Identity', 19, 'f'), ('Identity', 23, 'filb'),
                                 ('Sigmoid', 6, 'f'), ('Sigmoid', 13, 'f'), ('Sigmoid', 21, 'f')]:
            for code, rank in itertools.product(codes, (0, 1, 2, 3, 4, 5)):
                yield self.case(op, [node(op, ['x'], ['y'])], {'x': self.values(code, self.shape(rank))}, {'y': code}, opset,
                                **self.sigmoid_error if op == 'Sigmoid' else {})
        yield self.case('Sigmoid far out', [node('Sigmoid', ['x'], ['y'])],
                        {'x': numpy.linspace(-87, 120, 2000, dtype=numpy.float32)}, {'y': 'f'}, 13, **self.sigmoid_error)

    def cast(self):
        for opset, source, target in itertools.product((6, 9, 13, 19, 21, 24), 'filb', 'filb'):
            x = self.values(source, self.shape(self.pick(0, 1, 2, 3, 4)), special=False)
            if source == 'f' and target != 'f':
                x = x * numpy.float32(7)
            if source == 'l' and x.size:
                x.flat[0] = 2**40 + 2**31 + 5  # wraps around in int32, rounds in float32
            yield self.case(f'Cast {source} to {target}', [node('Cast', ['x'], ['y'], to=self.type(target))], {'x': x},
                            {'y': target}, opset)
        x = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 3e9, -3e9, 1e19, -1e19, 0.99, -0.99, -0.0, 2147483520], numpy.float32)
        for target, want in {'i': [0, 2**31 - 1, -2**31, 2**31 - 1, -2**31, 2**31 - 1, -2**31, 0, 0, 0, 2147483520],
                             'l': [0, 2**63 - 1, -2**63, 3 * 10**9, -3 * 10**9, 2**63 - 1, -2**63, 0, 0, 0, 2147483520],
                             'b': [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1]}.items():
            yield self.case(f'Cast out of range to {target}', [node('Cast', ['x'], ['y'], to=self.type(target))], {'x': x},
                            {'y': target}, 13, want={'y': numpy.array(want, DTYPES[target])})

    @staticmethod
    def type(code):
        return helper.np_dtype_to_tensor_dtype(numpy.dtype(DTYPES[code]))

    # Binary ---------------------------------------------------------------------------------------------------------

    def pair(self, pattern, drop_a, drop_b):
        """Two shapes that broadcast: per axis both full (0), the first 1 (1), the second 1 (2); leading axes left out."""
        full = [self.pick(1, 2, 3, 4, 5, 7) if self.random.random() > 0.02 else 0 for _ in pattern]
        return (tuple(1 if p == 1 else n for p, n in zip(pattern, full))[drop_a:],
                tuple(1 if p == 2 else n for p, n in zip(pattern, full))[drop_b:])

    def every_pattern(self):
        for rank in range(4):
            for pattern in itertools.product((0, 1, 2), repeat=rank):
                yield self.pair(pattern, 0, 0)
            for drop in range(1, rank + 1):
                yield self.pair((0,) * rank, drop, 0)
                yield self.pair((0,) * rank, 0, drop)
        for rank in (4, 5):
            for _ in range(25):
                pattern = self.random.integers(0, 3, rank)
                drop = int(self.random.integers(0, rank + 1))
                yield self.pair(pattern, *self.pick((0, 0), (drop, 0), (0, drop)))

    @staticmethod
    def binary_types(op, opset):
        floats = {'Equal': 11, 'GreaterOrEqual': 12, 'LessOrEqual': 12}.get(op, 6)
        ints = {'Min': 12, 'Max': 12, 'Greater': 9, 'Less': 9, 'GreaterOrEqual': 12, 'LessOrEqual': 12}.get(op, 6)
        if op in ('And', 'Or'):
            return 'b'
        return 'f' * (opset >= floats) + 'il' * (opset >= ints) + 'b' * (op == 'Equal')

    def binary_model(self, name, ops, code, a, b, opset):
        """Every operator of the type on one pair of operands; integers are not divided by zero, nor the least one by -1."""
        nodes, outputs = [], {}
        if code in 'il':
            b = numpy.where((b == 0) | (b == -1), DTYPES[code](3), b)
        for op in ops:
            if code in self.binary_types(op, opset):
                nodes += [node(op, ['a', 'b'], [f'ab{op}']), node(op, ['b', 'a'], [f'ba{op}'])] if op != 'Div' else [
                    node(op, ['a', 'b'], [f'ab{op}'])]
        for made in nodes:
            outputs[made.output[0]] = code if made.op_type in ('Add', 'Sub', 'Mul', 'Div', 'Min', 'Max') else 'b'
        return self.case(f'{name} {code} {a.shape} {b.shape}', nodes, {'a': a, 'b': b}, outputs, opset)

    def binary(self):
        arithmetic = ['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max']
        logic = ['And', 'Or', 'Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual']
        everything = arithmetic + logic
        for shape_a, shape_b in self.every_pattern():
            for code in 'filb':
                if self.random.random() < 0.5:
                    yield self.binary_model('binary', everything, code, self.values(code, shape_a), self.values(code, shape_b),
                                            self.pick(8, 9, 11, 12, 13, 14, 16, 19, 21))
        for opset, code in itertools.product((6, 7, 8, 9, 11, 12, 13, 14, 16, 19, 24), 'filb'):
            shape = self.shape(3, 0)
            ops = [op for op in everything if opset >= 12 or not op.endswith('OrEqual')]
            yield self.binary_model('same shape', ops, code, self.values(code, shape), self.values(code, shape), opset)

    def binary_edges(self):
        for code in 'il':
            low, high = BIG[code].min, BIG[code].max
            a = numpy.array([low, low, high, 7, -7, 0, low, 7, -7], DTYPES[code])
            b = numpy.array([-1, 1, -1, 0, 0, 0, 0, -2, 2], DTYPES[code])
            yield self.case(f'integer division {code}', [node('Div', ['a', 'b'], ['y'])], {'a': a, 'b': b}, {'y': code}, 14,
                            want={'y': numpy.array([low, low, -high, 0, 0, 0, 0, -3, -3], DTYPES[code])})
        a, b = [grid.ravel() for grid in numpy.meshgrid(SPECIAL, SPECIAL)]
        yield self.binary_model('special', ['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max', 'Equal', 'Less', 'GreaterOrEqual'], 'f', a, b, 14)

    def variadic(self):
        for op, opset in itertools.product(('Min', 'Max'), (6, 8, 12, 13, 22)):
            for n in (1, 2, 3, 5):
                code = self.pick('f', 'i', 'l') if opset >= 12 else 'f'
                rank = int(self.random.integers(0, 5))
                full = self.shape(rank)
                shapes = [tuple(1 if self.random.random() < 0.3 else d for d in full)[self.random.integers(0, rank + 1):]
                          for _ in range(n)] if opset >= 8 else [full] * n
                inputs = {f'x{i}': self.values(code, shape) for i, shape in enumerate(shapes)}
                yield self.case(f'{op} of {n}', [node(op, list(inputs), ['y'])], inputs, {'y': code}, opset)

    def where(self):
        for opset, code in itertools.product((9, 16, 21), 'filb'):
            for _ in range(5):
                rank = int(self.random.integers(0, 6))
                full = self.shape(rank)
                shapes = [tuple(1 if self.random.random() < 0.3 else d for d in full)[self.random.integers(0, rank + 1):]
                          for _ in range(3)]
                inputs = {'c': self.values('b', shapes[0]), 'a': self.values(code, shapes[1]), 'b': self.values(code, shapes[2])}
                yield self.case(f'Where {shapes}', [node('Where', ['c', 'a', 'b'], ['y'])], inputs, {'y': code}, opset)

    def masks(self):
        """Mul by a mask is Where(mask, x, +0), and not what ONNX Runtime does with NaN and Inf."""
        for shape_x, shape_m in [((2, 3, 4, 5), (2, 1, 4, 5)), ((2, 3, 4, 5), (1, 1, 4, 5)), ((1, 1, 4, 5), (2, 1, 4, 5))]:
            x, m = self.values('f', shape_x), self.values('f', shape_m, special=False)
            want = {'y': numpy.where(m > 0, x, numpy.float32(0)), 'z': numpy.where(m > 0, x, numpy.float32(0))}
            nodes = [node('Greater', ['m', 'zero'], ['g']), node('Cast', ['g'], ['f'], to=1), node('Mul', ['x', 'f'], ['y']),
                     node('Mul', ['f', 'x'], ['z'])]
            yield self.case(f'Mul by a mask {shape_x} {shape_m}', nodes, {'x': x, 'm': m}, {'y': 'f', 'z': 'f'}, 13,
                            constants={'zero': numpy.float32(0)}, want=want)

    # Shape ----------------------------------------------------------------------------------------------------------

    def concat(self):
        for opset, n in itertools.product((6, 11, 13, 21), (1, 2, 3, 5)):
            for _ in range(4):
                code, rank = self.pick(*'filb'), int(self.random.integers(1, 6))
                axis, shape = int(self.random.integers(0, rank)), list(self.shape(rank))
                inputs = {}
                for i in range(n):
                    shape[axis] = int(self.random.integers(0, 5))
                    inputs[f'x{i}'] = self.values(code, tuple(shape))
                if opset >= 11:
                    axis -= self.pick(0, rank)
                yield self.case(f'Concat {n} axis {axis}', [node('Concat', list(inputs), ['y'], axis=axis)], inputs, {'y': code}, opset)

    def slice_bounds(self, size, steps):
        """INT_MAX as the end of a backward slice is left out: the schema clamps it to the last element, ONNX Runtime to the first."""
        step = int(self.pick(1, 1, 2, 3, -1, -2, -5, 100, -100)) if steps else 1
        limits = (-2**31, -2**63) if step < 0 else (2**31 - 1, 2**63 - 1)
        low = -size - 3 if steps else -size
        start = int(self.random.integers(low, size + 3))
        end = int(self.random.integers(low, size + 3)) if self.random.random() < 0.7 else int(self.pick(*limits))
        return start, end, step

    def slice(self):
        for opset in (6, 9, 10, 11, 13, 20):
            for _ in range(30):
                code, rank = self.pick(*'filb'), int(self.random.integers(1, 6))
                x = self.values(code, self.shape(rank))
                n = int(self.random.integers(1, rank + 1))
                axes = [int(axis) for axis in self.random.permutation(rank)[:n]]
                bounds = [self.slice_bounds(x.shape[axis], opset >= 10) for axis in axes]
                starts, ends, steps = ([bound[i] for bound in bounds] for i in range(3))
                if opset < 10:
                    nodes, constants = [node('Slice', ['x'], ['y'], starts=starts, ends=ends, axes=axes)], {}
                    inputs = {'x': x}
                else:
                    # Signed 64-bit limits would not fit into int32.
                    kind = self.pick(numpy.int32, numpy.int64) if max(map(abs, starts + ends)) < 2**31 else numpy.int64
                    if opset >= 11:
                        axes = [axis - self.pick(0, rank) for axis in axes]
                    given = {key: numpy.array(value, kind) for key, value in
                             (('starts', starts), ('ends', ends), ('axes', axes), ('steps', steps))}
                    names = list(given)
                    if self.random.random() < 0.3:
                        if steps == [1] * n:
                            names = names[:3]
                        elif [axis % rank for axis in axes] == list(range(n)):
                            names[2] = ''
                    nodes = [node('Slice', ['x', *names], ['y'])]
                    given = {key: value for key, value in given.items() if key in names}
                    # Known on the host either way: as constants, or as integer inputs.
                    inputs, constants = ({'x': x}, given) if self.random.random() < 0.7 else ({'x': x, **given}, {})
                yield self.case(f'Slice {x.shape} {axes} {starts} {ends} {steps}', nodes, inputs, {'y': code}, opset,
                                constants=constants)

    def split(self):
        for opset in (6, 11, 13, 18, 21):
            for _ in range(20):
                code, rank = self.pick(*'filb'), int(self.random.integers(1, 5))
                axis, n = int(self.random.integers(0, rank)), int(self.random.integers(1, 5))
                sizes = [int(size) for size in self.random.integers(0 if opset >= 11 else 1, 4, n)]
                how = self.pick('sizes', 'equal')
                if how == 'equal':
                    part = int(self.random.integers(1, 4))
                    sizes = [part] * (n - 1) + [part - (opset >= 18) * int(self.random.integers(0, part)) * (n > 1)]
                shape = list(self.shape(rank))
                shape[axis] = sum(sizes)
                attributes = {'axis': axis - self.pick(0, rank) * (opset >= 11)}
                names, constants = ['x'], {}
                if how == 'sizes' and opset < 13:
                    attributes['split'] = sizes
                elif how == 'sizes':
                    names, constants = ['x', 'sizes'], {'sizes': numpy.array(sizes, numpy.int64)}
                elif opset >= 18:
                    attributes['num_outputs'] = n
                outputs = {f'y{i}': code for i in range(n)}
                yield self.case(f'Split {shape} axis {axis} {how} {sizes}', [node('Split', names, list(outputs), **attributes)],
                                {'x': self.values(code, tuple(shape))}, outputs, opset, constants=constants)

    def flatten(self):
        for opset, rank in itertools.product((6, 9, 11, 13, 21, 25), range(6)):
            low = -rank if opset >= 11 else 0
            for axis in sorted({low, int(self.random.integers(low, rank + 1)), rank}):
                code = self.pick(*'fil') if opset >= 9 else 'f'
                yield self.case(f'Flatten rank {rank} axis {axis}', [node('Flatten', ['x'], ['y'], axis=axis)],
                                {'x': self.values(code, self.shape(rank))}, {'y': code}, opset)

    def reshape(self):
        tries = [((2, 3, 4), [4, 3, 2]), ((2, 3, 4), [0, -1]), ((2, 3, 4), [-1]), ((2, 3, 4), [0, 0, 0]), ((2, 3, 4), [0, 0, 2, -1]),
                 ((6,), [1, 2, 3, 1]), ((), [1, 1]), ((1, 1), []), ((0, 3), [0, 3]), ((0, 3), [3, 0, 5]), ((0, 3), [2, -1]),
                 ((2, 0, 3), [-1, 2]), ((2, 3), [3, 2, 1, 1, 1, 1, 1, 1]), ((5, 4, 3, 2, 1), [0, -1, 0, 0])]
        for opset, (shape, wanted) in itertools.product((6, 13, 14, 19, 21, 25), tries):
            if (0 in wanted and shape == (0, 3) and wanted != [0, 3]):
                continue  # needs allowzero
            code = self.pick(*'filb')
            x, s = self.values(code, shape), numpy.array(wanted, numpy.int64)
            inputs, constants = ({'x': x}, {'s': s}) if self.random.random() < 0.7 else ({'x': x, 's': s}, {})
            yield self.case(f'Reshape {shape} {wanted}', [node('Reshape', ['x', 's'], ['y'])], inputs, {'y': code}, opset,
                            constants=constants)
        for opset, (shape, wanted) in itertools.product((14, 21), [((0, 3), [3, 0, 5]), ((2, 3), [-1, 3]), ((2, 0), [0, 2])]):
            yield self.case(f'Reshape allowzero {shape} {wanted}', [node('Reshape', ['x', 's'], ['y'], allowzero=1)],
                            {'x': self.values('f', shape)}, {'y': 'f'}, opset, constants={'s': numpy.array(wanted, numpy.int64)})

    # A few operators -----------------------------------------------------------------------------------------------

    def chains(self):
        """Random graphs: each node takes operands from what is there already; all of one rank, so that everything broadcasts."""
        for _ in range(60):
            rank = int(self.random.integers(1, 5))
            full = self.shape(rank, 0.02)
            values = {f'x{i}': self.values('f', tuple(1 if self.random.random() < 0.25 else d for d in full), special=False)
                      for i in range(3)}
            constants = {'k0': self.values('f', tuple(1 if self.random.random() < 0.5 else d for d in full), special=False),
                         'k1': self.values('f', (), special=False)}
            floats, bools, nodes = [*values, *constants], [], []
            for i in range(int(self.random.integers(3, 15))):
                op = self.pick('Add', 'Sub', 'Mul', 'Min', 'Max', 'Relu', 'Greater', 'LessOrEqual', 'Where', 'Not', 'And', 'Or', 'Cast')
                if op in ('Where', 'Not', 'And', 'Or', 'Cast') and not bools:
                    op = 'Less'
                kinds = {'Relu': 'f', 'Not': 'b', 'And': 'bb', 'Or': 'bb', 'Cast': 'b', 'Where': 'bff'}.get(op, 'ff')
                taken = [str(self.random.choice(floats if kind == 'f' else bools)) for kind in kinds]
                nodes.append(node(op, taken, [f'n{i}'], **({'to': 1} if op == 'Cast' else {})))
                (bools if op in ('Greater', 'LessOrEqual', 'Less', 'Not', 'And', 'Or') else floats).append(f'n{i}')
            outputs = {name: code for names, code in ((floats, 'f'), (bools, 'b')) for name in names if name[0] == 'n'}
            # Few outputs, so that buffers are used again; and the last node's, so that there is one.
            outputs = {name: code for name, code in outputs.items() if self.random.random() < 0.3 or name == nodes[-1].output[0]}
            yield self.case(f'chain of {len(nodes)}', nodes, values, outputs, 14, constants=constants)

    def site_wise(self, nodes, wide, c, y):
        """Adds a site-wise operator on values of `wide`, which holds the channels of each; its result is `y`."""
        kind = self.pick('Add', 'Mul', 'Max', 'Relu', 'Div', 'Where', 'Concat', 'Slice', 'Split', 'Identity', 'Sub', 'Less')
        a = str(self.random.choice(list(wide)))
        b = str(self.random.choice([key for key, channels in wide.items() if channels == wide[a]]))
        inputs, channels = {
            'Add': [a, b], 'Less': [a, b], 'Max': [a, b, a, 'half', b][:self.pick(1, 2, 4, 5)], 'Relu': [a], 'Identity': [a], 'Split': [a],
            'Sub': [a, 'x2' if wide[a] == c else 'half'],
            # No squares of squares: Inf times 0 is not the same everywhere.
            'Mul': [a, 'x1' if wide[a] == c else 'three'], 'Div': [a, 'three'],
            'Where': [f'{y}b', a, b], 'Concat': [a, b, a][:self.pick(2, 3)], 'Slice': [a, 'zeros', 'twos', 'ones', self.pick('ones', 'twos')],
        }[kind], wide[a]
        if kind == 'Where':
            nodes.append(node('Less', [b, 'half'], [f'{y}b']))
        if kind == 'Less':
            nodes += [node(kind, inputs, [f'{y}b']), node('Cast', [f'{y}b'], [y], to=1)]
        elif kind == 'Split' and channels % 2 == 0:
            nodes.append(node(kind, inputs, [y, f'{y}s'], axis=1))
            channels = wide[f'{y}s'] = channels // 2
        else:
            nodes.append(node('Relu' if kind == 'Split' else kind, inputs, [y], **({'axis': 1} if kind == 'Concat' else {})))
        if kind == 'Concat':
            channels *= len(inputs)
        if kind == 'Slice':
            channels = 1 if inputs[4] == 'twos' else min(channels, 2)
        wide[y] = channels

    def sparse(self):
        """Site-wise operators that are read at sampled sites only: by a Mul with a mask, a Where. On a device they run on lists of rows."""
        constants = {'zero': numpy.float32(0), 'half': numpy.float32(0.5), 'three': numpy.float32(3), 'zeros': numpy.array([0]),
                     'ones': numpy.array([1]), 'twos': numpy.array([2])}
        for _ in range(60):
            n, c, h, w = (int(size) for size in self.random.integers(1, 6, 4))
            images = self.pick(1, n)
            inputs = {'x0': self.values('f', (n, c, h, w), special=False), 'x1': self.values('f', (n, c, h, w), special=False),
                      'x2': self.values('f', self.pick((n, 1, h, w), (1, c, 1, 1), (n, c, 1, 1), (c, 1, 1), (h, w)), special=False)}
            nodes, wide, outputs = [], {'x0': c, 'x1': c}, {}
            for i in range(2):
                share = self.pick(0, 0.3, 0.5, 0.9, 1)
                inputs[f'm{i}'] = (self.random.random((images, 1, h, w)) < share).astype(numpy.float32) * 2 - 1
                nodes += [node('Greater', [f'm{i}', 'zero'], [f'b{i}']), node('Cast', [f'b{i}'], [f'f{i}'], to=1)]
            for i in range(int(self.random.integers(2, 12))):
                self.site_wise(nodes, wide, c, f'n{i}')
            for i, x in enumerate(map(str, self.random.choice(list(wide), 3))):
                m = self.pick(0, 1)
                kind, operands = self.pick(('Mul', [x, f'f{m}']), ('Mul', [f'f{m}', x]), ('Where', [f'b{m}', x, self.pick('half', 'm1', x)]))
                nodes.append(node(kind, operands, [f'y{i}']))
                outputs[f'y{i}'] = 'f'
            if self.random.random() < 0.2:
                outputs[str(self.random.choice([key for key in wide if key[0] == 'n']))] = 'f'
            yield self.case(f'sparse {(n, c, h, w)}', nodes, inputs, outputs, 13, constants=constants)

    def moves(self):
        """Split, Slice, Concat, Reshape, Flatten one behind the other, on shape arithmetic done on the host."""
        for _ in range(30):
            c, h, w = (int(n) for n in self.random.integers(2, 6, 3))
            code = self.pick(*'filb')
            nodes = [node('Split', ['x'], ['a', 'b'], axis=1), node('Slice', ['a', 'from', 'to', 'axes', 'step'], ['c']),
                     node('Concat', ['b', 'c', 'a'], ['d'], axis=1), node('Concat', ['one', 'rest'], ['shape'], axis=0),
                     node('Mul', ['shape', 'sign'], ['shape2']), node('Reshape', ['d', 'shape2'], ['e']),
                     node('Flatten', ['e'], ['f'], axis=2), node('Identity', ['f'], ['y'])]
            constants = {'from': numpy.array([-1]), 'to': numpy.array([-100]), 'axes': numpy.array([2]), 'step': numpy.array([-1]),
                         'one': numpy.array([0]), 'rest': numpy.array([3 * c, w * h]), 'sign': numpy.array([1, 1, 1])}
            yield self.case('moves', nodes, {'x': self.values(code, (2, 2 * c, h, w))}, {'y': code, 'd': code, 'shape2': 'l'}, 13,
                            constants=constants)

    # Errors ---------------------------------------------------------------------------------------------------------

    def errors(self):
        f = numpy.zeros((2, 3), numpy.float32)
        l = numpy.zeros((2, 3), numpy.int64)

        def bad(parts, op, inputs, opset=13, constants=None, n_outputs=1, **attributes):
            names = [*inputs, *(constants or {})]
            return self.case(f'error {op}', [node(op, names, [f'y{i}' for i in range(n_outputs)], name='guilty', **attributes)], inputs,
                             {'y0': 'f'}, opset, constants=constants, error=['guilty', *parts])
        yield bad(['broadcast', '2×3', '2×2', "'b'"], 'Add', {'a': f, 'b': numpy.zeros((2, 2), numpy.float32)})
        yield bad(['broadcast', "'c'"], 'Max', {'a': f, 'b': f, 'c': numpy.zeros(2, numpy.float32)})
        yield bad(['opset 7'], 'Add', {'a': f, 'b': f}, opset=6, broadcast=1)
        yield bad(['differ in shape'], 'Add', {'a': f, 'b': f[0]}, opset=6)
        yield bad(['differ in type'], 'Add', {'a': f, 'b': l})
        yield bad(['int64'], 'Greater', {'a': l, 'b': l}, opset=8)
        yield bad(['float32'], 'And', {'a': f, 'b': f})
        yield bad(['bool'], 'Relu', {'a': f > 0})
        yield bad(['to'], 'Cast', {'a': f})
        yield bad(['data type 10'], 'Cast', {'a': f}, to=10)
        yield bad(['axis'], 'Concat', {'a': f, 'b': f})
        yield bad(['axis 2'], 'Concat', {'a': f, 'b': f}, axis=2)
        yield bad(['axis 0', '2×3', '2×2'], 'Concat', {'a': f, 'b': f[:, :2].copy()}, axis=0)
        yield bad(['starts'], 'Slice', {'a': f}, opset=9)
        one = numpy.array([1])
        yield bad(['named twice'], 'Slice', {'a': f}, constants={'s': numpy.array([0, 0]), 'e': numpy.array([1, 1]),
                                                                 'x': numpy.array([1, -1])})
        yield bad(['step'], 'Slice', {'a': f}, constants={'s': one, 'e': one, 'x': one, 't': 0 * one})
        yield bad(['axis 5'], 'Slice', {'a': f}, constants={'s': one, 'e': one, 'x': 5 * one})
        yield bad(['parts'], 'Split', {'a': f}, n_outputs=2, axis=1)
        yield bad(['add up'], 'Split', {'a': f}, n_outputs=2, axis=1, constants={'s': numpy.array([1, 1])})
        yield bad(['num_outputs'], 'Split', {'a': f}, n_outputs=2, axis=1, opset=18)
        yield bad(['axis 3'], 'Flatten', {'a': f}, axis=3)
        yield bad(['[4,-1]', '2×3'], 'Reshape', {'a': f}, constants={'s': numpy.array([4, -1])})
        yield bad(['[-1,-1]'], 'Reshape', {'a': f}, constants={'s': numpy.array([-1, -1])})
        yield bad(['[0,0,0]'], 'Reshape', {'a': f}, constants={'s': numpy.array([0, 0, 0])})
        yield bad(['vector'], 'Reshape', {'a': f}, constants={'s': numpy.array([[6]])})
        nodes = [node('Cast', ['x'], ['s'], to=7), node('Reshape', ['x', 's'], ['y'], name='guilty')]
        yield self.case('error data', nodes, {'x': f[0]}, {'y': 'f'}, 13, error=['guilty', 'depends on data'])


FAMILIES = ['unary', 'cast', 'binary', 'binary_edges', 'variadic', 'where', 'masks', 'concat', 'slice', 'split', 'flatten',
            'reshape', 'chains', 'sparse', 'moves', 'errors'] + IMAGE_FAMILIES


def make_test(runner, family, seed, counts):
    class Test(unittest.TestCase):
        def runTest(self):
            for case in getattr(Cases([seed, FAMILIES.index(family)]), family)():
                with self.subTest(case=case.name, seed=seed):
                    counts[0] += 1
                    check_case(self, runner, case)
                    counts[1] += 1

        def __str__(self):
            return family
    return Test()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = parser.add_mutually_exclusive_group(required=True)
    program.add_argument('--reference', metavar='PROGRAM')
    program.add_argument('--command', metavar='PROGRAM')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', choices=FAMILIES, action='append')
    options, rest = parser.parse_known_args()
    runner = Command(options.command, rest) if options.command else Reference(options.reference)
    counts = [0, 0]
    suite = unittest.TestSuite(make_test(runner, family, options.seed, counts) for family in options.only or FAMILIES)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    print(f'test_ops: seed {options.seed}: {counts[0]} cases, {counts[1]} passed, {counts[0] - counts[1]} failed')
    return 0 if result.wasSuccessful() and counts[1] else 1


if __name__ == '__main__':
    sys.exit(main())
