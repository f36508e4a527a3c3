# SPDX-License-Identifier: Apache-2.0
"""What the ONNX reader makes of a file, against what the Python package onnx makes of it.

test_onnx_package.py ONNX_DUMP [MODEL…]    with models: those; else generated ones, and the package's own test models"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f'test_onnx_package: skipped: {missing}')
    sys.exit(77)

TYPES = {TensorProto.FLOAT: 'float32', TensorProto.UINT8: 'uint8', TensorProto.INT32: 'int32', TensorProto.INT64: 'int64',
         TensorProto.BOOL: 'bool'}
CONSTANTS = {'value_float': numpy.float32, 'value_floats': numpy.float32, 'value_int': numpy.int64, 'value_ints': numpy.int64}


class Unsupported(Exception):
    """Something that the reader refuses, or leaves out."""


# The package's view ----------------------------------------------------------------------------------------------------

def tensor_text(array):
    name = array.dtype.name
    if name not in TYPES.values():
        raise Unsupported(f'data type {name}')
    return ' '.join([name, *map(str, array.shape)]) + '\t' + array.tobytes().hex()


def port_line(kind, info, defaults):
    tensor = info.type.tensor_type
    if info.type.WhichOneof('value') != 'tensor_type' or tensor.elem_type not in TYPES:
        raise Unsupported(f'{kind} {info.name}')
    dims = ['any']
    if tensor.HasField('shape'):
        dims = [str(d.dim_value) if d.HasField('dim_value') else '?' + d.dim_param for d in tensor.shape.dim]
    line = '\t'.join([kind, info.name, ' '.join([TYPES[tensor.elem_type], *dims])])
    return line + '\t' + tensor_text(defaults[info.name]) if kind == 'input' and info.name in defaults else line


def attr_line(attr):
    kind, value = attr.type, ''
    types = onnx.AttributeProto
    if kind == types.FLOAT:
        value = numpy.float32(attr.f).tobytes().hex()
    elif kind == types.INT:
        value = str(attr.i)
    elif kind == types.STRING:
        value = attr.s.hex()
    elif kind == types.TENSOR:
        value = tensor_text(numpy_helper.to_array(attr.t))
    elif kind == types.FLOATS:
        value = numpy.array(attr.floats, numpy.float32).tobytes().hex()
    elif kind == types.INTS:
        value = ''.join(f'{i} ' for i in attr.ints)
    elif kind == types.STRINGS:
        value = ''.join(s.hex() + ',' for s in attr.strings)
    else:
        kind = 0
    return f'attr\t{attr.name}\t{kind}\t{value}'


def constant_of(node):
    attr = node.attribute[0]
    if attr.name == 'value':
        return numpy_helper.to_array(attr.t)
    if attr.name not in CONSTANTS:
        raise Unsupported(f'Constant with {attr.name}')
    return numpy.array(helper.get_attribute_value(attr), CONSTANTS[attr.name])


def trimmed(names):
    names = list(names)
    while names and not names[-1]:
        names.pop()
    return ''.join(name + ',' for name in names)


def node_lines(node, versions):
    domain = '' if node.domain == 'ai.onnx' else node.domain
    name = node.name or next(output for output in node.output if output)
    line = '\t'.join(['node', domain, node.op_type, str(versions.get(domain, 0)), name, trimmed(node.input), trimmed(node.output)])
    return [line, *map(attr_line, node.attribute)]


def model_lines(model):
    """The lines of onnx_dump, but for their order where that does not matter."""
    graph = model.graph
    versions = {'' if entry.domain == 'ai.onnx' else entry.domain: entry.version for entry in model.opset_import}
    initializers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [info for info in graph.input if model.ir_version >= 4 or info.name not in initializers]
    names = {info.name for info in inputs}
    lines = [f'metadata\t{entry.key}\t{entry.value.encode().hex()}' for entry in model.metadata_props]
    lines += [port_line('input', info, initializers) for info in inputs]
    lines += [port_line('output', info, {}) for info in graph.output]
    constants = {name: array for name, array in initializers.items() if name not in names}
    nodes = []
    for node in graph.node:
        if node.op_type == 'Constant' and node.domain in ('', 'ai.onnx'):
            constants[node.output[0]] = constant_of(node)
        else:
            nodes += node_lines(node, versions)
    lines += [f'constant\t{name}\t{tensor_text(array)}' for name, array in constants.items()]
    return lines + nodes


# Comparison --------------------------------------------------------------------------------------------------------------

def compare(program, path, what):
    """True if the file was compared, False if it holds what is not supported. Functions must have been inlined."""
    model = onnx.load(path)
    done = subprocess.run([program, path], capture_output=True, timeout=120, check=False)
    if done.returncode not in (0, 1) or b'Sanitizer' in done.stderr or b'runtime error' in done.stderr:
        raise AssertionError(f'{what}: onnx_dump ended with {done.returncode}: {done.stderr.decode()}')
    try:
        want = model_lines(model)
    except Unsupported as reason:
        # Refused, or left out because nothing reads it.
        assert done.returncode == 0 or done.stderr, f'{what}: mute error at {reason}'
        return False
    if done.returncode:
        raise AssertionError(f'{what}: {done.stderr.decode()}')
    got = done.stdout.decode().splitlines()
    split = lambda lines, ordered: [line for line in lines if line.startswith(('node', 'attr')) == ordered]
    for kind, a, b in (('nodes', split(got, True), split(want, True)),
                       ('others', sorted(split(got, False)), sorted(split(want, False)))):
        for left, right in zip(a, b):
            assert left == right, f'{what}: {kind}:\n got {left[:500]}\nwant {right[:500]}'
        assert len(a) == len(b), f'{what}: {len(a)} lines of {kind} where {len(b)} are wanted'
    return True


# Generated models ----------------------------------------------------------------------------------------------------------

class Generator:
    """Random models; what they compute is of no interest."""

    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)

    def array(self, rank=None):
        rank = self.random.integers(0, 5) if rank is None else rank
        shape = tuple(self.random.integers(0, 4, rank))
        dtype = self.random.choice(['float32', 'int32', 'int64', 'uint8', 'bool'])
        bits = self.random.integers(0, 256, shape + (numpy.dtype(dtype).itemsize,), numpy.uint8)
        return bits[..., 0] < 128 if dtype == 'bool' else bits.view(dtype)[..., 0].copy()

    def tensor(self, name):
        """As raw data or in the typed field."""
        array = self.array()
        if self.random.random() < 0.5 or array.dtype == numpy.float32 and not numpy.isfinite(array).all():
            return numpy_helper.from_array(array, name)
        return helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.flatten())

    def attribute(self, name):
        draw, kind = self.random, self.random.integers(0, 8)
        many = draw.integers(1, 6)
        value = [lambda: float(draw.standard_normal()), lambda: int(draw.integers(-2**63, 2**63 - 1)),
                 lambda: 'naïve "text"\n', lambda: self.tensor('t'),
                 lambda: [float(x) for x in draw.standard_normal(many)],
                 lambda: [int(x) for x in draw.integers(-2**63, 2**63 - 1, many)], lambda: ['a', '', 'ü\t'],
                 lambda: helper.make_graph([], 'body', [], [])][kind]()
        return helper.make_attribute(name, value)

    def constant(self, output):
        attrs = {'value': self.tensor('c'), 'value_float': 1.5, 'value_int': -3, 'value_floats': [1.0, -0.0],
                 'value_ints': [1, 2, -9]}
        name = self.random.choice(list(attrs))
        return helper.make_node('Constant', [], [output], **{name: attrs[name]})

    def info(self, name):
        code = self.random.choice(list(TYPES))
        dims = [[None, 'N', f'{name}_h', 3, 7][self.random.integers(5)] for _ in range(self.random.integers(0, 6))]
        return helper.make_tensor_value_info(name, code, None if self.random.random() < 0.2 else dims)

    def model(self):
        draw = self.random
        inputs = [self.info(f'in{i}') for i in range(draw.integers(1, 4))]
        initializers = [self.tensor(f'w{i}') for i in range(draw.integers(0, 5))]
        known = [info.name for info in inputs] + [tensor.name for tensor in initializers]
        if draw.random() < 0.5:
            array = self.array()
            inputs.append(helper.make_tensor_value_info('d', helper.np_dtype_to_tensor_dtype(array.dtype), array.shape))
            initializers.append(numpy_helper.from_array(array, 'd'))
        nodes = []
        for n in range(draw.integers(1, 12)):
            outputs = [f'v{n}_{i}' for i in range(draw.integers(1, 4))]
            if draw.random() < 0.2:
                nodes.append(self.constant(outputs[0]))
                known.append(outputs[0])
                continue
            operands = [draw.choice(known) if draw.random() < 0.8 else '' for _ in range(draw.integers(0, 5))]
            node = helper.make_node(f'Op{n}', operands, outputs, name=f'n{n}' if draw.random() < 0.5 else '',
                                    domain=draw.choice(['', 'ai.onnx', 'my.domain', 'stipple']))
            node.attribute.extend(self.attribute(f'a{i}') for i in range(draw.integers(0, 6)))
            nodes.append(node)
            known += outputs
        made = [output for node in nodes for output in node.output if node.op_type != 'Constant']
        outputs = [self.info(name) for name in draw.permutation(made)[:draw.integers(1, 3)]] or [self.info('in0')]
        if not made:
            outputs[0].CopyFrom(inputs[0])
        model = helper.make_model(helper.make_graph(nodes, 'g', inputs, outputs, initializers), ir_version=10, opset_imports=[
            helper.make_opsetid('' if draw.random() < 0.5 else 'ai.onnx', int(draw.integers(6, 22))),
            helper.make_opsetid('stipple', 1), helper.make_opsetid('my.domain', 7)])
        helper.set_model_props(model, {'stipple.task': 'classify', 'notes': 'line\nline "ü"'})
        return model


def check_generated(program, folder, count):
    compared = 0
    for seed in range(count):
        model, path = Generator(seed).model(), folder / f'{seed}.onnx'
        if seed % 3:
            onnx.save(model, path)
        else:
            # Every weight in one file beside the model, or in one each.
            onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=seed % 2 == 0, size_threshold=0)
        compared += compare(program, path, f'seed {seed}')
    print(f'{compared} of {count} generated models compared')
    assert compared > count // 2


def function_model(seed, explicit):
    """Functions that call functions, with attributes handed on, defaults, and optional inputs left out.

    `explicit`: the default is written at each call instead (the package's inliner does not know defaults)."""
    alpha = {'alpha': 0.5} if explicit else {}
    draw = numpy.random.default_rng(seed)
    ref = lambda node, name, kind, of: node.attribute.append(onnx.AttributeProto(name=name, type=kind, ref_attr_name=of))
    pool = helper.make_node('Pool', ['a'], ['p'])
    ref(pool, 'kernel', onnx.AttributeProto.INTS, 'kernel')
    ref(pool, 'mode', onnx.AttributeProto.STRING, 'mode')
    mix = helper.make_node('Mix', ['p', 'c', 'b'], ['out'])
    ref(mix, 'alpha', onnx.AttributeProto.FLOAT, 'alpha')
    constant = helper.make_node('Constant', [], ['c'])
    ref(constant, 'value_int', onnx.AttributeProto.INT, 'shift')
    inner = helper.make_function('f', 'Inner', ['a', 'b'], ['out'], [pool, constant, mix], [helper.make_opsetid('', 17)],
                                 ['kernel', 'mode', 'shift', *alpha], [] if explicit else [helper.make_attribute('alpha', 0.5)])
    first = helper.make_node('Inner', ['x'], ['m'], domain='f', name='first', mode='max', shift=int(draw.integers(100)),
                             **alpha)
    ref(first, 'kernel', onnx.AttributeProto.INTS, 'size')
    second = helper.make_node('Inner', ['m', 'y'], ['out'], domain='f', name='second', shift=5, alpha=2.0)
    outer = helper.make_function('f', 'Outer', ['x', 'y'], ['out'], [first, second], [helper.make_opsetid('f', 1)], ['size'])
    calls, last = [], 'x'
    for n in range(draw.integers(1, 6)):
        kind = draw.choice(['Inner', 'Outer', 'Plain'])
        attrs = {'Inner': {'shift': n, **alpha}, 'Outer': {'size': [n, 2]}, 'Plain': {}}[kind]
        calls.append(helper.make_node(kind, [last, 'y'] if draw.random() < 0.5 else [last], [f'v{n}'], name=f'call{n}',
                                      domain='' if kind == 'Plain' else 'f', **attrs))
        last = f'v{n}'
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ('x', 'y')]
    graph = helper.make_graph(calls, 'g', ports, [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)])
    return helper.make_model(graph, ir_version=10, functions=[inner, outer],
                             opset_imports=[helper.make_opsetid('', 17), helper.make_opsetid('f', 1)])


