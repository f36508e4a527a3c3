#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example programs run a sparse model and report what is wrong with a missing one: test_examples.py PROGRAM..."""
import pathlib
import subprocess
import sys
import tempfile

try:
    from test_regions import CASES
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def main():
    passed = 0
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "model.onnx"
        CASES["bottleneck"](1).save(model)
        for program in sys.argv[1:]:
            done = run(program, model, "11", "13")
            assert done.returncode == 0, done.stderr
            assert f"{2 * 32 * 11 * 13} elements of float32" in done.stdout, done.stdout
            missing = run(program, "missing.onnx", "11", "13")
            assert missing.returncode == 1 and "missing.onnx" in missing.stderr, missing.stderr
            assert run(program).returncode == 2
            passed += 3
    print(f"{passed} passed, 0 failed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
