# SPDX-License-Identifier: Apache-2.0
"""The verb bench: what it prints and how it fails, never how long something takes. See command.py.

PRETEND_LIBRARY names tests/pretend.c, compiled; without it the tests that need it are skipped."""
import csv
import io
import json
import os
import pty
import statistics
import subprocess
import unittest

from command import FLOAT, PROGRAM, ROOT, Image, node, numpy
from test_command import KEYS, Sampling

PRETEND = os.environ.get('PRETEND_LIBRARY')
FACTORS = ['theoretical_factor', 'factor', 'factor_median', 'realised', 'sparse', 'dense']
MODE = ['ms', 'memory', 'macs_done', 'bytes', 'gflop_per_s', 'flop_share', 'gbyte_per_s', 'byte_share']
LAYER = [
    'node', 'op', 'kernel', 'options', 'part_of', 'rows', 'ms', 'share', 'cumulative_share', 'dense_ms', 'macs',
    'bytes', 'gflop_per_s', 'gbyte_per_s', 'limit', 'limit_share'
]


class BenchTest(Sampling):
    def pretending(self, what):
        """Environment that loads tests/pretend.c."""
        if not PRETEND:
            self.skipTest('PRETEND_LIBRARY is not set')
        return {**self.preloading(PRETEND), 'PRETEND': what}

    def rows(self, *arguments):
        return list(csv.DictReader(io.StringIO(self.call('bench', *arguments, '--csv').stdout)))


