# SPDX-License-Identifier: Apache-2.0
"""Every verb of the command: what it prints, what it writes, how it fails. See command.py."""
import json
import os
import pty
import signal
import subprocess
import time
import unittest

from command import FLOAT, PROGRAM, ROOT, CommandTest, Image, TensorProto, helper, node, numpy

from tools.zoo import functions

KEYS = ['device', 'platform', 'driver', 'model', 'photo', 'seed', 'masks', 'macs', 'ms', 'memory', 'outputs']
DEVICE_KEYS = [
    'index', 'platform', 'platform_version', 'platform_vendor', 'name', 'vendor', 'device_version', 'driver_version',
    'type', 'unusable', 'inexact', 'compute_units', 'clock_mhz', 'global_memory', 'max_allocation', 'local_memory',
    'local_memory_is_global', 'unified_memory', 'max_work_group_size', 'max_work_item_sizes',
    'native_vector_width_float', 'base_address_align', 'fp16', 'fp64', 'is_default', 'speed'
]


class Words(CommandTest):
    """Verbs, options, environment."""

    def test_version(self):
        for option in ('--version', '-V'):
            self.assertRegex(
                self.call(option).stdout, r'\Astipple \d+\.\d+\.\d+\n.*ONNX.*domain stipple, version 1\n.*1\.2.*\n\Z')

    def test_help(self):
        self.assertIn('usage: stipple', self.call('--help').stdout)
        for verb in ('devices', 'info', 'run', 'bench', 'profile', 'tune', 'selftest', 'cache'):
            for option in ('--help', '-h'):
                self.assertIn(f'usage: stipple {verb}', self.call(verb, option).stdout)

    def test_unknown_verb(self):
        for word, nearest in [('rnu', 'run'), ('device', 'devices'), ('inof', 'info')]:
            said = self.call(word, 'x', code=2).stderr
            self.assertIn(f"stipple: there is no verb '{word}'; did you mean '{nearest}'?\nusage:", said)
        self.assertNotIn('mean', self.call('benchmark', code=2).stderr)
        self.assertIn('usage:', self.call(code=2).stderr)

    def test_usage_errors(self):
        for arguments, says in [(['--nothing'], '--nothing'), (['-x'], '-x'), (['run'], 'MODEL'), (['info'], 'MODEL'),
                                (['info', 'a', 'b'], 'one MODEL'), (['devices', 'a'], "'a'"),
                                (['run', '--nothing'], '--nothing'), (['run', 'a', '--runs'], '--runs'),
                                (['run', 'a', '--json=1'], '--json=1'), (['run', 'a', '-qx'], '-x'),
                                (['run', 'a', '--runs', '0'], '--runs 0'), (['run', 'a', '--runs', '3x'], '--runs 3x'),
                                (['run', 'a', '--seed', 'one'], '--seed one'),
                                (['run', 'a', '--seed', '9223372036854775808'], '--seed'),
                                (['run', 'a', '--seed', ''], '--seed')]:
            self.refused(*arguments, code=2, says=[says, '--help'])

    def test_log_levels(self):
        self.refused('devices', code=2, says='STIPPLE_LOG', STIPPLE_LOG='loud')
        self.assertEqual(self.call('info', 'nowhere', code=1, STIPPLE_LOG='none').stderr, '')
        model = self.identity()
        note = "stipple: warning: the model has no input 'seed', so --seed changes nothing\n"
        run = ['run', model, self.photo(), '--seed', 1]
        self.assertEqual(self.call(*run).stderr, note)
        self.assertEqual(self.call(*run, '-q').stderr, '')
        self.assertEqual(self.call('-q', *run).stderr, '')
        self.assertEqual(self.call(*run, STIPPLE_LOG='error').stderr, '')
        self.assertIn(note, self.call(*run, '-v', '-v').stderr)

    def test_full_standard_output(self):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([PROGRAM, '--version'], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'standard output', done.stderr)


