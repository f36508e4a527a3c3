#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The comparison with other runtimes: test_compare.py LIBSTIPPLE. Peers that are not installed are left out."""
import csv
import importlib.util
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import numpy as np
    import onnx
    import onnxruntime
    from PIL import Image
except ImportError as missing:
    print(f'skipped: {missing} (tools/setup.sh makes a Python environment that has it)')
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.bench import compare, models, pool
from tools.bench.runtimes import PEERS, Job, RuntimeFailure
from tools.zoo import networks, photo, rewrite
from tools.zoo.builder import make_session
from tools.zoo.layers import Settings, ZooError

LIBRARY = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else ROOT / 'build/src/libstipple.so'
PHOTO = ROOT / 'tools/photos/coffee.jpg'
SIZE = (96, 64)


class Folder(unittest.TestCase):
    """One folder for all: networks are built once."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    def command(self, *arguments):
        options = ['--size', '96x64', '--library', str(LIBRARY), *arguments]
        return [sys.executable, '-m', 'tools.bench.compare', 'tiny', *options]

    def run_command(self, *arguments):
        line = self.command(*arguments)
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    def network(self, **settings):
        return models.Network('tiny', 'backbone', SIZE, PHOTO, settings.get('scattered', False))

    def job(self, runtime='onnxruntime', model=None):
        made = models.Models(self.network(), self.folder, lambda text: None)
        image = {'image': made.inputs(1)['image']}
        return Job(runtime, 'the peer', str(model or made.twin(1)), image, made.outputs(), 1)


class CommandTest(Folder):
    def test_table_csv_and_plot(self):
        files = ['--csv', str(self.folder / 'all.csv')]
        plot = self.folder / 'plot.png'
        if importlib.util.find_spec('matplotlib'):
            files += ['--plot', str(plot)]
        done = self.run_command('--densities', '0.3,1', '--runs', '2', '--exact', '--models', str(self.folder), *files)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.folder / 'all.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        dense = [row for row in rows if not row['density']]
        sparse = [row for row in rows if row['density']]
        present = {key for key, kind in PEERS.items() if f'{kind.name} is left out' not in done.stderr}
        self.assertIn('onnxruntime', present)
        self.assertEqual([(row['runtime'], row['exact']) for row in dense],
                         [('stipple', '0'), ('stipple', '1'), *((key, '0') for key in PEERS if key in present)])
        self.assertEqual([(float(row['density']), row['exact']) for row in sparse],
                         [(0.3, '0'), (0.3, '1'), (1, '0'), (1, '1')])
        self.check_rows(rows, sparse)
        for text in ('ONNX Runtime', 'stipple exact', 'density 0.3 exact', 'density 1 ', f'{onnxruntime.__version__}'):
            self.assertIn(text, done.stdout)
        for key, kind in PEERS.items():
            if kind.missing():
                self.assertEqual(done.stderr.count(f'{kind.name} is left out: no Python package'), 1)
        if '--plot' in files:
            with Image.open(plot) as image:
                self.assertGreater(image.width, 400)

    def test_on_device(self):
        done = self.run_command('--densities', '0.3', '--runs', '2', '--on-device', '--models', str(self.folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("by the device's clock", done.stdout)
        self.assertRegex(done.stdout, r'density 0.3 +0\.\d+ +\d\.\d+ +\d+\.\d+ ')
        if 'PyTorch CUDA' not in done.stdout:
            self.assertIn('PyTorch CUDA is left out', done.stderr)

    def check_rows(self, rows, sparse):
        fastest = min(float(r['min_ms']) for r in rows if r['runtime'] not in ('stipple', 'openvino-bf16'))
        for row in rows:
            least, median = float(row['min_ms']), float(row['median_ms'])
            self.assertTrue(0 < least <= median)
            self.assertEqual((row['runs'], row['batch'], row['height'], row['width']), ('2', '1', '64', '96'))
            self.assertGreater(float(row['peak_mb']), 10)
            self.assertGreater(float(row['load_s']), 0)
            self.assertAlmostEqual(float(row['peer_factor']), fastest / least)
            self.assertTrue(row['density'] or 0 <= float(row['difference']) < 0.05)
        macs = float(rows[0]['dense_gmac']) * 1e9
        weights = [i.dims for i in onnx.load(self.job().model).graph.initializer if len(i.dims) == 4]
        self.assertAlmostEqual(macs, sum(np.prod(dims) for dims in weights) * SIZE[0] * SIZE[1])
        for row in sparse:
            self.assertAlmostEqual(float(row['sampled']), float(row['density']), delta=0.03)
            factor = float(row['theoretical_factor'])
            self.assertTrue(factor < 1 if float(row['density']) == 1 else 1 < factor < 3)
            self.assertAlmostEqual(float(row['peer_share']), float(row['peer_factor']) / factor)
            self.assertAlmostEqual(float(row['twin_share']), float(row['twin_factor']) / factor)

    def test_what_cannot_be_done_is_said(self):
        for arguments, wanted in (
                (['--library', 'missing.so'], 'missing.so does not exist'),
                (['--densities', 'half'], "'half' is neither a number"),
                (['--densities', '0'], 'above 0'),
                (['--densities', '0.001'], 'out of reach'),
                (['--peers', 'caffe'], "'caffe' is none of onnxruntime"),
                (['--on-device', '--peers', 'onnxruntime'], 'onnxruntime does not tell its time on a device'),
                (['--photo', 'missing.jpg'], 'missing.jpg'),
                (['--csv', 'missing/all.csv'], 'no such folder'),
                (['--threads', '100000'], '100000 threads'),
                (['--device', 'no such device', '--peers', 'none'], 'no such device')):
            with self.subTest(arguments):
                done = self.run_command('--models', str(self.folder), *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(wanted, done.stderr)
                self.assertNotIn('Traceback', done.stderr)

    def test_an_interrupt_ends_the_workers(self):
        line = self.command('--runs', '999999', '--densities', '0.3', '--peers', 'onnxruntime')
        process = subprocess.Popen(
            [*line, '--models', str(self.folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if line.startswith('round '):
                break
        workers = children(process.pid)
        self.assertEqual(len(workers), 3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (130, ''), err)
        self.assertFalse([pid for pid in workers if pathlib.Path(f'/proc/{pid}').exists()])


def children(parent):
    """Its worker processes."""
    found = []
    for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            if int(stat.read_text().rpartition(')')[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except FileNotFoundError:
            pass  # it ended meanwhile
    return found


class WorkerTest(Folder):
    def start(self, *arguments, **named):
        worker = pool.Worker(self.job(*arguments, **named), None)
        self.addCleanup(worker.end)
        return worker

    def test_a_worker_is_stopped_between_requests(self):
        worker = self.start()
        worker.ask('load')
        state = pathlib.Path(f'/proc/{worker.process.pid}/stat')
        deadline = time.monotonic() + 10
        while (found := state.read_text().rpartition(')')[2].split()[0]) != 'T' and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(found, 'T')
        self.assertGreater(worker.ask('run', True), 0)

    def test_a_failure_is_told(self):
        worker = self.start(model=self.folder / 'missing.onnx')
        with self.assertRaisesRegex(RuntimeFailure, 'missing.onnx'):
            worker.ask('load')

    def test_a_dead_worker_is_named_and_left_out(self):
        entries = [pool.Entry(self.start(), 'onnxruntime', label) for label in ('first', 'second', 'third')]
        for entry in entries:
            pool.ready(entry)
        entries[1].worker.process.kill()
        lost = []
        pool.alternate(entries, 3, lambda entry, turn: None, lambda *what: lost.append(what))
        (entry, failure), = lost
        self.assertEqual(entry.label, 'second')
        self.assertRegex(str(failure), 'died .signal SIGKILL.')
        self.assertEqual([(e.label, len(e.times)) for e in entries], [('first', 3), ('third', 3)])

    def test_a_wrong_network_is_not_timed(self):
        entry = pool.Entry(None, 'onnxruntime', 'the peer')
        wanted = [np.linspace(-1, 2, 24, dtype=np.float32).reshape(1, 2, 3, 4)]
        compare.check_outputs(entry, ('scores',), [wanted[0] + np.float32(1e-3)], wanted)
        self.assertAlmostEqual(entry.difference, 5e-4, places=6)
        for got in (wanted[0] + np.float32(3e-3), np.full_like(wanted[0], np.nan), wanted[0][..., 1:]):
            with self.assertRaisesRegex(compare.Disagreement, "'scores'"):
                compare.check_outputs(entry, ('scores',), [got], wanted)


class ModelsTest(Folder):
    def test_densities_share_all_but_the_masks_biases(self):
        made = models.Models(self.network(), self.folder, lambda text: None)
        paths = [made.sparse(density) for density in (0.2, 0.7)]
        first, second = (onnx.load(path).graph.initializer for path in paths)
        self.assertEqual([a.name for a, b in zip(first, second, strict=True) if a != b], ['mask.conv.bias'])
        image = photo.load(PHOTO, SIZE)
        for path, density in zip(paths, (0.2, 0.7), strict=True):
            model = onnx.load(path)
            mask = rewrite.sample_nodes(model)[0].output[0]
            model.graph.output.append(onnx.ValueInfoProto(name=mask))
            drawn = make_session(model).run([mask], {'image': image})[0]
            self.assertAlmostEqual(drawn.mean(), density, delta=0.03)

    def test_the_folder_is_used_again(self):
        said = []
        models.Models(self.network(), self.folder, said.append).sparse(0.4)
        wanted = len(said)
        models.Models(self.network(), self.folder, said.append).sparse(0.4)
        self.assertEqual(len(said), wanted)

    def test_scattered_masks_follow_nothing(self):
        image = np.full((1, 3, 128, 160), 0.3, np.float32)
        image[..., 80:] += np.random.default_rng(1).standard_normal((1, 3, 128, 80)).astype(np.float32)
        network = networks.ResNet((1, 1, 1, 1))
        networks.NETWORKS['small'] = network
        self.addCleanup(networks.NETWORKS.pop, 'small')
        model = networks.build('small', Settings(density=0.25, grid=0, scattered=True), image)
        self.assertFalse([node.name for node in model.graph.node if 'contrast' in node.name])
        masks = [node.output[0] for node in rewrite.sample_nodes(model)][:4]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in masks)
        for mask in make_session(model).run(masks, {'image': image}):
            left, right = np.split(mask, 2, axis=3)
            self.assertAlmostEqual(left.mean(), 0.25, delta=0.08)
            self.assertAlmostEqual(right.mean(), 0.25, delta=0.08)
        with self.assertRaisesRegex(ZooError, 'deterministic'):
            networks.build('small', Settings(scattered=True, stochastic=False), image)


if __name__ == '__main__':
    unittest.main()
