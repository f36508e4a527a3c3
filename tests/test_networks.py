#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole networks by bits: test_networks.py STIPPLE COMPARE_MODEL. Each at 320×480, density 0.3: seeds 0, 1, 7 against the C reference
(sparse, dense, unlisted rows poisoned), and a batch of three images with three seeds against its images one by one."""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx  # noqa: F401  (what the zoo needs)
    import onnxruntime  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
NETWORKS = {"resnet50": ["--form", "backbone"], "resnet34": ["--form", "classifier"], "resnext50": ["--form", "backbone"]}
SEEDS = [0, 1, 7]


def make(network, path):
    subprocess.run([sys.executable, "-m", "tools.zoo", network, *NETWORKS[network], "--density", "0.3", "--size", "480x320",
                    "--photo", ROOT / "tools/photos/coffee.jpg", "--output", path], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


def outputs(stipple, model, folder, images, seeds):
    folder.mkdir()
    np.save(folder / "image.npy", images)
    np.save(folder / "seed.npy", np.array(seeds, np.int64))
    subprocess.run([stipple, "run", model, "--input", f"image={folder / 'image.npy'}", "--input", f"seed={folder / 'seed.npy'}",
                    "--output", folder / "out", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return {path.name: np.load(path) for path in sorted((folder / "out").glob("*.npy"))}


def batch_is_its_images(stipple, model, folder):
    images = np.random.default_rng(5).normal(size=(3, 3, 160, 224)).astype(np.float32)
    whole = outputs(stipple, model, folder / "batch", images, SEEDS)
    assert whole
    for i, seed in enumerate(SEEDS):
        single = outputs(stipple, model, folder / f"image{i}", images[i:i + 1], [seed])
        for name, array in single.items():
            assert np.array_equal(whole[name][i:i + 1], array, equal_nan=True), f"{model.name}, {name}, image {i}"


def main():
    stipple, compare_model = sys.argv[1:]
    passed = 0
    for network in NETWORKS:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            model = folder / f"{network}.onnx"
            make(network, model)
            for seed in SEEDS:
                subprocess.run([compare_model, "--size", "320x480", "--seed", str(seed), model], check=True)
                passed += 1
            batch_is_its_images(stipple, model, folder)
            passed += 1
            print(f"{network}: seeds {SEEDS} as the reference, a batch as its images", flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
