# SPDX-License-Identifier: Apache-2.0
"""The models of test_ops.py and networks made to break regions, on a device against the C reference, bit for bit (compare_model).

test_bits.py PROGRAM [--seed N] [--only FAMILY]... [OPTION...]     passes further options on to compare_model"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    from onnx import numpy_helper

    from region_cases import REGION_FAMILIES, RegionCases
    from test_ops import FAMILIES, Cases
except ImportError as missing:
    print(f'test_bits: skipped: {missing}')
    sys.exit(77)

ALL = FAMILIES + REGION_FAMILIES
BATCH = 100  # models per process


class AllCases(RegionCases, Cases):
    pass


def write(case, folder, number):
    """Files of the case; the arguments for it."""
    path = folder / f'{number}.onnx'
    path.write_bytes(case.model.SerializeToString())
    arguments = [str(path)]
    for i, (key, value) in enumerate(case.inputs.items()):
        tensor = folder / f'{number}_{i}.pb'
        tensor.write_bytes(numpy_helper.from_array(value, key).SerializeToString())
        arguments.append(f'{key}={tensor}')
    return arguments


def compare(cases, command):
    """Runs them in one process; gives how many comparisons passed and failed, and tells what failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        arguments = [part for number, case in enumerate(cases) for part in write(case, folder, number)]
        done = subprocess.run(command + arguments, capture_output=True, timeout=1800, check=False)
        said = done.stdout.decode(errors='replace') + done.stderr.decode(errors='replace')
    count = re.search(r'(\d+) passed, (\d+) failed', said)
    if not count:
        print(f'compare_model ended with {done.returncode}: {said}')
        return 0, 1
    passed, failed = int(count[1]), int(count[2])
    if failed or done.returncode:
        print(re.sub(re.escape(name) + r'/(\d+)\.onnx', lambda found: cases[int(found[1])].name, said))
    return passed, failed + (done.returncode != 0 and not failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('program')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', choices=ALL, action='append')
    parser.add_argument('--skip', choices=ALL, action='append', default=[])
    options, rest = parser.parse_known_args()
    total = [0, 0]
    for family in options.only or ALL:
        if family in options.skip:
            continue
        cases = [case for case in getattr(AllCases([options.seed, ALL.index(family)]), family)() if case.error is None]
        passed = failed = 0
        for start in range(0, len(cases), BATCH):
            counts = compare(cases[start:start + BATCH], [options.program, *rest])
            passed, failed = passed + counts[0], failed + counts[1]
        print(f'{family}: {len(cases)} models, {passed} passed, {failed} failed', flush=True)
        total = [total[0] + passed, total[1] + failed]
    print(f'test_bits: seed {options.seed}: {total[0]} passed, {total[1]} failed')
    return 0 if total[0] and not total[1] else 1


if __name__ == '__main__':
    sys.exit(main())