def shape_of_graph(lines):
    """Nodes and constants with names replaced by the order of their first appearance in nodes."""
    numbers = {}
    number = lambda names: [numbers.setdefault(name, len(numbers)) if name else None for name in names.split(',')[:-1]]
    constants = {line.split('\t')[1]: line.split('\t')[2:] for line in lines if line.startswith('constant')}
    out = []
    for line in lines:
        fields = line.split('\t')
        if fields[0] == 'node':
            values = [constants.get(name) for name in fields[5].split(',')[:-1]]
            out.append([fields[1:4], number(fields[5]), number(fields[6]), values])
        elif fields[0] == 'attr':
            out.append(fields)
    return out


def check_functions(program, folder, count):
    """Inlining here against the package's inliner; names differ."""
    import onnx.inliner
    for seed in range(count):
        model, path = function_model(seed, True), folder / 'functions.onnx'
        onnx.save(function_model(seed, False), path)
        done = subprocess.run([program, path], capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, f'functions, seed {seed}: {done.stderr.decode()}'
        got = shape_of_graph(done.stdout.decode().splitlines())
        want = shape_of_graph(model_lines(onnx.inliner.inline_local_functions(model)))
        assert got == want, f'functions, seed {seed}:\n got {got}\nwant {want}'
    print(f'{count} models with functions compared')


def check_package_models(program):
    roots = [pathlib.Path(onnx.__file__).parent / 'backend' / 'test' / 'data']
    paths = sorted(path for root in roots for path in root.rglob('*.onnx') if not onnx.load(path).functions)
    compared = sum(compare(program, path, str(path)) for path in paths)
    print(f'{compared} of {len(paths)} models of the package compared')


def main():
    program, paths = sys.argv[1], sys.argv[2:]
    if paths:
        print(sum(compare(program, path, path) for path in paths), 'of', len(paths), 'compared')
        return
    with tempfile.TemporaryDirectory() as name:
        check_generated(program, pathlib.Path(name), 200)
        check_functions(program, pathlib.Path(name), 30)
    check_package_models(program)


if __name__ == '__main__':
    main()
