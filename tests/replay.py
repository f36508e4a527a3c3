# SPDX-License-Identifier: Apache-2.0
"""Compares the stipple command with ONNX Runtime on networks of the zoo and photos, by replay (SPEC.md, Exactness)."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime  # noqa: F401 (compare needs it)
    import PIL  # noqa: F401
except ImportError as error:
    print(f"skipped: {error} (tools/setup.sh makes a Python environment that has it)")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.zoo import compare, networks, photo
from tools.zoo.layers import Settings

PHOTOS = [ROOT / "tools" / "photos" / name for name in ("coffee.jpg", "chelsea.jpg")]
SIZE = (480, 320)
SEEDS = (0, 1, 7)

# name → network, settings
QUICK = {
    "tiny": ("tiny", {}),
    "tiny, wide kernel, no grid": ("tiny", {"lam": 1.0, "grid": 0}),
    "tiny, deterministic": ("tiny", {"stochastic": False}),
    "tiny, no sampling": ("tiny_plain", {}),
}
NETWORKS = {
    "ResNet-50": ("resnet50", {}),
    "ResNet-50, caffe style, folded batch norm": ("resnet50", {"style": "caffe", "fold": True}),
    "ResNet-34 classifier": ("resnet34", {"form": "classifier"}),
    "ResNeXt-50": ("resnext50", {}),
}


def feeds(model):
    """What each model is run on: name → inputs."""
    sampled = any(i.name == "seed" for i in model.graph.input)
    image = photo.load_for(model, PHOTOS[0], SIZE)
    for seed in SEEDS if sampled else SEEDS[:1]:
        yield f"seed {seed}", {"image": image} | ({"seed": np.array([seed])} if sampled else {})
    yield "a photo of another size", {"image": photo.load_for(model, PHOTOS[1])}
    batch = np.concatenate([image, photo.load_for(model, PHOTOS[1], SIZE), image[..., ::-1]])
    yield "batch of 3", {"image": batch} | ({"seed": np.array(SEEDS)} if sampled else {})


def run(command, cases, arguments):
    """Compares every case; gives how many comparisons passed and failed."""
    counts = [0, 0]
    calibration = photo.load(PHOTOS[0], SIZE)
    for name, (network, settings) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            model = networks.build(network, Settings(**settings), calibration)
            onnx.save(model, path)
            for what, feed in feeds(model):
                start, failed = time.monotonic(), 0
                try:
                    for thing, error, detail in compare.compare_run(command, path, feed, arguments):
                        counts[error is not None] += 1
                        if error:
                            failed += 1
                            print(f"  {thing}: {error} {detail}")
                except compare.CompareError as error:
                    counts[1], failed = counts[1] + 1, failed + 1
                    print(f"  {error}")
                verdict = "FAILED" if failed else "ok"
                print(f"{verdict} {name}: {what} ({time.monotonic() - start:.1f} s)", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", help="the stipple command, such as build/tools/stipple")
    parser.add_argument("--quick", action="store_true", help="tiny networks only")
    parser.add_argument("--arguments", type=str.split, default=[], metavar="'ARG…'",
                        help="further arguments of `stipple run`, such as --arguments='--device pocl --dense'")
    options = parser.parse_args()
    passed, failed = run(options.command, QUICK if options.quick else QUICK | NETWORKS, options.arguments)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
