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
except ImportError as missing:
    print(f'skipped: {missing}')
    sys.exit(77)

PROGRAM = os.environ.get('STIPPLE') or str(
    pathlib.Path(os.environ.get('BUILD_DIR', ROOT / 'build')).resolve() / 'tools' / 'stipple')
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
