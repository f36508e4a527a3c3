#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Closing lines of a test run: summary.py LOG... reads meson's JSON test logs. Exit code 0 only if something passed and nothing failed."""
import json
import pathlib
import sys


def main():
    tests = []
    for log in map(pathlib.Path, sys.argv[1:]):
        if log.exists():
            tests += [(log.stem, json.loads(line)) for line in log.read_text().splitlines()]
    passed = [test for _, test in tests if test['result'] in ('OK', 'EXPECTEDFAIL')]
    skipped = [(log, test) for log, test in tests if test['result'] == 'SKIP']
    failed = [(log, test) for log, test in tests if test['result'] not in ('OK', 'EXPECTEDFAIL', 'SKIP')]
    for log, test in skipped:
        said = (test.get('stdout', '') + test.get('stderr', '')).strip().splitlines()
        print(f'skipped: {log}: {test["name"]}: {said[-1] if said else "no reason given"}')
    for log, test in failed:
        print(f'failed: {log}: {test["name"]} ({test["result"].lower()}, {test["duration"]:.1f} s)')
    if not passed:
        print('no test passed: that is a failure')
    print(f'{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(main())
