# SPDX-License-Identifier: Apache-2.0
"""Devices smaller than the one at hand (small_device.c): the command tells their limits, kernels keep to them and give the reference's bits, and
what is refused all the same is an error. Those for GPUs run on any device here.

test_small_device.py [NAME]...     only these of DEVICES. SMALL_DEVICE_LIBRARY and COMPARE_MODEL name what is built of small_device.c and
compare_model.c; see command.py"""
import os
import pathlib
import re
import subprocess
import sys
import unittest

from command import CommandTest
from test_regions import make_models

LIBRARY, COMPARE_MODEL = os.environ['SMALL_DEVICE_LIBRARY'], os.environ['COMPARE_MODEL']
NVIDIA = 'gpu,vendor=NVIDIA Corporation,group=1024,items=1024/1024/64,local=49152,width=1'
# With one unit a GPU gets the largest tiles, with many the smallest.
DEVICES = {
    'amd': 'gpu,vendor=AMD,units=1,group=256,local=65536,width=1',
    'amd-many': 'gpu,vendor=AMD,units=48,group=256,local=65536,width=1',
    'intel': 'gpu,vendor=Intel(R) Corporation,units=1,group=256,local=65536,width=1',
    'intel-many': 'gpu,vendor=Intel(R) Corporation,units=96,group=512,local=65536,width=1',
    'nvidia': f'{NVIDIA},units=1',
    'nvidia-many': f'{NVIDIA},units=132',
    'small': 'gpu,vendor=Small,units=8,group=64,local=16384,buffer=134217728,width=4',
    'odd': 'gpu,vendor=Odd,units=2,group=384,items=384/384/384,local=32768,width=4',
    'twelve': 'gpu,vendor=Odd,units=1,group=12,items=12/12/12,width=16',
    'flat': 'gpu,vendor=Odd,group=128,items=128/2/1,local=1024',
    'one': 'gpu,vendor=Odd,group=1',
    'cpu-one': 'group=1,width=4',
    'cpu-eight': 'width=8',
}


class SmallDevice(CommandTest):
    def small(self, words):
        """The environment that makes devices so small."""
        return {**self.preloading(LIBRARY), 'SMALL_DEVICE': words}

    def check_limits(self, words):
        real, device = (self.json('devices', **env)['devices'][0] for env in ({}, self.small(words)))
        told = dict(re.findall(r'(\w+)=([^,]+)', words))
        if 'gpu' in words.split(','):
            self.assertEqual((device['type'], device['fp64'], device['fp16']), ('gpu', False, False))
        for word, key in [('units', 'compute_units'), ('width', 'native_vector_width_float'), ('group', 'max_work_group_size'),
                          ('local', 'local_memory'), ('buffer', 'max_allocation')]:
            if word in told:
                can_be_more = word in ('units', 'width')
                self.assertEqual(device[key], int(told[word]) if can_be_more else min(int(told[word]), real[key]))
        self.assertEqual(device['vendor'], told.get('vendor', device['vendor']))
        if 'items' in told:
            sizes = [min(int(size), limit) for size, limit in zip(told['items'].split('/'), real['max_work_item_sizes'])]
            self.assertEqual(device['max_work_item_sizes'], sizes)

    def check_bits(self, words):
        folder = self.folder / 'models'
        folder.mkdir(exist_ok=True)
        done = subprocess.run([COMPARE_MODEL, *make_models(folder, True)], check=False, text=True, env={**os.environ, **self.small(words)},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        count = re.search(r'(\d+) passed, 0 failed\n\Z', done.stdout)
        self.assertTrue(done.returncode == 0 and count and int(count[1]), f'{words}: {done.stdout}')
        print(f'{words}: {count[1]} passed', flush=True)

    def check_tuning(self, words):
        """The kernels for GPUs have other numbers to tune."""
        told = self.json('tune', *self.blocks(), '--budget', '2', **self.small(words))
        choices = {' '.join(one[key].split()[::2]) for one in told['classes'] for key in ('default', 'tuned')}
        gpu = 'across down columns rows depth ahead piece unroll groups'
        self.assertLessEqual(choices, {gpu} if 'gpu' in words else {'rows vec vecs block', 'winograd vec vecs block'})
        self.assertTrue(any(one['tried'] > 1 for one in told['classes']))

    def test_devices(self):
        for name in CHOSEN or DEVICES:
            with self.subTest(name):
                self.check_limits(DEVICES[name])
                self.check_bits(DEVICES[name])
                self.check_tuning(DEVICES[name])

    def test_refused(self):
        """A device that does not tell what it refuses."""
        for words, call in [('gpu,silent,group=2', 'clEnqueueNDRangeKernel'), ('gpu,silent,local=100', 'clEnqueueNDRangeKernel'),
                            ('silent,buffer=4000', 'clCreateBuffer')]:
            with self.subTest(words):
                done = self.call('run', *self.blocks(), code=1, **self.small(words))
                self.assertRegex(done.stderr, rf'stipple: .*{call}[^:]* failed: CL_\w+ \(-\d+\)')


if __name__ == '__main__':
    CHOSEN = [word for word in sys.argv[1:] if word in DEVICES]
    unittest.main(argv=[sys.argv[0]] + [word for word in sys.argv[1:] if word not in DEVICES], verbosity=2)
