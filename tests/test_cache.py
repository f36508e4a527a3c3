# SPDX-License-Identifier: Apache-2.0
"""The cache as the command uses it: cold, warm and damaged runs agree; the verb cache; devices --measure. See command.py."""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from command import FLOAT, HELPER, PROGRAM, CommandTest, node, numpy


class CacheTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.kept = self.folder / 'kept'
        self.database = self.kept / 'stipple.db'
        self.environment = {'STIPPLE_CACHE': '', 'STIPPLE_CACHE_DIR': str(self.kept)}

    def cached(self, *arguments, **more):
        return self.call(*arguments, **{**self.environment, **more})

    def convolution(self):
        """A model of three programs."""
        weight = numpy.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(numpy.float32)
        return self.model('convolution.onnx', [node('Conv', ['x', 'w'], ['y'], pads=[1, 1, 1, 1])],
                          [('x', FLOAT, [1, 3, 'H', 'W'])], [('y', FLOAT, None)], {'w': weight})

    def run_model(self, **more):
        """(output's bytes, what was told)."""
        shutil.rmtree(self.folder / 'out', ignore_errors=True)
        told = self.cached('-v', '-v', 'run', self.folder / 'convolution.onnx', self.folder / 'photo.png', '--output',
                           'out', **more).stderr
        return (self.folder / 'out' / 'y.npy').read_bytes(), told

    def query(self, sql):
        connection = sqlite3.connect(self.database)
        with connection:
            rows = connection.execute(sql).fetchall()
        connection.close()
        return rows


