# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command share: calling it, and small models to call it on.

STIPPLE names the program, or BUILD_DIR its build folder."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

try:
    import numpy
    from onnx import TensorProto, helper, numpy_helper
    from PIL import Image

    from tools.zoo import functions as zoo
except ImportError as missing:
    print(f'skipped: {missing}')
    sys.exit(77)

PROGRAM = os.environ.get('STIPPLE') or str(
    pathlib.Path(os.environ.get('BUILD_DIR', ROOT / 'build')).resolve() / 'tools' / 'stipple')
HELPER = str(pathlib.Path(PROGRAM).parents[1] / 'src' / 'stipple-probe')
node = helper.make_node
FLOAT = TensorProto.FLOAT


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='stipple-test-'))
        self.addCleanup(shutil.rmtree, self.folder)

    def call(self, *arguments, code=0, stdin=None, **environment):
        """Runs the command; the finished process, its streams as text."""
        known = {key: value for key, value in os.environ.items() if not key.startswith('STIPPLE_')}
        done = subprocess.run([PROGRAM, *map(str, arguments)],
                              capture_output=True,
                              timeout=300,
                              check=False,
                              cwd=self.folder,
                              input=stdin if stdin is not None else b'',
                              env={**known, 'STIPPLE_CACHE': 'off', **environment})
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f'{arguments}\n{done.stdout}\n{done.stderr}')
        return done

    def preloading(self, library):
        """The environment that loads a library before all others; sanitizers want to come first, which does not matter here."""
        options = [os.environ.get('ASAN_OPTIONS', ''), 'verify_asan_link_order=0']
        link = self.folder / 'preloaded.so'  # LD_PRELOAD ends a name at a space
        if not link.is_symlink():
            link.symlink_to(os.path.abspath(library))
        return {'LD_PRELOAD': str(link), 'ASAN_OPTIONS': ':'.join(filter(None, options))}

    def json(self, *arguments, **more):
        """The object that the command prints with --json: alone on stdout."""
        return json.loads(self.call(*arguments, '--json', **more).stdout)

    def refused(self, *arguments, code=1, says='', **more):
        """A failure: one sentence on stderr, nothing on stdout."""
        done = self.call(*arguments, code=code, **more)
        self.assertEqual(done.stdout, '')
        self.assertRegex(done.stderr, r'\Astipple: [^\n]+\n\Z')
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, done.stderr)

    def below(self, folder=None):
        """Every file and folder below a folder, as sorted relative paths."""
        folder = self.folder / (folder or '')
        return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))

    def model(self,
              name,
              nodes,
              inputs,
              outputs,
              constants=None,
              metadata=None,
              opset=18,
              more_opsets=(),
              functions=()):
        """Writes a model; inputs and outputs are of (name, type, shape)."""
        graph = helper.make_graph(
            nodes, 'graph', [helper.make_tensor_value_info(*value)
                             for value in inputs], [helper.make_tensor_value_info(*value) for value in outputs],
            [numpy_helper.from_array(numpy.asarray(value), key) for key, value in (constants or {}).items()])
        model = helper.make_model(graph,
                                  opset_imports=[helper.make_opsetid('', opset), *more_opsets],
                                  functions=functions,
                                  ir_version=8)
        helper.set_model_props(model, metadata or {})
        path = self.folder / name
        path.write_bytes(model.SerializeToString())
        return path

    def identity(self, name='identity.onnx', size=('H', 'W'), **metadata):
        """y is the image as it went in. Keyword image_mean is the key stipple.image.mean."""
        return self.model(name, [node('Identity', ['x'], ['y'])], [('x', FLOAT, [1, 3, *size])], [('y', FLOAT, None)],
                          metadata={'stipple.' + key.replace('_', '.'): value
                                    for key, value in metadata.items()})

    def photo(self, name='photo.png', width=48, height=32, seed=0):
        """Smooth on the left, noise on the right."""
        pixels = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
        pixels[:, :width // 2] = numpy.linspace(0, 255, height, dtype=numpy.uint8)[:, None, None]
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    def array(self, name, value):
        numpy.save(self.folder / name, value)
        return self.folder / name

    def blocks(self):
        """Two blocks. The kernel of `fill1` runs its block's end, and makes the products of `look2` in passing."""
        def weights(*shape):
            return (random.standard_normal(shape) / numpy.sqrt(numpy.prod(shape[1:]))).astype(numpy.float32)

        random = numpy.random.default_rng(0)
        draw = {'domain': 'stipple', 'stochastic': 1, 'grid': 3}
        nodes = [
            node('Conv', ['x', 'w1'], ['c1'], name='first', pads=[1] * 4),
            node('Relu', ['c1'], ['f'], name='first.relu'),
            node('Conv', ['f', 'l1'], ['logits1'], name='look1', pads=[1] * 4),
            node('Sample', ['logits1', 'seed'], ['m1'], name='draw1', stream=1, **draw),
            node('Conv', ['f', 'w2'], ['c2'], name='second', pads=[1] * 4),
            node('Interpolate', ['c2', 'm1', 'kernel'], ['i1'], name='fill1', domain='stipple', epsilon=1e-5),
            node('Conv', ['f', 'w3'], ['c3'], name='shortcut'),
            node('Add', ['i1', 'c3'], ['sum'], name='sum'),
            node('Relu', ['sum'], ['g'], name='sum.relu'),
            node('Conv', ['g', 'l2'], ['logits2'], name='look2', pads=[1] * 4),
            node('Sample', ['logits2', 'seed'], ['m2'], name='draw2', stream=2, **draw),
            node('Conv', ['g', 'w4', 'b4'], ['c4'], name='last', strides=[1, 1]),
            node('Interpolate', ['c4', 'm2', 'kernel'], ['y'], name='fill2', domain='stipple', epsilon=1e-5),
            node('Conv', ['g', 'w5'], ['z'], name='stride', strides=[2, 2]),
        ]
        constants = {
            'w1': weights(8, 3, 3, 3), 'l1': weights(1, 8, 3, 3), 'w2': weights(6, 8, 3, 3), 'w3': weights(6, 8, 1, 1),
            'l2': weights(1, 6, 3, 3), 'w4': weights(5, 6, 1, 1), 'b4': weights(5, 1)[:, 0],
            'w5': weights(5, 6, 1, 1), 'kernel': numpy.ones((7, 7), numpy.float32), 'seed': numpy.array([3])
        }
        model = self.model('blocks.onnx',
                           nodes, [('x', FLOAT, [1, 3, 'H', 'W']), ('seed', TensorProto.INT64, [1])],
                           [('y', FLOAT, None), ('z', FLOAT, None)],
                           constants,
                           more_opsets=[helper.make_opsetid('stipple', 1)],
                           functions=zoo.stipple_functions(nodes))
        x = numpy.random.default_rng(1).standard_normal((1, 3, 20, 24)).astype(numpy.float32)
        return [model, '--input', f'x={self.array("x.npy", x)}']