class Whole(BenchTest):
    def check_mode(self, mode, macs):
        self.assertEqual(list(mode), MODE)
        ms = mode['ms']
        self.assertEqual(list(ms), ['compile', 'first', 'warm_min', 'warm_median', 'warm_mean', 'warm_max'])
        self.assertLessEqual(ms['warm_min'], ms['warm_median'])
        self.assertLessEqual(ms['warm_median'], ms['warm_max'])
        self.assertLessEqual(ms['warm_min'], ms['warm_mean'])
        self.assertEqual(mode['macs_done'], macs)
        self.assertAlmostEqual(mode['gflop_per_s'], 2 * macs / ms['warm_min'] * 1e-6)
        self.assertAlmostEqual(mode['gbyte_per_s'], mode['bytes'] / ms['warm_min'] * 1e-6)

    def test_json(self):
        given = [self.sparse(), self.photo(), '--seed', 7]
        said, run = self.json('bench', *given, '--runs', 3), self.json('run', *given)
        self.assertEqual(list(said), KEYS + ['repeats', 'speed'] + FACTORS)
        for key in KEYS:
            if key not in ('ms', 'memory'):
                self.assertEqual(said[key], run[key])
        self.assertEqual((list(said['ms']), said['repeats']), (['load'], 3))
        self.assertEqual({key: said['memory'][key] for key in run['memory']}, run['memory'])
        self.assertEqual(said['sparse']['memory'], run['memory'])
        self.assertGreater(said['memory']['peak_resident_bytes'], 1 << 20)
        macs = said['macs']
        self.check_mode(said['sparse'], macs['done'])
        self.check_mode(said['dense'], macs['dense'] + macs['masks'])
        self.assertAlmostEqual(said['theoretical_factor'], macs['dense'] / macs['done'])
        least, median = ([said[mode]['ms'][key] for mode in ('dense', 'sparse')] for key in ('warm_min', 'warm_median'))
        self.assertAlmostEqual(said['factor'], least[0] / least[1])
        self.assertAlmostEqual(said['factor_median'], median[0] / median[1])
        self.assertAlmostEqual(said['realised'], said['factor'] / said['theoretical_factor'])

    def test_text(self):
        said = self.call('bench', self.sparse(), self.photo(), '--seed', 7).stdout
        for part in [
                'photo.png, 48×32', 'seed     7', 'masks    1, sampled', 'runs     10 of each mode, in turns',
                'equal to the bit', 'peak resident', 'min     median       mean        max', '\nsparse ', '\ndense ',
                'theoretical '
        ]:
            self.assertIn(part, said)
        self.assertNotIn('layers', said)

    def test_speed(self):
        given = ['bench', self.sparse(), self.photo(), '--runs', 1]
        said = self.json(*given, **self.pretending('speed'))
        self.assertEqual(said['speed'], {'gflop_per_s': 100, 'gbyte_per_s': 10})
        for mode in (said['sparse'], said['dense']):
            self.assertAlmostEqual(mode['flop_share'], mode['gflop_per_s'] / 100)
            self.assertAlmostEqual(mode['byte_share'], mode['gbyte_per_s'] / 10)
        self.assertIn('measured at 100.0 GFLOP/s (fp32 fma) and 10.0 GB/s',
                      self.call(*given, **self.pretending('speed')).stdout)
        said = self.json(*given, **self.pretending(''))
        self.assertEqual(said['speed'], {'gflop_per_s': None, 'gbyte_per_s': None})
        self.assertEqual((said['dense']['flop_share'], said['sparse']['byte_share']), (None, None))
        self.assertIn('stipple devices --measure', self.call(*given, **self.pretending('')).stdout)

    def test_several_photos(self):
        photos = [self.photo('in/a.jpg', 40, 32, 2), self.photo('in/b.png', 24, 16, 1)]
        given = ['bench', self.sparse(), 'in', self.photo('other/a.png', seed=5), '--runs', 2]
        said = self.json(*given)
        self.assertEqual(list(said), ['runs', 'mean'])
        self.assertEqual([run['photo'] for run in said['runs']], ['in/a.jpg', 'in/b.png', str(self.folder / 'other/a.png')])
        for run in said['runs']:
            self.assertEqual(list(run), KEYS + ['repeats', 'speed'] + FACTORS)
        self.assertEqual(said['runs'][0]['macs'], self.json('run', self.sparse(), photos[0])['macs'])
        self.assertEqual(list(said['mean']), FACTORS)
        for key in ('theoretical_factor', 'factor', 'factor_median'):
            self.assertAlmostEqual(said['mean'][key], statistics.mean(run[key] for run in said['runs']))
        for mode in ('sparse', 'dense'):
            for key in said['mean'][mode]['ms']:
                self.assertAlmostEqual(said['mean'][mode]['ms'][key],
                                       statistics.mean(run[mode]['ms'][key] for run in said['runs']))
        text = self.call(*given).stdout
        self.assertIn('means over 3 photos', text)
        for run in said['runs']:
            self.assertRegex(text, rf'(?m)^ +[\d.]+ .* {run["theoretical_factor"]:.2f} .* {run["photo"]}$')

    def test_csv(self):
        photo = self.photo('a "b", c.png')
        rows = self.rows(self.sparse(), photo, self.photo('d.png'), '--runs', 2)
        self.assertEqual([[row['photo'], row['mode'], row['run']] for row in rows],
                         [[str(self.folder / name), mode, run] for name in ('a "b", c.png', 'd.png') for run in ('1', '2')
                          for mode in ('sparse', 'dense')])
        for row in rows:
            self.assertEqual(list(row), ['photo', 'mode', 'run', 'ms'])
            self.assertGreater(float(row['ms']), 0)
        x = self.array('x.npy', numpy.zeros((1, 3, 8, 8), numpy.float32))
        self.assertEqual([row['photo'] for row in self.rows(self.sparse(), '--input', f'x={x}', '--runs', 1)], ['', ''])

    def test_plain_network(self):
        """Nothing to save, nothing to count, NaN in the output: all of it can be told."""
        said = self.json('bench', self.identity(), self.photo(), '--runs', 1)
        self.assertEqual((said['theoretical_factor'], said['realised'], said['masks']), (None, None, []))
        self.assertNotIn('theoretical', self.call('bench', self.identity(), self.photo(), '--runs', 1, '--layers').stdout)
        value = numpy.full((1, 3, 4, 4), numpy.nan, numpy.float32)
        said = self.json('bench', self.identity(), '--input', f'x={self.array("x.npy", value)}', '--runs', 1)
        self.assertEqual((said['photo'], said['outputs'][0]['nan']), (None, 48))
        model = self.model('plain.onnx', [node('Conv', ['x', 'w'], ['y'])], [('x', FLOAT, [1, 3, 'H', 'W'])],
                           [('y', FLOAT, None)], {'w': numpy.ones((2, 3, 1, 1), numpy.float32)})
        self.assertEqual(self.json('bench', model, self.photo(), '--runs', 1)['theoretical_factor'], 1)

    def test_classify(self):
        model = self.model('classify.onnx', [node('Identity', ['x'], ['y'])], [('x', FLOAT, ['N', 2])],
                           [('y', FLOAT, None)], metadata={'stipple.task': 'classify'})
        x = self.array('x.npy', numpy.array([[1, 2]], numpy.float32))
        said = self.json('bench', model, '--input', f'x={x}', '--runs', 1)
        self.assertEqual(said['labels'], self.json('run', model, '--input', f'x={x}')['labels'])

    def test_standard_input(self):
        data = self.sparse().read_bytes()
        self.assertEqual(self.json('bench', '-', self.photo(), '--runs', 1, '--layers', stdin=data)['model'], '-')

    def test_progress(self):
        main, terminal = pty.openpty()
        bench = [PROGRAM, 'bench', str(self.sparse()), str(self.photo()), '--runs', '3', '--json', '--layers']
        with subprocess.Popen(bench, stdout=subprocess.PIPE, stderr=terminal) as process:
            said = json.loads(process.communicate(timeout=300)[0])
        os.close(terminal)
        shown = os.read(main, 1 << 16)
        os.close(main)
        self.assertIn('layers', said)
        self.assertIn(b'\r\x1b[Krun 3 of 3', shown)
        self.assertIn(b'\r\x1b[Krun by layer 3 of 3', shown)
        self.assertTrue(shown.endswith(b'\r\x1b[K'))