class Runs(CacheTest):
    def setUp(self):
        super().setUp()
        self.convolution()
        self.photo()
        self.cold, told = self.run_model()
        self.assertIn('built', told)
        self.assertIn('stored', told)

    def test_warm(self):
        warm, told = self.run_model()
        self.assertEqual(warm, self.cold)
        self.assertNotIn('built', told)
        self.assertIn('loaded', told)

    def test_off(self):
        before = self.database.read_bytes()
        off, told = self.run_model(STIPPLE_CACHE='off')
        self.assertEqual(off, self.cold)
        self.assertNotIn('loaded', told)
        self.assertEqual(self.database.read_bytes(), before)

    def test_damaged(self):
        good = self.database.read_bytes()
        for bad in (b'no database', good[:5000], good[:len(good) // 2], good[:100] + bytes(8000) + good[8100:]):
            self.database.write_bytes(bad)
            damaged, told = self.run_model()
            self.assertEqual(damaged, self.cold)
            self.assertLessEqual(told.count('warning'), 1)
        again, told = self.run_model()
        self.assertEqual(again, self.cold)
        self.assertNotIn('built', told)

    def test_bad_binaries(self):
        """Binaries of other programs, whole and sound."""
        self.query('UPDATE programs SET (binary, checksum) = (SELECT binary, checksum FROM programs WHERE'
                   " title LIKE 'layout.cl%')")
        swapped, told = self.run_model()
        self.assertEqual(swapped, self.cold)
        self.assertIn('built', told)
        again, told = self.run_model()
        self.assertEqual(again, self.cold)
        self.assertNotIn('built', told)

    def test_locked(self):
        holder = sqlite3.connect(self.database)
        holder.execute('BEGIN EXCLUSIVE')
        locked, told = self.run_model()
        self.assertEqual(locked, self.cold)
        self.assertEqual(told.count('locked'), 1)
        holder.close()

    def test_no_place(self):
        for place in ('/dev/null', '/proc/nowhere'):
            nowhere, told = self.run_model(STIPPLE_CACHE_DIR=place)
            self.assertEqual(nowhere, self.cold)
            self.assertEqual(told.count('without the cache'), 1)
        known = {'STIPPLE_CACHE_DIR': '', 'HOME': '', 'XDG_CACHE_HOME': '', 'POCL_CACHE_DIR': str(self.folder / 'pocl')}
        nowhere, told = self.run_model(**known)
        self.assertEqual(nowhere, self.cold)

    def test_two_at_once(self):
        self.query('DELETE FROM programs')
        known = {key: value for key, value in os.environ.items() if not key.startswith('STIPPLE_')}
        processes = [
            subprocess.Popen([
                PROGRAM, 'run', self.folder / 'convolution.onnx', self.folder / 'photo.png', '--output',
                self.folder / f'out{i}'
            ],
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE,
                             env={**known, **self.environment}) for i in range(4)
        ]
        for i, process in enumerate(processes):
            self.assertEqual(process.communicate(timeout=300)[1], b'')
            self.assertEqual(process.returncode, 0)
            self.assertEqual((self.folder / f'out{i}' / 'y.npy').read_bytes(), self.cold)
        self.assertEqual(self.query('PRAGMA integrity_check'), [('ok', )])
        self.assertEqual(self.query('SELECT count(*) - count(DISTINCT key) FROM programs'), [(0, )])
        self.assertNotIn('built', self.run_model()[1])

    def test_killed(self):
        known = {key: value for key, value in os.environ.items() if not key.startswith('STIPPLE_')}
        for delay in (0.05, 0.2, 0.5, 1, 1.5):
            self.query('DELETE FROM programs')
            process = subprocess.Popen([PROGRAM, 'run', self.folder / 'convolution.onnx', self.folder / 'photo.png'],
                                       stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL,
                                       env={**known, **self.environment})
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertEqual(self.query('PRAGMA integrity_check'), [('ok', )])
        self.assertEqual(self.run_model()[0], self.cold)


class Helpers(CacheTest):
    """On a CPU a first run compiles in helper processes, too."""

    def setUp(self):
        super().setUp()
        self.environment['POCL_MAX_PTHREAD_COUNT'] = '4'  # as many cores, for PoCL

    def bench(self, given, **more):
        """(output's bytes, what was told)"""
        told = self.cached('-v', '-v', 'run', *given, '--output', 'out', POCL_CACHE_DIR=str(self.folder / 'pocl'), **more).stderr
        output = (self.folder / 'out' / 'y.npy').read_bytes()
        shutil.rmtree(self.folder / 'out')
        return output, told

    def device(self):
        return self.json('devices', **self.environment)['devices'][0]

    def helper(self, kernels):
        """What a helper says on its descriptor 3."""
        device = self.device()
        version = self.call('--version').stdout.split()[1]
        call = [HELPER, version, 'compile', str(device['index']), device['platform'], device['name'], kernels]
        done = subprocess.run(['sh', '-c', '"$@" 3>&1 >/dev/null', 'sh', *call],
                              capture_output=True,
                              text=True,
                              timeout=300,
                              check=True,
                              env={**os.environ, **self.environment, 'POCL_CACHE_DIR': str(self.folder / 'pocl')})
        return done.stdout

    def test_helpers(self):
        given = self.blocks()
        cold, told = self.bench(given)
        listed = re.findall('helper [0-9]+ compiles, too: (.*)', told)
        self.assertEqual(len(listed), 2)
        programs = [{tuple(kernel.split('|')[:2]) for kernel in kernels.split(';') if kernel} for kernels in listed]
        self.assertFalse(programs[0] & programs[1])
        self.assertGreater(sum(kernels.count(';') for kernels in listed), 8)
        for _ in range(5):  # storing ends after a time, and goes on in the next run
            if 'built' in told:
                warm, told = self.bench(given)
                self.assertEqual(warm, cold)
        self.assertNotIn('built', told)
        self.assertNotIn('compiles, too', told)
        # What a helper does with it, if it is let.
        for kernels in listed:
            self.assertEqual(self.helper(kernels), 'compiled\n')
        off, told = self.bench(given, STIPPLE_CACHE='off')
        self.assertEqual(off, cold)
        self.assertNotIn('compiles, too', told)

    def test_no_list(self):
        for kernels, says in [('nonsense;', 'not a kernel: nonsense'), ('no||gemm|1 1 1 b ;', 'there is no kernel file no.cl'),
                              ('gemm||no|1 1 1 b ;', 'no of gemm.cl'), ('gemm||gemm|1 1 1 b 65 ;', 'an argument of 65 bytes'),
                              ('gemm||gemm|1 1 1 b ;', 'clEnqueueNDRangeKernel')]:
            self.assertRegex(self.helper(kernels), 'error .*' + says)
        # The rest of a list is compiled, and a failure is not kept for others.
        self.assertRegex(self.helper('gemm|-DNO|no|1 1 1 ;gemm||gemm|1 1 1 b b b b 4 4 4 4 4 4 ;'), 'error .*no of gemm.cl')
        self.assertRegex(self.helper('conv_rows||conv_rows|1 1 1 ;'), 'error building conv_rows.cl .* failed')
        if self.database.exists():
            self.assertEqual(self.query("SELECT count(*) FROM programs WHERE failure <> ''"), [(0, )])


class Verb(CacheTest):
    def test_path(self):
        self.assertEqual(self.cached('cache', 'path').stdout, f'{self.database}\n')
        self.assertFalse(self.kept.exists())
        known = {'STIPPLE_CACHE_DIR': '', 'HOME': '/home/user', 'XDG_CACHE_HOME': ''}
        self.assertEqual(self.cached('cache', 'path', **known).stdout, '/home/user/.cache/stipple/stipple.db\n')
        known['XDG_CACHE_HOME'] = '/else/where'
        self.assertEqual(json.loads(self.cached('cache', 'path', '--json', **known).stdout),
                         {'path': '/else/where/stipple/stipple.db'})
        for action in ('path', 'list', 'clear'):
            self.refused('cache', action, says='STIPPLE_CACHE is off', STIPPLE_CACHE='off')
            self.refused('cache', action, says='HOME', HOME='', XDG_CACHE_HOME='', STIPPLE_CACHE='')

    def test_list_and_clear(self):
        self.assertEqual(self.cached('cache', 'list').stdout, '0 entries, 0.0 MiB\n')
        self.assertEqual(self.cached('cache', 'clear').stdout, 'removed 0 entries, 0.0 MiB\n')
        self.convolution()
        self.photo()
        self.run_model()
        said = json.loads(self.cached('cache', 'list', '--json').stdout)
        self.assertEqual(list(said), ['path', 'entries', 'bytes'])
        self.assertEqual(said['path'], str(self.database))
        for entry in said['entries']:
            self.assertEqual(list(entry), ['kind', 'name', 'device', 'driver', 'bytes', 'made', 'used'])
            self.assertEqual(entry['kind'], 'program')
            self.assertLess(abs(entry['made'] - time.time()), 300)
        self.assertEqual(said['bytes'], sum(entry['bytes'] for entry in said['entries']))
        count = len(said['entries'])
        self.assertGreater(count, 1)
        text = self.cached('cache', 'list').stdout
        self.assertEqual(text.count('program: '), count)
        self.assertIn(f'{count} entries, ', text)
        self.assertIn('layout.cl', text)
        self.query("UPDATE programs SET title = 'line' || char(10, 27) || '[31m'")
        self.assertIn('line??[31m', self.cached('cache', 'list').stdout)
        large = self.database.stat().st_size
        self.assertEqual(json.loads(self.cached('cache', 'clear', '--json').stdout),
                         {'path': str(self.database), 'removed': count, 'bytes': said['bytes']})
        self.assertLess(self.database.stat().st_size, large)
        self.assertEqual(json.loads(self.cached('cache', 'list', '--json').stdout)['entries'], [])

    def test_trouble(self):
        self.kept.mkdir()
        self.query('CREATE TABLE letters(text)')
        for action in ('list', 'clear'):
            self.refused('cache', action, says='some other program', **self.environment)
        self.database.write_bytes(b'garbage' * 1000)
        done = self.cached('cache', 'list')
        self.assertEqual(done.stdout, '0 entries, 0.0 MiB\n')
        self.assertIn('damaged', done.stderr)
        holder = sqlite3.connect(self.database)
        holder.execute('BEGIN EXCLUSIVE')
        for action in ('list', 'clear'):
            self.refused('cache', action, says='locked', **self.environment)
        holder.close()

    def test_usage(self):
        for arguments, says in [(['cache'], 'one of path, list and clear'), (['cache', 'lsit'], "'lsit'"),
                                (['cache', 'list', 'more'], 'one of'), (['cache', 'list', '--nothing'], '--nothing')]:
            self.refused(*arguments, code=2, says=[says, '--help'])
        self.assertIn('usage: stipple cache', self.call('cache', '--help').stdout)
        self.assertIn("did you mean 'cache'?", self.call('cahce', code=2).stderr)


class Measure(CacheTest):
    def speeds(self, *arguments):
        return [device['speed'] for device in json.loads(self.cached('devices', '--json', *arguments).stdout)['devices']]

    def test_measure(self):
        self.assertEqual(self.speeds(), [{'gflop_per_s': None, 'gbyte_per_s': None}])
        self.assertNotIn('measured', self.cached('devices').stdout)
        measured, = self.speeds('--measure')
        self.assertGreater(measured['gflop_per_s'], 0.1)
        self.assertGreater(measured['gbyte_per_s'], 0.1)
        kept, = self.speeds()
        for key, value in measured.items():
            self.assertAlmostEqual(kept[key], value, delta=1e-6)
        self.assertIn(f"measured      {kept['gflop_per_s']:.1f} GFLOP/s (fp32 fma), {kept['gbyte_per_s']:.1f} GB/s",
                      self.cached('devices').stdout)
        self.assertIn('speed: ', self.cached('cache', 'list').stdout)
        self.cached('cache', 'clear')
        self.assertEqual(self.speeds(), [{'gflop_per_s': None, 'gbyte_per_s': None}])

    def test_device(self):
        self.assertEqual(len(self.speeds('--device', '0', '--device', 'cpu')), 1)
        self.refused('devices', '--device', 'nonsense', says="'nonsense'")
        self.refused('devices', '--device', code=2, says='--device')


if __name__ == '__main__':
    unittest.main()
