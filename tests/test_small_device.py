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
DEVICES = {
    'gpu': 'gpu,vendor=AMD,units=24,group=256,local=65536,width=1',
    'gpu-large': 'gpu,vendor=NVIDIA Corporation,units=132,group=1024,items=1024/1024/64,local=49152,width=1',
    'gpu-64': 'gpu,units=8,group=64,local=16384,buffer=134217728,width=4',
    'gpu-384': 'gpu,units=2,group=384,items=384/384/384,local=32768,width=4',
    'gpu-flat': 'gpu,group=128,items=128/2/1,local=1024',
    'gpu-1': 'gpu,group=1',
    'adreno': 'gpu,units=9999,group=1024,items=1024/1024/64,local=32768,width=1',
    'cpu-1': 'group=1,width=4',
    'cpu-8': 'width=8',
}


class SmallDevice(CommandTest):
    def small(self, words):
        """The environment that makes devices so small."""
        options = [os.environ.get('ASAN_OPTIONS', ''), 'verify_asan_link_order=0']
        library = self.folder / 'small_device.so'  # LD_PRELOAD ends a name at a space
        if not library.is_symlink():
            library.symlink_to(os.path.abspath(LIBRARY))
        return {'LD_PRELOAD': str(library), 'SMALL_DEVICE': words, 'ASAN_OPTIONS': ':'.join(filter(None, options))}

    def check_limits(self, words):
        device = self.json('devices', **self.small(words))['devices'][0]
        told = dict(re.findall(r'(\w+)=([^,]+)', words))
        if 'gpu' in words.split(','):
            self.assertEqual((device['type'], device['fp64'], device['fp16']), ('gpu', False, False))
        for word, key in [('units', 'compute_units'), ('width', 'native_vector_width_float'), ('group', 'max_work_group_size'),
                          ('local', 'local_memory'), ('buffer', 'max_allocation')]:
            if word in told:
                self.assertEqual(device[key], int(told[word]))
        self.assertEqual(device['vendor'], told.get('vendor', device['vendor']))
        if 'items' in told:
            self.assertEqual(device['max_work_item_sizes'], [int(size) for size in told['items'].split('/')])

    def check_bits(self, words):
        folder = self.folder / 'models'
        folder.mkdir(exist_ok=True)
        done = subprocess.run([COMPARE_MODEL, *make_models(folder, True)], check=False, text=True, env={**os.environ, **self.small(words)},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        count = re.search(r'(\d+) passed, 0 failed\n\Z', done.stdout)
        self.assertTrue(done.returncode == 0 and count and int(count[1]), f'{words}: {done.stdout}')
        print(f'{words}: {count[1]} passed', flush=True)

    def test_devices(self):
        for name in CHOSEN or DEVICES:
            with self.subTest(name):
                self.check_limits(DEVICES[name])
                self.check_bits(DEVICES[name])

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