class Devices(CommandTest):
    def test_list(self):
        devices = json.loads(self.call('devices', '--json').stdout)['devices']
        self.assertEqual(sum(device['is_default'] for device in devices), 1)
        for index, device in enumerate(devices):
            self.assertEqual(list(device), DEVICE_KEYS)
            self.assertEqual(device['index'], index)
        said = self.call('devices').stdout
        for device in devices:
            self.assertIn(f"{device['index']} {device['type']}: {device['name']}", said)
            for key in ('platform', 'platform_version', 'driver_version', 'device_version'):
                self.assertIn(device[key], said)

    def test_none(self):
        (self.folder / 'empty').mkdir()
        for arguments in [('devices',), ('devices', '--json'), ('run', self.identity(), self.photo())]:
            self.refused(*arguments,
                         says=['no OpenCL device', 'install', 'pocl'],
                         OCL_ICD_VENDORS=str(self.folder / 'empty'))

    def test_choice(self):
        run = ['run', self.identity(), self.photo()]
        name = self.json(*run)['device']
        self.assertEqual(self.json(*run, '--device', '0', STIPPLE_DEVICE='nonsense')['device'], name)
        self.assertEqual(self.json(*run, STIPPLE_DEVICE=name)['device'], name)
        self.refused(*run, says="'nonsense'", STIPPLE_DEVICE='nonsense')
        self.refused(*run, '--device', '99', says="'99'")


class Sampling(CommandTest):
    """A base for tests with a network that samples."""

    def sparse(self, name='sparse.onnx', batch='N', default=3, seed_shape=('N',)):
        """y interpolates a Conv at sites drawn where x is bright; the mask's node is called `look/here`."""
        weight = numpy.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(numpy.float32)
        nodes = [
            node('Conv', ['x', 'w'], ['features'], pads=[1, 1, 1, 1]),
            node('Conv', ['x', 'v'], ['logits']),
            node('Sample', ['logits', 'seed'], ['mask'],
                 name='look/here',
                 domain='stipple',
                 stochastic=1,
                 stream=5,
                 grid=4),
            node('Interpolate', ['features', 'mask', 'kernel'], ['y'], domain='stipple', epsilon=1e-5)
        ]
        constants = {
            'w': weight, 'v': numpy.ones((1, 3, 1, 1), numpy.float32), 'kernel': numpy.ones((3, 3), numpy.float32)
        }
        if default is not None:
            constants['seed'] = numpy.array([default])
        return self.model(name,
                          nodes, [('x', FLOAT, [batch, 3, 'H', 'W']), ('seed', TensorProto.INT64, seed_shape)],
                          [('y', FLOAT, None)],
                          constants, {'stipple.image.mean': '0.5,0.5,0.5', 'stipple.image.std': '.3,.3,.3'},
                          more_opsets=[helper.make_opsetid('stipple', 1)],
                          functions=functions.stipple_functions(nodes))


class Info(Sampling):
    def test_json(self):
        said = self.json('info', self.sparse())
        self.assertEqual(list(said),
                         ['model', 'inputs', 'outputs', 'operators', 'parameters', 'convolutions', 'metadata'])
        self.assertEqual(said['inputs'],
                         [{'name': 'x', 'dtype': 'float32', 'shape': ['N', 3, 'H', 'W'], 'has_default': False},
                          {'name': 'seed', 'dtype': 'int64', 'shape': ['N'], 'has_default': True}])
        self.assertEqual(said['outputs'][0]['name'], 'y')
        counts = {(entry['domain'], entry['op']): entry['count'] for entry in said['operators']}
        self.assertEqual(counts, {('', 'Conv'): 2, ('stipple', 'Sample'): 1, ('stipple', 'Interpolate'): 1})
        self.assertEqual(said['parameters'], 4 * 27 + 3 + 9)
        regions = [entry['region'] for entry in said['convolutions']]
        self.assertEqual(sorted(regions), ['all', 'list(mask)'])
        self.assertTrue(all(entry['reason'] for entry in said['convolutions']))
        self.assertEqual(said['metadata'], {'stipple.image.mean': '0.5,0.5,0.5', 'stipple.image.std': '.3,.3,.3'})

    def test_text(self):
        said = self.call('info', self.sparse()).stdout
        for part in [
                'x  float32 N×3×H×W', 'seed  int64 N  (with a default)', '2  Conv', '1  stipple.Sample', '120',
                'list(mask)', 'stipple.image.mean  0.5,0.5,0.5'
        ]:
            self.assertIn(part, said)

    def test_standard_input(self):
        data = self.sparse().read_bytes()
        said = self.json('info', '-', stdin=data)
        self.assertEqual(said['model'], '-')
        self.assertEqual(said['parameters'], 120)
        self.refused('info', '-', stdin=b'', says='standard input')
        self.refused('info', '-', stdin=data[:-9], says='standard input')

    def test_bad_files(self):
        model = self.sparse()
        self.refused('info', 'nowhere.onnx', says='nowhere.onnx')
        self.refused('info', self.folder, says='not a regular file')
        (self.folder / 'cut.onnx').write_bytes(model.read_bytes()[:300])
        self.refused('info', 'cut.onnx', says='cut.onnx')
        unknown = self.model('unknown.onnx',
                             [node('Wobble', ['x'], ['y'], name='first'),
                              node('Wiggle', ['y'], ['z'], name='second')], [('x', FLOAT, [1])], [('z', FLOAT, None)])
        self.refused('info', unknown, says=['Wobble', 'first', 'Wiggle', 'second'])

    def test_terminal_is_safe(self):
        """Text from the file cannot steer the terminal, nor break the JSON."""
        labels = 'y\x1b[31m\x07"\\'
        model = self.identity(labels=labels)
        self.assertNotIn('\x1b', self.call('info', model).stdout)
        self.assertEqual(self.json('info', model)['metadata']['stipple.labels'], labels)
        self.refused('run', self.identity(task='\x1b[31m'), self.photo(), says='?[31m')


