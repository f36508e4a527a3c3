# SPDX-License-Identifier: Apache-2.0
"""stipple tune: what it finds is kept and used, changes no bit, survives kills, damage, other drivers and strangers. See command.py."""
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import unittest

from command import FLOAT, PROGRAM, CommandTest, node, numpy

QUICK = ['--budget', '1']
TRIED = []
KILLS = int(os.environ.get('KILLS', '5'))  # a hundred take three minutes


class TuneTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.kept = self.folder / 'kept'
        self.database = self.kept / 'stipple.db'
        self.environment = {'STIPPLE_CACHE': '', 'STIPPLE_CACHE_DIR': str(self.kept)}
        random = numpy.random.default_rng(0)
        constants = {name: random.standard_normal(shape).astype(numpy.float32) / 10
                     for name, shape in (('w1', (32, 3, 3, 3)), ('w2', (32, 32, 1, 1)))}
        self.path = self.model('net.onnx', [node('Conv', ['x', 'w1'], ['a'], pads=[1] * 4), node('Conv', ['a', 'w2'], ['y'])],
                               [('x', FLOAT, [1, 3, 24, 32])], [('y', FLOAT, None)], constants)

    def kept_call(self, *arguments, **more):
        return self.call(*arguments, **{**self.environment, **more})

    def tune(self, *arguments, **more):
        return json.loads(self.kept_call('tune', self.path, *arguments, '--json', **more).stdout)

    def start_tuned(self):
        """The database that a short search leaves; made once."""
        if not TRIED:
            self.tune('--budget', '4')
            TRIED.append(self.database.read_bytes())
        self.kept.mkdir(exist_ok=True)
        self.database.write_bytes(TRIED[0])

    def query(self, sql, *values):
        connection = sqlite3.connect(self.database)
        with connection:
            rows = connection.execute(sql, values).fetchall()
        connection.close()
        return rows

    def results(self):
        return self.query("SELECT device, driver, subject, value FROM measurements WHERE kind = 'tuning' ORDER BY subject")

    def output(self, **more):
        self.kept_call('run', self.path, '--input', f'x={self.x()}', '--output', 'out', **more)
        return (self.folder / 'out' / 'y.npy').read_bytes()

    def x(self):
        return self.array('x.npy', numpy.random.default_rng(1).standard_normal((1, 3, 24, 32)).astype(numpy.float32))

    def plant(self, choice, driver=None, permille=100):
        """Every class gets this result, found with that driver, or with the one at hand."""
        for device, here, subject in self.query("SELECT DISTINCT device, driver, substr(subject, 1, instr(subject, ';') - 1)"
                                                " FROM measurements WHERE kind = 'trial'"):
            self.query("DELETE FROM measurements WHERE kind = 'tuning' AND subject = ?", subject)
            self.query("INSERT INTO measurements VALUES('tuning', ?, ?, ?, 1, ?)", device, here if driver is None else driver, subject,
                       f'{choice}: {permille} permille')
        self.assertEqual(len(self.results()), 2)

    def used(self, **more):
        """The options of the convolutions' kernels in a run."""
        return json.loads(self.kept_call('bench', self.path, '--input', f'x={self.x()}', '--runs', '1', '--layers', '--json', **more).stdout)


