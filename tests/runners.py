# SPDX-License-Identifier: Apache-2.0
"""Cases of small ONNX models, and what runs them: the C reference or the command, against ONNX Runtime."""
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnx.reference
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tools.zoo import functions as zoo

onnxruntime.set_default_logger_severity(4)

TYPES = {'f': TensorProto.FLOAT, 'i': TensorProto.INT32, 'l': TensorProto.INT64, 'b': TensorProto.BOOL}
DTYPES = {'f': numpy.float32, 'i': numpy.int32, 'l': numpy.int64, 'b': numpy.bool_}
CODES = {numpy.dtype(dtype): code for code, dtype in DTYPES.items()}


class Case:
    """A model with inputs. What is expected: `want` (a dict of arrays), an error whose text holds all of `error`, or what ONNX Runtime gives.

    `tolerance` is relative to `scale`, or without it to the largest magnitude of an output; 0: equal, where all NaNs are equal and so
    are the zeros."""

    def __init__(self, name, nodes, inputs, outputs, opset, constants=None, free=False, want=None, error=None, tolerance=0.0,
                 scale=None):
        inputs = {key: numpy.asarray(value) for key, value in inputs.items()}
        self.name, self.inputs, self.want, self.error, self.tolerance, self.scale = name, inputs, want, error, tolerance, scale
        graph = helper.make_graph(
            nodes, 'case',
            [helper.make_tensor_value_info(key, TYPES[CODES[value.dtype]],
                                           [f'{key}{axis}' for axis in range(value.ndim)] if free else value.shape)
             for key, value in inputs.items()],
            [helper.make_tensor_value_info(key, TYPES[code], None) for key, code in outputs.items()],
            [numpy_helper.from_array(numpy.asarray(value), key) for key, value in (constants or {}).items()])
        functions = zoo.stipple_functions(nodes)
        imports = [helper.make_opsetid('', opset)] + [helper.make_opsetid(zoo.DOMAIN, zoo.DOMAIN_VERSION)] * bool(functions)
        self.model = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)

    def expected(self):
        if self.want is not None:
            return self.want
        names = [output.name for output in self.model.graph.output]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(self.model.SerializeToString(), options, ['CPUExecutionProvider'])
            values = session.run(names, self.inputs)
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
            # Types and opsets without a kernel in ONNX Runtime.
            values = onnx.reference.ReferenceEvaluator(self.model).run(names, self.inputs)
        return dict(zip(names, values))


class Failure(Exception):
    """The run ended with an error; its text is what was said on stderr."""


class Reference:
    """The program ref_model."""

    def __init__(self, program):
        self.program = program

    def command(self, model, folder, inputs, output):
        return [self.program, str(model), str(folder), str(output)]

    def run(self, case):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            model, output = folder / 'model.onnx', folder / 'output'
            model.write_bytes(case.model.SerializeToString())
            output.mkdir()
            for key, value in case.inputs.items():
                (folder / f'{key}.pb').write_bytes(numpy_helper.from_array(value, key).SerializeToString())
            done = subprocess.run(self.command(model, folder, case.inputs, output), capture_output=True, timeout=300, check=False)
            said = done.stderr.decode(errors='replace')
            if done.returncode == 1:
                raise Failure(said)
            if done.returncode:
                raise AssertionError(f'ended with {done.returncode}: {said}')
            return {out.name: numpy.load(output / (re.sub(r'[^A-Za-z0-9._-]', '_', out.name) + '.npy'))
                    for out in case.model.graph.output}


class Command(Reference):
    """`stipple run`, on a device."""

    def __init__(self, program, options):
        super().__init__(program)
        self.options = options

    def command(self, model, folder, inputs, output):
        given = [part for key in inputs for part in ('--input', f'{key}={folder / key}.pb')]
        return [self.program, 'run', str(model), *given, '--output', str(output), *self.options]


def check_equal(test, key, got, want, tolerance, scale=None):
    """All that can differ between two arrays; says where the worst difference is."""
    want = numpy.asarray(want)
    test.assertEqual((got.dtype, got.shape), (want.dtype, want.shape), key)
    if got.dtype != numpy.float32:
        wrong = got != want
    else:
        test.assertTrue(numpy.array_equal(numpy.isnan(got), numpy.isnan(want)), f'{key}: NaN at other places')
        finite = numpy.abs(want[numpy.isfinite(want)])
        limit = tolerance * (scale or (finite.max() if finite.size else 0))
        with numpy.errstate(invalid='ignore'):
            wrong = ~((got == want) | (numpy.abs(got - want) <= limit) | numpy.isnan(want))
    if numpy.any(wrong):
        first = tuple(int(i[0]) for i in numpy.nonzero(numpy.atleast_1d(wrong)))
        test.fail(f'{key}: {int(wrong.sum())} of {wrong.size} differ, the first at {first}: '
                  f'{numpy.atleast_1d(got)[first]!r}, wanted {numpy.atleast_1d(want)[first]!r}')


def check_case(test, runner, case):
    if case.error is not None:
        with test.assertRaises(Failure) as caught:
            runner.run(case)
        for part in case.error:
            test.assertIn(part, str(caught.exception))
        return
    want = case.expected()
    got = runner.run(case)
    for key, value in want.items():
        check_equal(test, key, got[key], value, case.tolerance, case.scale)