class Run(Sampling):
    def test_json(self):
        photo = self.photo()
        said = self.json('run', self.sparse(), photo)
        self.assertEqual(list(said), KEYS)
        self.assertEqual((said['seed'], said['photo'], said['model']),
                         (3, str(photo), str(self.folder / 'sparse.onnx')))
        mask, = said['masks']
        self.assertEqual(list(mask), ['node', 'height', 'width', 'sampled'])
        self.assertEqual((mask['node'], mask['height'], mask['width']), ('look/here', 32, 48))
        sites, macs = 32 * 48, said['macs']
        self.assertEqual(list(macs), ['dense', 'done', 'masks', 'interpolation'])
        self.assertEqual(macs['dense'], sites * 4 * 27)
        self.assertEqual(macs['masks'], sites * 3)
        self.assertAlmostEqual(macs['done'], round(sites * mask['sampled']) * 4 * 27 + sites * 3)
        self.assertEqual(list(said['ms']), ['load', 'compile', 'first'])
        self.assertEqual(list(said['memory']), ['arena_bytes', 'weight_bytes'])
        output, = said['outputs']
        self.assertEqual((output['name'], output['shape'], output['nan']), ('y', [1, 4, 32, 48], 0))
        self.assertLess(output['min'], output['mean'])
        self.assertLess(output['mean'], output['max'])

    def test_text(self):
        said = self.call('run', self.sparse(), self.photo(), '--seed', 7, '--runs', 2).stdout
        for part in ['photo.png, 48×32', 'seed     7', 'masks    1, sampled', '2 warm', 'y  float32 1×4×32×48  min']:
            self.assertIn(part, said)

    def test_plain_network(self):
        """Without Sample: nothing is saved, nothing is said of masks."""
        model = self.model('plain.onnx', [node('Conv', ['x', 'w'], ['y'])], [('x', FLOAT, [1, 3, 'H', 'W'])],
                           [('y', FLOAT, None)], {'w': numpy.ones((2, 3, 1, 1), numpy.float32)})
        said = self.json('run', model, self.photo())
        self.assertEqual((said['masks'], said['seed']), ([], None))
        self.assertEqual((said['macs']['dense'], said['macs']['done']), (32 * 48 * 6, 32 * 48 * 6))
        done = self.call('run', model, self.photo(), '--masks', 'masks')
        self.assertIn('no sampling mask', done.stderr)
        self.assertNotIn('masks', self.below())

    def test_runs(self):
        ms = self.json('run', self.sparse(), self.photo(), '--runs', 5)['ms']
        self.assertEqual(list(ms), ['load', 'compile', 'first', 'warm_min', 'warm_median'])
        self.assertLessEqual(ms['warm_min'], ms['warm_median'])

    def outputs(self, *arguments):
        self.call('run', *arguments, '--output', 'out')
        return numpy.load(self.folder / 'out' / 'y.npy').tobytes()

    def test_seeds_and_modes(self):
        run = [self.sparse(), self.photo()]
        seven = self.outputs(*run, '--seed', 7)
        self.assertEqual(seven, self.outputs(*run, '--seed', 7, '--dense'))
        self.assertEqual(seven, self.outputs(*run, '--seed', 7, '--exact'))
        self.assertEqual(seven, self.outputs(*run, '--seed', 7 - 2**32))
        self.assertEqual(seven, self.outputs(*run, '--input', f'seed={self.array("seed.npy", numpy.array([7]))}'))
        self.assertNotEqual(seven, self.outputs(*run, '--seed', 8))
        self.assertEqual(self.outputs(*run), self.outputs(*run, '--seed', 3))

    def test_seed_of_a_batch(self):
        x = self.array('x.npy', numpy.random.default_rng(0).random((3, 3, 16, 16), numpy.float32))
        given = ['run', self.sparse(), '--input', f'x={x}']
        self.assertEqual(self.json(*given, '--seed', 9)['seed'], 9)
        seeds = self.array('seed.npy', numpy.array([1, -2, 2**62 + 1]))
        self.assertEqual(self.json(*given, '--input', f'seed={seeds}')['seed'], [1, -2, 2**62 + 1])
        needed = self.sparse('needed.onnx', default=None)
        self.refused('run', needed, '--input', f'x={x}', code=2, says=["'seed'", '--seed'])
        self.json('run', needed, '--input', f'x={x}', '--seed', 1)

    def test_wrong_inputs(self):
        model, photo, x = self.sparse(), self.photo(), self.array('x.npy', numpy.zeros((1, 3, 8, 8), numpy.float32))
        seed = self.array('seed.npy', numpy.array([1]))
        run = ['run', model]
        self.refused(*run, code=2, says=["'x'", 'a photo or --input x=FILE'])
        self.refused(*run, photo, '--input', f'x={x}', code=2, says=["'x'", 'photo'])
        self.refused(*run, photo, '--input', f'z={x}', code=2, says=['z=', 'x, seed'])
        self.refused(*run, photo, '--input', 'seed', code=2, says='x, seed')
        self.refused(*run, '--input', f'x={x}', '--input', f'x={x}', code=2, says='twice')
        self.refused(*run, photo, '--seed', 1, '--input', f'seed={seed}', code=2, says=['--seed', '--input seed='])
        flat = self.model('flat.onnx', [node('Identity', ['x'], ['y'])], [('x', FLOAT, [1, 5])], [('y', FLOAT, None)])
        self.refused('run', flat, photo, says='no float input of rank 4')
        grey = self.model('grey.onnx', [node('Identity', ['x'], ['y'])], [('x', FLOAT, [1, 1, 8, 8])],
                          [('y', FLOAT, None)])
        self.refused('run', grey, photo, says=['1 channels', "'x'"])

    def test_wrong_photos(self):
        model, photo = self.sparse(), self.photo()
        self.refused('run', model, 'nowhere.jpg', says='nowhere.jpg')
        (self.folder / 'text.jpg').write_text('no photo')
        self.refused('run', model, 'text.jpg', says='text.jpg is neither a PNG nor a JPEG file')
        (self.folder / 'cut.png').write_bytes(photo.read_bytes()[:500])
        self.refused('run', model, 'cut.png', '--output', 'out', '--masks', 'masks', says='cut.png is corrupt')
        os.mkfifo(self.folder / 'pipe.png')
        self.refused('run', model, 'pipe.png', says='pipe.png is not a regular file')
        self.refused('run', model, '--input', 'x=pipe.png', says='pipe.png is not a regular file')
        (self.folder / 'empty').mkdir()
        self.refused('run', model, 'empty', says='folder empty holds no PNG or JPEG file')
        large = self.model('large.onnx', [node('Conv', ['x', 'w'], ['y'], name='window')],
                           [('x', FLOAT, [1, 3, 'H', 'W'])], [('y', FLOAT, None)],
                           {'w': numpy.ones((1, 3, 40, 40), numpy.float32)})
        self.refused('run', large, photo, says="'window'")
        self.assertEqual(self.below('empty'), [])
        self.assertFalse({'out', 'masks'} & set(self.below()))

    def test_metadata(self):
        photo = self.photo()
        for key, value, says in [('task', 'detect', 'detect'), ('task', 'dream', 'stipple.task'),
                                 ('labels', '{}', 'stipple.labels'), ('labels', '[1]', 'stipple.labels'),
                                 ('image_mean', '1,2', 'stipple.image.mean'),
                                 ('image_resize', 'exact=3', 'stipple.image.resize'),
                                 ('image_order', 'GBR', 'stipple.image.order')]:
            self.refused('run', self.identity(**{key: value}), photo, '--output', 'out', says=says)
        for task in ('classify',):
            self.refused('run', self.identity(task=task), photo, '--output', 'out', says=f'the task is {task}')
        self.assertNotIn('out', self.below())

    def test_standard_input(self):
        said = self.json('run', '-', self.photo(), stdin=self.sparse().read_bytes())
        self.assertEqual((said['model'], len(said['masks'])), ('-', 1))

    def test_not_a_number(self):
        value = numpy.full((1, 3, 4, 4), 2, numpy.float32)
        value[0, 0, 0, :2] = numpy.nan
        value[0, 1, 0, 0] = numpy.inf
        run = ['run', self.identity(), '--input', f'x={self.array("x.npy", value)}', '--output', 'out']
        output, = self.json(*run)['outputs']
        self.assertEqual((output['nan'], output['min'], output['mean'], output['max']), (2, 2, None, None))
        self.assertIn('and 2 NaN', self.call(*run).stdout)
        self.assertEqual(numpy.load(self.folder / 'out' / 'y.npy').tobytes(), value.tobytes())

    def test_progress(self):
        main, terminal = pty.openpty()
        run = [PROGRAM, 'run', str(self.sparse()), str(self.photo()), '--runs', '3', '--json']
        with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=terminal) as process:
            said = json.loads(process.communicate(timeout=300)[0])
        os.close(terminal)
        shown = os.read(main, 1 << 16)
        os.close(main)
        self.assertIn('warm_min', said['ms'])
        self.assertIn(b'\r\x1b[Krun 3 of 3', shown)
        self.assertTrue(shown.endswith(b'\r\x1b[K'))