class Search(TuneTest):
    def test_result(self):
        before = self.output()
        told = self.tune('--budget', '60')
        self.assertTrue(told['complete'])
        self.assertEqual(len(told['classes']), 2)
        for one in told['classes']:
            self.assertEqual(one['nodes'], 1)
            self.assertGreater(one['tried'], 3)
            self.assertGreater(one['default_ms'], 0)
            self.assertTrue(re.fullmatch(r'conv groups 1 channels \d+ taps \d columns 32 rows 1024 winograd [01]', one['shape']), one)
        self.assertEqual(self.output(), before)
        # Results are of what became faster; of each class there is at most one.
        faster = {one['shape'] for one in told['classes'] if one['tuned'] != one['default']}
        self.assertEqual({subject.split(' ', 1)[1] for _, _, subject, _ in self.results()}, faster)
        # The next time trials are known already.
        again = self.tune('--budget', '1')
        self.assertGreaterEqual(sum(one['tried'] for one in again['classes']), sum(one['tried'] for one in told['classes']))

    def test_text(self):
        done = self.kept_call('tune', self.path, *QUICK)
        self.assertRegex(done.stdout, r'run +\d+\.\d\d ms without tuning, \d+\.\d\d ms with it')
        self.assertIn('conv groups 1 channels 3 taps 9', done.stdout)

    def test_photo_and_sparse(self):
        blocks = self.blocks()
        self.path = blocks[0]
        before = self.kept_call('run', *blocks, '--output', 'before')
        told = self.tune(*blocks[1:], '--budget', '5')
        self.assertGreater(len(told['classes']), 2)
        self.kept_call('run', *blocks, '--output', 'after')
        for name in self.below('before'):
            self.assertEqual((self.folder / 'before' / name).read_bytes(), (self.folder / 'after' / name).read_bytes(), before)
        self.assertGreater(len(self.tune(self.photo(), *QUICK)['classes']), 2)

    def test_interrupt(self):
        environment = {**os.environ, **self.environment}
        process = subprocess.Popen([PROGRAM, 'tune', str(self.path), '--budget', '100', '--json'], env=environment, stdout=subprocess.PIPE,
                                   cwd=self.folder, start_new_session=True)
        time.sleep(2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: children get it too
        told = json.loads(process.communicate(timeout=60)[0])
        self.assertEqual(process.returncode, 0)
        self.assertEqual(len(told['classes']), 2)
        self.assertFalse(told['complete'])
        # A child that Ctrl-C ended says nothing of its candidate.
        self.assertEqual(self.query("SELECT count(*) FROM measurements WHERE kind = 'trial' AND value LIKE '%: 100000 permille'"), [(0,)])

    def test_two_at_once(self):
        environment = {**os.environ, **self.environment}
        both = [subprocess.Popen([PROGRAM, 'tune', str(self.path), '--budget', '5', '--json'], env=environment, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, cwd=self.folder) for _ in range(2)]
        for process in both:
            out, errors = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, errors)
            self.assertEqual(len(json.loads(out)['classes']), 2)
        self.assertEqual(self.query('PRAGMA integrity_check'), [('ok',)])
        self.assertGreater(self.query("SELECT count(*) FROM measurements WHERE kind = 'trial'")[0][0], 0)

    def test_from_bad(self):
        """The search does not depend on what it starts from."""
        done = subprocess.run([os.environ['TUNE_FROM_BAD'], self.path, 'x', self.x(), '5'], env={**os.environ, **self.environment},
                              capture_output=True, text=True, timeout=100, check=True, cwd=self.folder)
        *classes, run = done.stdout.splitlines()
        self.assertEqual(len(classes), 2)
        for line in classes:
            before, after, *_ = line.split(' | ')
            self.assertEqual(before, 'rows 1 vec 4 vecs 1 block 1')
            self.assertNotEqual(after, before)
        self.assertRegex(run, r'run: [\d.]+ ms before, [\d.]+ ms after, [\d.]+ ms without tuning')

    def test_kills(self):
        """A process that is killed at any moment leaves a sound database, which the next one uses."""
        for i in range(KILLS):
            process = subprocess.Popen([PROGRAM, 'tune', str(self.path), '--budget', '10'], env={**os.environ, **self.environment},
                                       stdout=subprocess.DEVNULL, cwd=self.folder)
            time.sleep(0.02 + i * 0.06 % 2.5)
            process.kill()
            process.wait()
            if self.database.exists():
                self.assertEqual(self.query('PRAGMA integrity_check'), [('ok',)])
        told = self.tune('--budget', '1')
        self.assertEqual(len(told['classes']), 2)

    def test_windows(self):
        """Windows of every kind can be held against the reference."""
        random = numpy.random.default_rng(0)
        windows = [(1, 1), (2, 2), (1, 3), (4, 4), (6, 6), (1, 8), (5, 5)]
        constants = {f'w{i}': random.standard_normal((8, 4, *window)).astype(numpy.float32) for i, window in enumerate(windows)}
        self.path = self.model('windows.onnx', [node('Conv', ['x', f'w{i}'], [f'y{i}']) for i in range(len(windows))],
                               [('x', FLOAT, [1, 4, 12, 12])], [(f'y{i}', FLOAT, None) for i in range(len(windows))], constants)
        done = self.kept_call('tune', self.path, '--input', f'x={self.array("x.npy", numpy.ones((1, 4, 12, 12), numpy.float32))}', '--budget', '6')
        self.assertEqual(done.stderr, '')

    def test_usual(self):
        """Without a model: masks of the built-in network sample some sites."""
        told = json.loads(self.kept_call('tune', '--budget', '2', '--json').stdout)
        self.assertEqual([model['model'] for model in told['models']], ['(built in, 224×224)', '(built in, 1344×800)'])
        self.assertGreater(min(len(model['classes']) for model in told['models']), 15)
        self.refused('tune', '--seed', '1', code=2, says='for a MODEL')

    def test_nothing_kept(self):
        done = self.call('tune', self.path, '--budget', '1')
        self.assertIn('warning: what was found lasts as long as the device is open', done.stderr)

    def test_usage(self):
        self.refused('tune', self.path, '--budget', '0', code=2, says='--budget')
        self.refused('tune', self.path, '--budget', '5x', code=2, says='--budget')
        self.refused('tune', self.path, self.photo(), self.photo('b.png'), code=2, says='one PHOTO')
        self.refused('tune', self.path, '--export', '-', code=2, says='--export -')
        self.refused('tune', '--import', 'missing.txt', **self.environment, says='missing.txt')
        self.refused('tune', '--export', 'a.txt', says='STIPPLE_CACHE is off')
        self.refused('tune', '--export', '/nowhere/a.txt', **self.environment, says='/nowhere/a.txt')