class Layers(BenchTest):
    WINDOW = 7 * 7 * 4  # bytes of an interpolation kernel

    def test_json(self):
        given = self.blocks()
        said = self.json('bench', *given, '--runs', 2, '--layers')
        self.call('run', *given, '--masks', 'masks')
        masks = [numpy.asarray(Image.open(self.folder / 'masks' / f'draw{i}.png')) > 0 for i in (1, 2)]
        for layer in said['layers']:
            self.assertEqual(list(layer), LAYER)
        layers = {layer['node']: layer for layer in said['layers']}
        self.check_parts(layers)
        self.check_work(layers, *masks)
        self.check_sums(said)

    def check_parts(self, layers):
        with_another = {'first.relu': 'first', 'sum': 'fill1', 'sum.relu': 'fill1', 'look2': 'fill1', 'draw1': 'look1',
                        'draw2': 'look2'}
        for name, layer in layers.items():
            self.assertEqual(layer['part_of'], with_another.get(name), name)
            self.assertEqual(layer['kernel'] is None, name in with_another and name != 'look2', name)
        self.assertEqual(layers['look2']['kernel'], 'mask_conv')
        self.assertIsNone(layers['look2']['gbyte_per_s'])
        self.assertIsNone(layers['sum']['gflop_per_s'])
        self.assertIn('VEC=', layers['second']['options'])
        self.assertNotIn('-D', layers['second']['options'])

    def check_work(self, layers, m1, m2):
        """Rows, MACs and bytes from the masks alone; four bytes a number."""
        sites, n1, n2 = m1.size, int(m1.sum()), int(m2.sum())
        padded = numpy.pad(m1, 1)
        near = sum(padded[y:y + m1.shape[0], x:x + m1.shape[1]] for y in range(3) for x in range(3)) > 0
        products = sites * 9 * 4
        wanted = {
            'first': (sites, sites * 8 * 27, sites * (3 + 8) * 4 + 8 * 27 * 4),
            'look1': (sites, sites * 72, sites * (8 + 1) * 4 + 72 * 4 + 2 * products + 8),
            'draw1': (sites, 0, 0),
            'second': (n1, n1 * 6 * 72, int(near.sum()) * 8 * 4 + n1 * 6 * 4 + 6 * 72 * 4),
            'fill1': (sites, (sites - n1) * 6 * 49, (n1 * 6 + sites + 2 * sites * 6) * 4 + self.WINDOW + products),
            'shortcut': (sites, sites * 48, sites * (8 + 6) * 4 + 48 * 4),
            'look2': (sites, sites * 54, products + 54 * 4 + sites * 4 + 8),
            'last': (n2, n2 * 30, n2 * (6 + 5) * 4 + (30 + 5) * 4),
            'fill2': (sites, (sites - n2) * 5 * 49, (n2 * 5 + sites + sites * 5) * 4 + self.WINDOW),
            'stride': (sites // 4, sites // 4 * 30, sites // 4 * (6 + 5) * 4 + 30 * 4),
            'sum': (sites, 0, 0),
        }
        for name, (rows, macs, size) in wanted.items():
            layer = layers[name]
            self.assertEqual((layer['rows'], layer['macs'], layer['bytes']), (rows, macs, size), name)

    def check_sums(self, said):
        layers = said['layers']
        self.assertEqual(layers[-1]['node'], '(lists, inputs, outputs)')
        self.assertAlmostEqual(sum(layer['share'] for layer in layers), 1)
        self.assertAlmostEqual(layers[-1]['cumulative_share'], 1)
        self.assertEqual(said['sparse']['bytes'], sum(layer['bytes'] for layer in layers))
        convolutions = sum(layer['macs'] for layer in layers if layer['op'] == 'Conv')
        self.assertEqual(said['macs']['done'], convolutions)
        self.assertEqual(said['macs']['interpolation'], sum(layer['macs'] for layer in layers) - convolutions)

    def test_limits(self):
        for layer in self.json('bench', *self.blocks(), '--runs', 1, '--layers', **self.pretending('speed'))['layers']:
            whole = layer['kernel'] and not layer['part_of'] and layer['bytes']
            if not whole:
                self.assertEqual((layer['limit'], layer['limit_share']), (None, None))
                continue
            compute, memory = 2 * layer['macs'] / 100e9, layer['bytes'] / 10e9
            self.assertEqual(layer['limit'], 'compute' if compute > memory else 'memory')
            self.assertAlmostEqual(layer['limit_share'], max(compute, memory) / layer['ms'] * 1e3)
        for layer in self.json('bench', *self.blocks(), '--runs', 1, '--layers', **self.pretending(''))['layers']:
            self.assertEqual((layer['limit'], layer['limit_share']), (None, None))

    def test_text(self):
        said = self.call('bench', *self.blocks(), '--runs', 2, '--layers', **self.pretending('speed')).stdout
        table = said.split('\nlayers   least of 2 runs')[1].splitlines()
        self.assertEqual(len(table), 2 + 14 + 1)
        for line, part in [(2, 'Conv first  conv_rows'), (3, 'Relu first.relu  (with first)'), (7, 'Interpolate fill1'),
                           (11, '(its products: with fill1)'), (16, '(lists, inputs, outputs)')]:
            self.assertIn(part, table[line])
        self.assertRegex(table[2], r'^ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +480 +[\d.]+ +[\d.]+  (compute|memory ) +\d+ %  ')

    def test_csv(self):
        """A row per layer and photo, which say what JSON says."""
        photos = [self.photo('a.png'), self.photo('b.png', seed=1)]
        rows = self.rows(self.sparse(), *photos, '--layers', '--runs', 1)
        said = self.json('bench', self.sparse(), *photos, '--layers', '--runs', 1)
        layers = [(run['photo'], layer) for run in said['runs'] for layer in run['layers']]
        self.assertEqual(len(rows), len(layers))
        for row, (photo, layer) in zip(rows, layers):
            self.assertEqual(list(row), ['photo'] + LAYER)
            self.assertEqual(row['photo'], photo)
            for key in ('node', 'op', 'kernel', 'options', 'part_of'):
                self.assertEqual(row[key], layer[key] or '')
            for key in ('rows', 'macs', 'bytes'):
                self.assertEqual(float(row[key]), layer[key])


class Failures(BenchTest):
    def test_usage(self):
        for arguments, says in [([], 'MODEL'), (['--nothing'], '--nothing'), (['a', '--dense'], '--dense'),
                                (['a', '--runs', '0'], '--runs 0'), (['a', '--seed', 'one'], '--seed one'),
                                (['a', '--json', '--csv'], '--json and --csv'), (['a', '--layers=1'], '--layers=1')]:
            self.refused('bench', *arguments, code=2, says=[says, 'stipple bench --help'])

    def test_inputs(self):
        model, x = self.sparse(), self.array('x.npy', numpy.zeros((1, 3, 8, 8), numpy.float32))
        self.array('seed.npy', numpy.array([1]))
        self.refused('bench', model, code=2, says=["'x'", 'stipple bench --help'])
        self.refused('bench', model, '--input', f'z={x}', code=2, says='z=')
        self.refused('bench', model, self.photo(), '--seed', 1, '--input', 'seed=seed.npy', code=2, says='--seed')
        self.refused('bench', 'nowhere.onnx', self.photo(), says='nowhere.onnx')
        self.refused('bench', model, 'nowhere.png', says='nowhere.png')
        self.refused('bench', model, self.photo(), '--device', '99', says="'99'")

    def test_second_photo_is_corrupt(self):
        first, second = self.photo('in/a.png'), self.photo('in/b.png')
        second.write_bytes(second.read_bytes()[:-20])
        for option in (['--json'], ['--csv'], ['--json', '--layers'], ['--csv', '--layers']):
            self.refused('bench', self.sparse(), first, second, '--runs', 1, *option, says='b.png is corrupt')
        done = self.call('bench', self.sparse(), first, second, '--runs', 1, code=1)
        self.assertIn('a.png', done.stdout)

    def test_outputs_differ(self):
        for option in ([], ['--json'], ['--csv']):
            self.refused('bench', self.sparse(), self.photo(), *option, says=["output 'y' differs at element 6143", 'bug'],
                         **self.pretending('output'))

    def test_full_standard_output(self):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([PROGRAM, 'bench', self.sparse(), self.photo(), '--runs', '1', '--csv'], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'standard output', done.stderr)


class Manual(BenchTest):
    def test_options_are_documented(self):
        manual = (ROOT / 'tools' / 'stipple.1').read_text().replace('\\-', '-')
        completion = (ROOT / 'tools' / 'stipple.bash').read_text()
        offered = completion.split('bench:-*) common+=')[1].splitlines()[0] + '--help --verbose --quiet'
        said = self.call('bench', '--help').stdout
        self.assertIn('usage: stipple bench', said)
        options = [line.split()[0] for line in said.splitlines() if line.startswith('  --')]
        self.assertEqual(options, ['--input', '--runs', '--layers', '--seed', '--device', '--exact', '--json', '--csv'])
        for option in options:
            self.assertIn(option, manual)
            self.assertIn(option, offered)


if __name__ == '__main__':
    unittest.main()
