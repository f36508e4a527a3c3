# SPDX-License-Identifier: Apache-2.0
"""Makes damaged variants of an ONNX file, and an index of what was done to each.

damage.py MODEL FOLDER [--count N] [--seed N]

FOLDER/index.json is a list of objects: `file`, `kind` (`truncated`, `bits`, `field`, `nested` or `weight`), `what` (a sentence) and
`expect`: `run` (only the value of a weight changed: it runs, and gives what any runtime gives), `error` (no correct reader can
accept it), `any` (either may be right)."""
import argparse
import json
import pathlib
import random

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

INTEGERS = [-2**63, -2**31 - 1, -7, -1, 0, 1, 2, 3, 7, 100, 2**31, 2**40, 2**62, 2**63 - 1]
FLOATS = [float('nan'), float('inf'), -float('inf'), -1.0, 0.0, 1e-40, 1e38, 0.5]
OPERATORS = ['Add', 'Mul', 'Div', 'Relu', 'Conv', 'MaxPool', 'Concat', 'Flatten', 'Reshape', 'Identity', 'Where', 'Cast', 'Not',
             'Gemm', 'Slice', 'Split', 'GlobalAveragePool', 'Sigmoid', 'BatchNormalization', 'Loop', 'Constant', '']


class NotHere(Exception):
    """The model has nothing that this damage could be done to."""


def pick(draw, items):
    items = list(items)
    if not items:
        raise NotHere
    return draw.choice(items)


def is_read(model, name):
    return any(name in node.input for node in model.graph.node)


# Weights ---------------------------------------------------------------------------------------------------------------

def change_weight(model, draw):
    """One element moves by at most a tenth of the tensor's largest magnitude."""
    tensor = pick(draw, [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and numpy.prod(t.dims) > 0
                         and is_read(model, t.name)])
    array = numpy_helper.to_array(tensor).copy()
    index = draw.randrange(array.size)
    before = array.flat[index]
    array.flat[index] = before + numpy.float32(draw.uniform(-0.1, 0.1)) * numpy.abs(array).max()
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return f"initializer '{tensor.name}', element {index}: {before} became {array.flat[index]}", 'run'


# Fields ----------------------------------------------------------------------------------------------------------------

def remove_initializer(model, draw):
    inputs = {info.name for info in model.graph.input}
    tensor = pick(draw, [t for t in model.graph.initializer if is_read(model, t.name) and t.name not in inputs])
    name = tensor.name
    model.graph.initializer.remove(tensor)
    return f"initializer '{name}' was removed", 'error'


def repeat_initializer(model, draw):
    tensor = pick(draw, model.graph.initializer)
    model.graph.initializer.append(tensor)
    return f"initializer '{tensor.name}' is there twice", 'error'


def change_dim(model, draw):
    tensor = pick(draw, [t for t in model.graph.initializer if t.dims and numpy.prod(t.dims) > 0])
    axis = draw.randrange(len(tensor.dims))
    before = tensor.dims[axis]
    tensor.dims[axis] = draw.choice([d for d in INTEGERS if d != before])
    return f"initializer '{tensor.name}', dimension {axis}: {before} became {tensor.dims[axis]}", 'error'


def change_rank(model, draw):
    tensor = pick(draw, model.graph.initializer)
    tensor.dims.extend([1] * draw.choice([1, 3, 20]))
    return f"initializer '{tensor.name}' has {len(tensor.dims)} dimensions", 'any'


def change_data_type(model, draw):
    tensor = pick(draw, [t for t in model.graph.initializer if is_read(model, t.name)])
    before = tensor.data_type
    tensor.data_type = draw.choice([t for t in (*range(18), -1, 1000) if t != before])
    return f"initializer '{tensor.name}': data type {before} became {tensor.data_type}", 'error'


def change_length(model, draw):
    tensor = pick(draw, [t for t in model.graph.initializer if t.raw_data])
    before = len(tensor.raw_data)
    tensor.raw_data = draw.choice([tensor.raw_data[:-1], tensor.raw_data + b'\0', tensor.raw_data * 2, b''])
    return f"initializer '{tensor.name}': {before} bytes became {len(tensor.raw_data)}", 'error'


def move_outside(model, draw):
    tensor = pick(draw, model.graph.initializer)
    location = draw.choice(['/etc/passwd', '../index.json', 'absent.bin', '', 'index.json'])
    tensor.ClearField('raw_data')
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {'location': location, 'offset': draw.choice(['0', '-1', '99999999999999999999'])}.items():
        tensor.external_data.add(key=key, value=value)
    return f"initializer '{tensor.name}' lies in '{location}'", 'any' if location == 'index.json' else 'error'