class Tasks(CommandTest):
    def test_classify(self):
        scores = numpy.array([[1, 9, 3, numpy.nan, 7, 8, 2], [5, 5, 5, 5, 5, 5, 6]], numpy.float32)
        x = self.array('x.npy', scores)
        model = self.model('classify.onnx', [node('Identity', ['x'], ['y'])], [('x', FLOAT, ['N', 7])],
                           [('y', FLOAT, None)],
                           metadata={
                               'stipple.task': 'classify', 'stipple.labels':
                               '["ant", "bee", "cat", "dog", "eel", "fly\\u001b"]'
                           })
        said = self.call('run', model, '--input', f'x={x}').stdout
        self.assertRegex(
            said, r'(?s)image 0\n +9.0000  bee\n +8.0000  fly\?\n +7.0000  eel\n +3.0000  cat\n +2.0000  class 6\n'
            r'labels of image 1\n +6.0000  class 6\n +5.0000  ant\n +5.0000  bee\n +5.0000  cat\n +5.0000  dog\n\Z')
        labels = self.json('run', model, '--input', f'x={x}')['labels']
        self.assertEqual(labels[0][0], {'class': 1, 'label': 'bee', 'score': 9})
        self.assertEqual([entry['class'] for entry in labels[1]], [6, 0, 1, 2, 3])
        self.assertIsNone(labels[1][0]['label'])

    def segmenting(self, resize):
        """Three classes, from the channel that is the largest, at half the input's size; padding is class 0."""
        return self.model('segment.onnx', [node('AveragePool', ['x'], ['y'], kernel_shape=[2, 2], strides=[2, 2])],
                          [('x', FLOAT, [1, 3, 'H', 'W'])], [('y', FLOAT, None)],
                          metadata={'stipple.task': 'segment', 'stipple.image.resize': resize})

    def test_segment(self):
        pixels = numpy.zeros((20, 30, 3), numpy.uint8)
        pixels[:, :10, 0] = pixels[:, 10:20, 1] = pixels[:, 20:, 2] = 200
        Image.fromarray(pixels).save(self.folder / 'photo.png')
        model = self.segmenting('multiple=32')
        self.assertIn('overlay  not written', self.call('run', model, 'photo.png').stdout)
        said = self.call('run', model, 'photo.png', '--output', 'out').stdout
        self.assertIn('overlay  out/overlay.png', said)
        self.assertEqual(self.below('out'), ['overlay.png', 'y.npy'])
        overlay = numpy.asarray(Image.open(self.folder / 'out' / 'overlay.png'))
        self.assertEqual(overlay.shape, (20, 30, 3))
        colours = {tuple(overlay[0, x]) for x in (0, 10, 20)}
        self.assertEqual(len(colours), 3)
        for x in (0, 10, 20):
            self.assertTrue((overlay[:, x:x + 10] == overlay[0, x]).all())


