# SPDX-License-Identifier: Apache-2.0
"""stipple selftest: what it says of this device, of a driver that crashes, and that its hashes are the same everywhere. See command.py.

HASHES of the fixed network: any exact device must give them."""
import json
import os
import unittest

from command import CommandTest

HASHES = 'masks 5a23a71af1c98a76, outputs 35d1191411e54961'
PARTS = {'elementwise', 'moving', 'pooling', 'matrix products', 'convolution, 1x1', 'convolution, windows', 'convolution, groups', 'masks',
         'masked convolution', 'interpolation', 'network', 'convolution, ways', 'speed'}


class SelfTest(CommandTest):
    def test_report(self):
        done = self.call('selftest', '--json', 'report.json')
        told = json.loads((self.folder / 'report.json').read_text())
        parts = {part['name']: part for part in told['parts']}
        self.assertEqual(set(parts), PARTS)
        self.assertTrue(told['passed'], told)
        self.assertTrue(all(part['passed'] and (part['checks'] >= 3 or name == 'speed') for name, part in parts.items()), parts)
        self.assertEqual(parts['network']['detail'], HASHES)
        self.assertIsNone(told['device']['inexact'])
        self.assertRegex(parts['speed']['detail'], r'\d+ GFLOP/s of fma, \d+ GB/s; a network of 224×224 in [\d.]+ ms: .*conv_(rows|tile) [\d.]+')
        lines = done.stdout.splitlines()
        for name in PARTS:
            self.assertTrue(any(line.startswith(f'{name} ') and ' passed' in line for line in lines), (name, done.stdout))
        self.assertRegex(lines[-1], r'\Aresult +all 13 parts passed, \d+ checks\Z')
        self.assertIn(told['device']['driver_version'], done.stdout)

    def test_usage(self):
        self.refused('selftest', 'model.onnx', code=2, says="takes no 'model.onnx'")
        self.refused('selftest', '--device', 'nowhere', says='nowhere')

    @unittest.skipUnless('SMALL_DEVICE_LIBRARY' in os.environ, 'small_device.c is not built')
    def test_failures(self):
        """A device that refuses, in the child processes too, fails parts and not the selftest."""
        library = {**self.preloading(os.environ['SMALL_DEVICE_LIBRARY']), 'SMALL_DEVICE': 'silent,buffer=4000'}
        done = self.call('selftest', code=1, **library)
        self.assertRegex(done.stdout, r'pooling +FAILED.*clCreateBuffer failed')
        self.assertRegex(done.stdout.splitlines()[-1], r'\Aresult +\d+ of 13 parts FAILED\Z')


if __name__ == '__main__':
    unittest.main()