def change_operator(model, draw):
    node = pick(draw, model.graph.node)
    before, node.op_type = node.op_type, draw.choice(OPERATORS)
    return f"node '{node.name}': {before} became {node.op_type}", 'any'


def unknown_operator(model, draw):
    node = pick(draw, model.graph.node)
    before, node.op_type = node.op_type, 'NoSuchOperator'
    return f"node '{node.name}': {before} became {node.op_type}", 'error'


def change_domain(model, draw):
    node = pick(draw, model.graph.node)
    node.domain = draw.choice(['no.such.domain', 'stipple' if node.domain != 'stipple' else ''])
    return f"node '{node.name}' is of domain '{node.domain}'", 'error'


def rename_input(model, draw):
    node = pick(draw, [n for n in model.graph.node if any(n.input)])
    index = draw.choice([i for i, name in enumerate(node.input) if name])
    before, node.input[index] = node.input[index], 'nobody_makes_this'
    return f"node '{node.name}' reads 'nobody_makes_this' instead of '{before}'", 'error'


def change_inputs(model, draw):
    node = pick(draw, [n for n in model.graph.node if n.input])
    names, before = list(node.input), list(node.input)
    deed = draw.randrange(5)
    index = draw.randrange(len(names))
    if deed == 0:
        draw.shuffle(names)
    elif deed == 1:
        del names[index]
    elif deed == 2:
        names[index] = ''
    elif deed == 3:
        names += names[:1] * draw.choice([1, 2, 10])
    else:
        made = [name for other in model.graph.node for name in other.output]
        names[index] = draw.choice(made + [t.name for t in model.graph.initializer])
    node.ClearField('input')
    node.input.extend(names)
    return f"node '{node.name}' reads {names} instead of {before}", 'any'


def change_outputs(model, draw):
    node = pick(draw, [n for n in model.graph.node if n.output])
    before, after = list(node.output), draw.choice([[], [''], ['nobody_reads_this'], list(node.output) * 2])
    node.ClearField('output')
    node.output.extend(after)
    return f"node '{node.name}' makes {after} instead of {before}", 'any'


def remove_node(model, draw):
    outputs = {info.name for info in model.graph.output}
    node = pick(draw, [n for n in model.graph.node if any(is_read(model, name) or name in outputs for name in n.output)])
    name = node.name
    model.graph.node.remove(node)
    return f"node '{name}' was removed", 'error'


def repeat_node(model, draw):
    node = pick(draw, [n for n in model.graph.node if any(n.output)])
    model.graph.node.append(node)
    return f"node '{node.name}' is there twice", 'error'


def make_cycle(model, draw):
    node = pick(draw, [n for n in model.graph.node if n.input and n.output and n.output[0]])
    node.input[0] = node.output[0]
    if draw.random() < 0.5:
        model.graph.node.append(helper.make_node('Relu', list(node.output[:1]), ['round']))
        node.input[0] = 'round'
    return f"node '{node.name}' reads what depends on its output", 'error'


def shuffle_nodes(model, draw):
    nodes = list(model.graph.node)
    draw.shuffle(nodes)
    model.graph.ClearField('node')
    model.graph.node.extend(nodes)
    return 'the nodes are in no order', 'any'


def node_with_attribute(model, draw):
    node = pick(draw, [n for n in model.graph.node if n.attribute])
    return node, draw.choice(node.attribute)


def remove_attribute(model, draw):
    node, attr = node_with_attribute(model, draw)
    name = attr.name
    node.attribute.remove(attr)
    return f"node '{node.name}': attribute '{name}' was removed", 'any'


def repeat_attribute(model, draw):
    node, attr = node_with_attribute(model, draw)
    node.attribute.append(attr)
    return f"node '{node.name}': attribute '{attr.name}' is there twice", 'error'


def rename_attribute(model, draw):
    node, attr = node_with_attribute(model, draw)
    before, attr.name = attr.name, draw.choice(['no_such_attribute', '', 'auto_pad', 'group', 'strides'])
    return f"node '{node.name}': attribute '{before}' became '{attr.name}'", 'any'


def change_attribute(model, draw):
    node, attr = node_with_attribute(model, draw)
    before = helper.get_attribute_value(attr)
    before = list(before) if attr.type in (attr.INTS, attr.FLOATS) else before
    if attr.type == attr.INT:
        attr.i = draw.choice([i for i in INTEGERS if i != before])
    elif attr.type == attr.FLOAT:
        attr.f = draw.choice(FLOATS)
    elif attr.type == attr.INTS:
        if attr.ints and draw.random() < 0.7:
            attr.ints[draw.randrange(len(attr.ints))] = draw.choice(INTEGERS)
        else:
            attr.ints[:] = draw.choice([[], before[:-1], before + [1], before * 2])
    elif attr.type == attr.STRING:
        attr.s = draw.choice([b'', b'NO_SUCH_VALUE', b'\xff\xfe', b'SAME_UPPER', b'VALID'])
    else:
        raise NotHere
    return f"node '{node.name}': attribute '{attr.name}' became {helper.get_attribute_value(attr)} from {before}", 'any'