class Files(Sampling):
    """What --output and --masks write."""

    def test_outputs(self):
        model = self.model(
            'names.onnx',
            [node('Identity', ['x'], ['größe/0:y']), node('Relu', ['x'], ['b'])], [('x', FLOAT, [1, 3, 'H', 'W'])],
            [('größe/0:y', FLOAT, None), ('b', FLOAT, None)])
        (self.folder / 'deep' / 'out').mkdir(parents=True)
        (self.folder / 'deep' / 'out' / 'b.npy').write_text('old')
        (self.folder / 'deep' / 'out' / 'other').write_text('stays')
        self.call('run', model, self.photo(), '--output', 'deep/out')
        self.assertEqual(self.below('deep/out'), ['b.npy', 'gr__e_0_y.npy', 'other'])
        self.assertEqual(numpy.load(self.folder / 'deep/out/b.npy').shape, (1, 3, 32, 48))
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual((self.folder / 'deep/out/b.npy').stat().st_mode & 0o777, 0o666 & ~mask)

    def test_names_that_become_equal(self):
        model = self.model(
            'names.onnx',
            [node('Identity', ['x'], ['a:b']), node('Relu', ['x'], ['a/b'])], [('x', FLOAT, [1, 3, 'H', 'W'])],
            [('a:b', FLOAT, None), ('a/b', FLOAT, None)])
        self.refused('run', model, self.photo(), '--output', 'out', says=["'a:b'", "'a/b'", 'a_b.npy'])
        self.assertNotIn('out', self.below())
        self.call('run', model, self.photo())

    def test_masks(self):
        said = self.json('run', self.sparse(), self.photo(), '--masks', 'masks')
        self.assertEqual(self.below('masks'), ['heat.png', 'look_here.png'])
        mask = numpy.asarray(Image.open(self.folder / 'masks' / 'look_here.png'))
        self.assertEqual((mask.dtype, mask.shape, set(mask.flat)), (numpy.uint8, (32, 48), {0, 255}))
        self.assertAlmostEqual((mask == 255).mean(), said['masks'][0]['sampled'])
        self.assertTrue((mask[::4, ::4] == 255).all())
        heat = numpy.asarray(Image.open(self.folder / 'masks' / 'heat.png')).astype(int)
        self.assertEqual(heat.shape, (32, 48, 3))
        self.assertGreater(heat[mask == 255].mean(), heat[mask == 0].mean() + 50)

    def test_masks_of_a_batch(self):
        x = self.array('x.npy', numpy.random.default_rng(0).standard_normal((2, 3, 16, 20)).astype(numpy.float32))
        seeds = self.array('seed.npy', numpy.array([5, 6]))
        given = ['run', self.sparse(), '--input', f'seed={seeds}', '--masks', 'masks', '--input']
        said = self.json(*given, f'x={x}')
        self.assertEqual(self.below('masks'), ['look_here_0.png', 'look_here_1.png'])
        masks = [numpy.asarray(Image.open(self.folder / 'masks' / f'look_here_{i}.png')) for i in range(2)]
        self.assertAlmostEqual((numpy.stack(masks) == 255).mean(), said['masks'][0]['sampled'])
        one = self.array('one.npy', numpy.load(x)[1:])
        self.call('run', self.sparse(), '--input', f'x={one}', '--seed', 6, '--masks', 'single')
        self.assertTrue((numpy.asarray(Image.open(self.folder / 'single' / 'look_here.png')) == masks[1]).all())

    def test_several_photos(self):
        photos = [self.photo('in/b.c.png', 24, 16, 1), self.photo('in/a.jpg', 40, 32, 2)]
        (self.folder / 'in' / 'notes.txt').write_text('no photo')
        (self.folder / 'in' / 'deeper').mkdir()
        more = self.photo('z.png', 16, 16, 3)
        said = self.json('run', self.sparse(), 'in', more, '--output', 'out', '--masks', 'masks')
        self.assertEqual(list(said), ['runs'])
        self.assertEqual([run['photo'] for run in said['runs']], ['in/a.jpg', 'in/b.c.png', str(more)])
        for run in said['runs']:
            self.assertEqual(list(run), KEYS)
        files = {name: [name, f'{name}/heat.png', f'{name}/look_here.png'] for name in ('a', 'b.c', 'z')}
        self.assertEqual(self.below('masks'), sum(files.values(), []))
        self.assertEqual(self.below('out'), ['a', 'a/y.npy', 'b.c', 'b.c/y.npy', 'z', 'z/y.npy'])
        for path, name in [(photos[1], 'a'), (photos[0], 'b.c'), (more, 'z')]:
            self.call('run', self.sparse(), path, '--output', 'alone')
            self.assertEqual((self.folder / 'alone/y.npy').read_bytes(),
                             (self.folder / 'out' / name / 'y.npy').read_bytes())
        self.assertEqual(self.call('run', self.sparse(), 'in').stdout.count('photo    in/'), 2)

    def test_photos_of_one_name(self):
        first, second = self.photo('in/a.png'), self.photo('a.jpg')
        self.refused('run', self.sparse(), first, second, '--output', 'out', says=[str(first), str(second)])
        self.assertNotIn('out', self.below())

    def test_one_photo_in_a_folder(self):
        self.photo('in/a.png')
        self.assertEqual(list(self.json('run', self.sparse(), 'in', '--output', 'out')), KEYS)
        self.assertEqual(self.below('out'), ['y.npy'])

    def test_nothing_half_written(self):
        model, photo = self.sparse(), self.photo()
        (self.folder / 'file').write_text('')
        run = ['run', model, photo]
        before = self.below()
        for folder, says in [('file', 'not a folder'), ('file/below', 'file/below'),
                             ('/proc/nothing/here', '/proc/nothing'), ('', 'empty')]:
            for option in ('--output', '--masks'):
                self.refused(*run, option, folder, says=says)
        self.refused(*run, '--output', 'out', '--masks', '/proc/nothing', says='/proc/nothing')
        self.assertEqual(self.below(), before)
        # The last file cannot be put in place: neither the folder nor the file before it stays.
        (self.folder / 'masks' / 'heat.png').mkdir(parents=True)
        self.refused(*run, '--output', 'out', '--masks', 'masks', says='heat.png')
        self.assertEqual(self.below(), sorted(before + ['masks', 'masks/heat.png']))

    def test_interrupted(self):
        """A signal while files are written: all of them, or none."""
        run = [PROGRAM, 'run', str(self.identity()), str(self.photo(width=3000, height=2000)), '--output', 'out']
        with subprocess.Popen(run, cwd=self.folder, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not any((self.folder / 'out').glob('.stipple-*')):
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertEqual(self.below('out'), ['y.npy'])

    def test_second_photo_is_corrupt(self):
        first, second = self.photo('in/a.png'), self.photo('in/b.png')
        second.write_bytes(second.read_bytes()[:-20])
        done = self.call('run', self.sparse(), first, second, '--output', 'out', '--json', code=1)
        self.assertEqual(done.stdout, '')
        self.assertIn('b.png is corrupt', done.stderr)
        self.assertEqual(self.below('out'), ['a', 'a/y.npy'])


class Manual(CommandTest):
    def test_options_are_documented(self):
        """Help, man page and completion name the same options."""
        manual = (ROOT / 'tools' / 'stipple.1').read_text().replace('\\-', '-')
        completion = (ROOT / 'tools' / 'stipple.bash').read_text()
        for verb in ([], ['devices'], ['info'], ['run'], ['bench'], ['profile'], ['tune'], ['selftest'], ['cache']):
            for word in self.call(*verb, '--help').stdout.split():
                if word.startswith('--') and word.isascii() and word[2:].isalpha():
                    self.assertIn(word, manual)
                    self.assertIn(word, completion)

    def test_completion(self):
        script = f'''. '{ROOT}/tools/stipple.bash'
            complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stipple; echo "${{COMPREPLY[*]}}"; }}
            complete_words stipple d; complete_words stipple run --se; complete_words stipple run x --device g
            complete_words stipple info --j; complete_words stipple --ver; complete_words stipple run pho'''
        self.photo()
        said = subprocess.run(['bash', '-c', script], capture_output=True, check=True, cwd=self.folder).stdout.decode()
        self.assertEqual(said.splitlines(), ['devices', '--seed', 'gpu', '--json', '--verbose --version', 'photo.png'])


if __name__ == '__main__':
    unittest.main()