class Use(TuneTest):
    def setUp(self):
        super().setUp()
        self.start_tuned()
        self.before = self.output()

    def options(self, **more):
        return {row['options'] for row in self.used(**more)['layers'] if row['kernel'] == 'conv_rows'}

    def test_used(self):
        self.plant('rows 3 vec 8 vecs 1 block 2')
        self.assertEqual({'TILE_M=3' in text for text in self.options()}, {True})
        self.assertEqual(self.output(), self.before)

    def test_other_driver(self):
        self.plant('rows 3 vec 8 vecs 1 block 2', 'an older driver')
        self.assertEqual({'TILE_M=3' in text for text in self.options()}, {True})
        self.assertNotIn('an older driver', {driver for _, driver, _, _ in self.results()})  # verified, and kept for this one

    def test_better_than_stored(self):
        """What somebody claims is tried first, and gives way to what is measured."""
        self.plant('rows 1 vec 8 vecs 1 block 1', '', 1)
        self.assertEqual({'TILE_M=1 ' in text for text in self.options()}, {True})
        self.tune('--budget', '20')
        self.assertFalse(any(value.startswith('rows 1 ') for *_, value in self.results()))
        self.assertEqual({'TILE_M=1 ' in text for text in self.options()}, {False})

    def test_unfit(self):
        """What the device cannot run, or nobody can read, is not used."""
        default = self.options(STIPPLE_CACHE='off')
        for choice in ('rows 99 vec 16 vecs 2 block 4', 'rows 3 vec 5 vecs 1 block 1', 'across 16 down 16 columns 4 rows 8 depth 16 ahead 1 '
                       'piece 4 unroll 2 groups 1056', 'rubbish', '', 'rows -1 vec 8 vecs 1 block 1', 'winograd rows 4 vec 8 vecs 1 block 1'):
            self.plant(choice)
            self.assertEqual(self.options(), default, choice)
            self.assertEqual(self.output(), self.before)

    def test_foreign_kernels(self):
        self.plant('rows 3 vec 8 vecs 1 block 2')
        self.query("UPDATE measurements SET subject = '0000000000000000' || substr(subject, 17) WHERE kind = 'tuning'")
        self.assertEqual(self.options(), self.options(STIPPLE_CACHE='off'))

    def test_clear_keeps(self):
        self.plant('rows 3 vec 8 vecs 1 block 2')
        self.kept_call('cache', 'clear')
        self.assertEqual(len(self.results()), 2)
        self.kept_call('tune', '--reset')
        self.assertEqual(self.query("SELECT count(*) FROM measurements WHERE kind IN ('tuning', 'trial')"), [(0,)])


class Texts(TuneTest):
    def setUp(self):
        super().setUp()
        self.start_tuned()
        self.plant('rows 3 vec 8 vecs 1 block 2')
        self.kept_call('tune', '--export', 'all.txt')
        self.text = (self.folder / 'all.txt').read_text()

    def take(self, text, **more):
        (self.folder / 'in.txt').write_text(text)
        return json.loads(self.kept_call('tune', '--import', 'in.txt', '--json', **more).stdout)['import']

    def test_round_trip(self):
        lines = self.text.splitlines()
        self.assertEqual(lines[0], 'stipple tuning 1')
        self.assertEqual(len(lines), 3)
        self.assertEqual(self.kept_call('tune', '--export', '-').stdout, self.text)
        self.assertEqual(self.take(self.text), {'taken': 0, 'known': 2, 'foreign': 0})
        self.kept_call('tune', '--reset')
        self.assertEqual(self.take(self.text), {'taken': 2, 'known': 0, 'foreign': 0})
        self.assertEqual({driver for _, driver, _, _ in self.results()}, {''})
        self.output()  # verified on first use
        self.assertNotIn('', {driver for _, driver, _, _ in self.results()})
        self.assertEqual(self.kept_call('tune', '--reset', '--import', 'in.txt', '--export', '-').stdout.count('permille'), 2)

    def test_merge(self):
        better = re.sub(r'\d+ permille', '10 permille', self.text)
        worse = re.sub(r'\d+ permille', '5000 permille', self.text)
        self.assertEqual(self.take(worse)['known'], 2)
        self.assertEqual(self.take(better)['taken'], 2)
        self.assertEqual({(driver, value.endswith(': 10 permille')) for _, driver, _, value in self.results()}, {('', True)})

    def test_bad(self):
        before = self.results()
        lines = self.text.splitlines()
        for bad in ('', 'hello\n', self.text + 'one more line\n', lines[0] + '\n' + lines[1] + '\textra\n', lines[1] + '\n',
                    self.text.replace('permille', 'percent'), self.text.replace('conv groups 1', 'conv groups 0'),
                    self.text.replace('\t', ' '), self.text + '\0'):
            (self.folder / 'in.txt').write_text(bad)
            self.refused('tune', '--import', 'in.txt', **self.environment, says='in.txt: line')
        self.assertEqual(self.results(), before)

    def test_foreign(self):
        other = re.sub(r'\t[0-9a-f]{16} ', '\t0123456789abcdef ', self.text)
        self.assertEqual(self.take(other), {'taken': 0, 'known': 0, 'foreign': 2})


if __name__ == '__main__':
    unittest.main()