def change_attribute_type(model, draw):
    node, attr = node_with_attribute(model, draw)
    before = attr.type
    attr.type = draw.choice([t for t in range(1, 15) if t != before])
    return f"node '{node.name}': attribute '{attr.name}' says type {attr.type} instead of {before}", 'error'


def change_port(model, draw):
    """Type or shape of a graph input or output."""
    info = pick(draw, [*model.graph.input, *model.graph.output])
    tensor = info.type.tensor_type
    deed = draw.randrange(4)
    if deed == 0:
        before = tensor.elem_type
        tensor.elem_type = draw.choice([t for t in (*range(17), 1000, -1) if t != before])
        return f"'{info.name}': type {before} became {tensor.elem_type}", 'error'
    if deed == 1 and tensor.shape.dim:
        axis = draw.randrange(len(tensor.shape.dim))
        tensor.shape.dim[axis].dim_value = draw.choice(INTEGERS)
        return f"'{info.name}': dimension {axis} became {tensor.shape.dim[axis].dim_value}", 'any'
    if deed == 2:
        del tensor.shape.dim[draw.randrange(len(tensor.shape.dim) + 1):]
        return f"'{info.name}': rank became {len(tensor.shape.dim)}", 'any'
    for _ in range(draw.choice([1, 6, 30])):
        tensor.shape.dim.add().dim_value = 1
    return f"'{info.name}': rank became {len(tensor.shape.dim)}", 'any'


def change_ports(model, draw):
    deed = draw.randrange(5)
    if deed == 0:
        name = model.graph.output[0].name
        model.graph.output[0].name = 'nobody_makes_this'
        return f"output '{name}' became 'nobody_makes_this'", 'error'
    if deed == 1:
        model.graph.output.append(model.graph.output[0])
        return f"output '{model.graph.output[0].name}' is listed twice", 'error'
    if deed == 2:
        model.graph.ClearField('output')
        return 'all outputs were removed', 'error'
    if deed == 3:
        model.graph.input.append(model.graph.input[0])
        return f"input '{model.graph.input[0].name}' is declared twice", 'error'
    name = model.graph.input[0].name
    del model.graph.input[0]
    return f"input '{name}' was removed", 'error' if is_read(model, name) else 'any'


def change_version(model, draw):
    deed = draw.randrange(4)
    if deed == 0:
        model.ir_version = draw.choice([0, -1, 1000, 2**62])
        return f'the IR version is {model.ir_version}', 'error'
    if deed == 1:
        model.ClearField('opset_import')
        return 'the opset imports were removed', 'error'
    entry = draw.choice(model.opset_import)
    before, entry.version = entry.version, draw.choice([0, -1, 1000, 2**40, 2, 5] if deed == 2 else [7, 11, 13, 17, 20])
    return (f"opset {before} of domain '{entry.domain}' became {entry.version}",
            'error' if deed == 2 or entry.domain and before != entry.version else 'any')


def wrong_value_info(model, draw):
    made = [name for node in model.graph.node for name in node.output if name]
    name = pick(draw, made)
    model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.STRING if draw.random() < 0.5 else
                                                                TensorProto.INT64, [draw.choice([-1, 0, 3, 2**40])]))
    return f"value_info declares '{name}' as what it is not", 'any'


def change_metadata(model, draw):
    entry = model.metadata_props.add() if not model.metadata_props else draw.choice(model.metadata_props)
    deed = draw.randrange(3)
    entry.key = entry.key or 'stipple.task'
    if deed == 0:
        entry.value = draw.choice(['', 'nonsense', '1,2', 'nan,inf,0', '9' * 5000])
    elif deed == 1:
        entry.key = draw.choice(['', 'stipple.labels', 'stipple.image.resize'])
    else:
        model.metadata_props.add(key=entry.key, value='again')
    return f"metadata '{entry.key[:40]}' is '{entry.value[:40]}'", 'any'


def remove_functions(model, draw):
    if not model.functions:
        raise NotHere
    del model.functions[draw.randrange(len(model.functions))]
    return 'a function was removed', 'any'


def call_oneself(model, draw):
    node = pick(draw, model.graph.node)
    count = len(node.output)
    body = helper.make_node('Round', list(node.input[:1]), [f'o{i}' for i in range(count)], domain='local')
    function = helper.make_function('local', 'Round', list(dict.fromkeys(node.input[:1])), [f'o{i}' for i in range(count)], [body],
                                    [helper.make_opsetid('local', 1)])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid('local', 1))
    name = node.name
    node.CopyFrom(helper.make_node('Round', list(node.input[:1]), list(node.output), name=name, domain='local'))
    return f"node '{name}' calls a function that calls itself", 'error'


FIELDS = [remove_initializer, repeat_initializer, change_dim, change_rank, change_data_type, change_length, move_outside,
          change_operator, unknown_operator, change_domain, rename_input, change_inputs, change_inputs, change_outputs, remove_node,
          repeat_node, make_cycle, shuffle_nodes, remove_attribute, repeat_attribute, rename_attribute, change_attribute,
          change_attribute, change_attribute, change_attribute_type, change_port, change_port, change_ports, change_version,
          wrong_value_info, change_metadata, remove_functions, call_oneself]


# Bytes -----------------------------------------------------------------------------------------------------------------

def truncate(data, draw):
    size = draw.choice([0, 1, len(data) - 1, len(data) // 2] + [draw.randrange(len(data))] * 8)
    return data[:size], f'{size} of {len(data)} bytes are left', 'any'


def structure_of(model, data):
    """Positions of the bytes that are not weights."""
    is_weight = numpy.zeros(len(data), bool)
    at = 0
    for tensor in sorted(model.graph.initializer, key=lambda t: data.find(t.raw_data)):
        at = data.find(tensor.raw_data, at) if tensor.raw_data else at
        if at >= 0:
            is_weight[at:at + len(tensor.raw_data)] = True
    return numpy.flatnonzero(~is_weight)


def flip_bits(data, draw, structure):
    data = bytearray(data)
    flipped = []
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        position = int(draw.choice(structure)) if draw.random() < 0.8 else draw.randrange(len(data))
        bit = draw.randrange(8)
        data[position] ^= 1 << bit
        flipped.append(f'{position}.{bit}')
    return bytes(data), f"flipped bits: {', '.join(flipped)}", 'any'


def varint(value):
    out = b''
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def nest(data, draw):
    """One more node, whose subgraph's node has a subgraph, whose node has a subgraph …"""
    depth = draw.choice([10, 65, 1000, 20000])
    pieces, size = [], 0
    for _ in range(depth):
        for number in (1, 6, 5):  # GraphProto.node, AttributeProto.g, NodeProto.attribute
            pieces.append(varint(number << 3 | 2) + varint(size))
            size += len(pieces[-1])
    node = block(4, b'If') + block(2, b'nested') + b''.join(reversed(pieces))
    model = onnx.load_model_from_string(data)
    graph = model.graph.SerializeToString() + block(1, node)
    model.ClearField('graph')
    return model.SerializeToString() + block(7, graph), f'messages nested {3 * depth} deep were added', 'error'


# The whole -------------------------------------------------------------------------------------------------------------

def damage(data, draw, kind, structure):
    """What became of the file, a sentence, and what is expected."""
    if kind == 'truncated':
        return truncate(data, draw)
    if kind == 'bits':
        return flip_bits(data, draw, structure)
    if kind == 'nested':
        return nest(data, draw)
    while True:
        model = onnx.load_model_from_string(data)
        try:
            what, expect = (change_weight if kind == 'weight' else draw.choice(FIELDS))(model, draw)
        except NotHere:
            continue
        return model.SerializeToString(), what, expect


def make(path, folder, count, seed):
    """Writes the variants and the index; gives the index."""
    draw, folder = random.Random(seed), pathlib.Path(folder)
    data = pathlib.Path(path).read_bytes()
    structure = structure_of(onnx.load_model_from_string(data), data)
    kinds = ['truncated', 'bits', 'bits', 'bits', 'field', 'field', 'field', 'field', 'weight']
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for number in range(count):
        kind = 'nested' if number % 50 == 49 else kinds[number % len(kinds)]
        damaged, what, expect = damage(data, draw, kind, structure)
        name = f'{number:04}.onnx'
        (folder / name).write_bytes(damaged)
        index.append({'file': name, 'kind': kind, 'what': what, 'expect': expect})
    (folder / 'index.json').write_text(json.dumps(index, indent=1, ensure_ascii=False), encoding='utf-8')
    return index


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model')
    parser.add_argument('folder')
    parser.add_argument('--count', type=int, default=500)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    index = make(options.model, options.folder, options.count, options.seed)
    print(f'{len(index)} variants in {options.folder}')


if __name__ == '__main__':
    main()
