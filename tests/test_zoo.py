# SPDX-License-Identifier: Apache-2.0
"""The model zoo and its comparison with ONNX Runtime: python -m unittest tests.test_zoo."""

import functools
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper
    from PIL import Image
except ImportError as error:
    print(f"skipped: {error} (tools/setup.sh makes a Python environment that has it)")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
onnxruntime.set_default_logger_severity(3)

from tools.zoo import compare, functions, networks, photo, reference, rewrite
from tools.zoo.builder import Builder, make_session
from tools.zoo.layers import Settings, ZooError

# Random123's kat_vectors for philox2x32-10: counter, key, words
KNOWN_ANSWERS = [
    (0x00000000, 0x00000000, 0x00000000, 0xFF1DAE59, 0x6CD10DF2),
    (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x2C3F628B, 0xAB4FD7AD),
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0xDD7CE038, 0xF62A4C12),
]

# What stipple reads (the zoo must stay within it)
OPERATORS = set(
    "Conv MaxPool AveragePool GlobalAveragePool Gemm BatchNormalization Relu Add Sub Mul Div Flatten Identity "
    "Sample Interpolate".split())


def picture(height, width, seed=0):
    """A network input with some structure: smooth on the left, rough on the right."""
    rng = np.random.default_rng(seed)
    rough = rng.standard_normal((1, 3, height, width)) * np.linspace(0, 1.5, width)
    return (rough + np.sin(np.arange(height) / 9)[:, None]).astype(np.float32)


@functools.cache
def build(network="small", size=(64, 96), **settings):
    small = {
        "small": networks.ResNet((1, 1, 1, 1)),
        "small_basic": networks.ResNet((1, 1, 1, 1), bottleneck=False),
        "small_grouped": networks.ResNet((1, 1, 1, 1), groups=32, group_width=4),
    }
    with mock.patch.dict(networks.NETWORKS, small):
        return networks.build(network, Settings(**settings), picture(*size))


def with_masks(model):
    """The model with its masks as further outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in rewrite.sample_nodes(copy):
        shape = [None, 1, None, None]
        copy.graph.output.append(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, shape))
    return copy


def run(model, **feed):
    session = make_session(model)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))


class PhiloxTest(unittest.TestCase):
    def test_reference_gives_the_known_answers(self):
        c0, c1, key, *words = np.array(KNOWN_ANSWERS).T
        for got, wanted in zip(reference.philox2x32(c0, c1, key), words):
            np.testing.assert_array_equal(got, wanted)

    def test_function_gives_the_known_answers(self):
        body = functions.Body()
        functions.philox(body, "c0", "c1", "key")
        names = ["c0", "c1", "key"]
        graph = helper.make_graph(
            body.nodes, "philox", [helper.make_tensor_value_info(n, TensorProto.INT64, ["n"]) for n in names],
            [helper.make_tensor_value_info(body.nodes[-1].output[0], TensorProto.INT64, ["n"])])
        graph.output[0].name = next(n.output[0] for n in reversed(body.nodes) if n.op_type == "BitwiseXor")
        model = helper.make_model(graph, opset_imports=functions.opset_imports([]), ir_version=functions.IR_VERSION)
        columns = np.array(KNOWN_ANSWERS).T
        word, = run(model, **dict(zip(names, columns))).values()
        np.testing.assert_array_equal(word, columns[3])


class SampleTest(unittest.TestCase):
    def sample(self, logits, seed, **attributes):
        return Builder().evaluate("Sample", logits, np.array(seed, np.int64), domain="stipple", **attributes)

    def test_function_equals_the_reference(self):
        rng = np.random.default_rng(3)
        for height, width in ((1, 1), (23, 31), (1, 40)):
            logits = (2 * rng.standard_normal((3, 1, height, width))).astype(np.float32)
            for seed in ([0], [-1], [5, 2**40 + 7, -(2**31)]):
                for stochastic in (0, 1):
                    for stream, grid in ((0, 0), (7, 1), (2**31 - 1, 11), (3, 2**31 - 1)):
                        attributes = {"stochastic": stochastic, "stream": stream, "grid": grid}
                        with self.subTest(height=height, width=width, seed=seed, **attributes):
                            mask = self.sample(logits, seed, **attributes)
                            self.assertEqual(mask.dtype, np.float32)
                            np.testing.assert_array_equal(mask, reference.sample(logits, seed, **attributes))

    def test_special_logits(self):
        logits = np.full((1, 1, 8, 8), np.nan, np.float32)
        logits[..., 4:] = np.inf
        logits[..., 1:3] = -np.inf
        for stochastic in (0, 1):
            mask = self.sample(logits, [9], stochastic=stochastic, stream=1, grid=3)[0, 0]
            grid = reference.grid_sites(3, 8, 8)
            np.testing.assert_array_equal(mask, grid | (np.arange(8) >= 4))

    def test_low_seed_bits_count_and_batch_index_does_not(self):
        logits = np.zeros((2, 1, 16, 16), np.float32)
        attributes = {"stochastic": 1, "stream": 4, "grid": 0}
        one = self.sample(logits, [11], **attributes)
        np.testing.assert_array_equal(one, self.sample(logits, [11 + 2**32], **attributes))
        np.testing.assert_array_equal(one[0], one[1])
        two = self.sample(logits, [3, 11], **attributes)
        np.testing.assert_array_equal(two[1], one[0])
        self.assertTrue((two[0] != two[1]).any())

    def test_share_follows_the_chance(self):
        logits = np.full((1, 1, 256, 256), np.log(0.3 / 0.7), np.float32)
        mask = self.sample(logits, [0], stochastic=1, stream=0, grid=0)
        self.assertAlmostEqual(mask.mean(), 0.3, delta=0.008)


def interpolate(x, mask, weight, epsilon):
    """SPEC.md's formula in double, tap by tap."""
    n, c, height, width = x.shape
    mask = np.broadcast_to(mask, (n, 1, height, width)) == 1
    kept = np.where(mask, x, 0).astype(np.float64)
    y, x_pad = (size // 2 for size in weight.shape)
    pad = ((0, 0), (0, 0), (y, y), (x_pad, x_pad))
    kept, total = np.pad(kept, pad), np.pad(mask.astype(np.float64), pad)
    numerator, denominator = np.zeros(x.shape), np.full((n, 1, height, width), epsilon)
    for (i, j), w in np.ndenumerate(weight.astype(np.float64)):
        window = np.s_[:, :, i:i + height, j:j + width]
        numerator += w * kept[window]
        denominator += w * total[window]
    return np.where(mask, x, numerator / denominator)


class InterpolateTest(unittest.TestCase):
    def test_function_equals_the_formula(self):
        rng = np.random.default_rng(5)
        kernels = [reference.rbf_kernel(3), reference.rbf_kernel(1), np.ones((3, 5), np.float32),
                   np.ones((1, 1), np.float32), np.array([[0.5, -0.2, 1]], np.float32)]
        for batch, masks in ((1, 1), (3, 3), (3, 1)):
            x = rng.standard_normal((batch, 5, 13, 17)).astype(np.float32)
            mask = (rng.random((masks, 1, 13, 17)) < 0.3).astype(np.float32)
            mask[:, :, :, 9:] = 0
            for weight in kernels:
                with self.subTest(batch=batch, masks=masks, kernel=weight.shape):
                    y = Builder().evaluate("Interpolate", x, mask, weight, domain="stipple", epsilon=1e-5)
                    wanted = interpolate(x, mask, weight, 1e-5)
                    np.testing.assert_allclose(y, wanted, atol=1e-4 * np.abs(wanted).max())
                    sampled = np.broadcast_to(mask == 1, x.shape)
                    np.testing.assert_array_equal(y[sampled], x[sampled])
                    self.assertTrue((y[..., 12:] == 0).all())

    def test_unsampled_values_have_no_influence(self):
        rng = np.random.default_rng(6)
        x = rng.standard_normal((1, 4, 11, 11)).astype(np.float32)
        mask = (rng.random((1, 1, 11, 11)) < 0.4).astype(np.float32)
        dirty = np.where(mask == 1, x, np.where(x > 0, np.nan, np.inf)).astype(np.float32)
        results = [
            Builder().evaluate("Interpolate", a, mask, reference.rbf_kernel(3), domain="stipple", epsilon=1e-5)
            for a in (x, dirty)
        ]
        np.testing.assert_array_equal(*results)


class NetworkTest(unittest.TestCase):
    def test_every_kind_runs_at_any_size(self):
        for network in ("small", "small_basic", "small_grouped", "tiny", "tiny_plain"):
            for variant in ({}, {"style": "caffe", "fold": True, "form": "classifier"}):
                with self.subTest(network=network, **variant):
                    model = build(network, **variant)
                    self.assertLessEqual({node.op_type for node in model.graph.node}, OPERATORS)
                    for size in ((64, 96), (37, 53), (33, 64), (17, 9)):
                        for output in run(model, image=np.repeat(picture(*size, seed=1), 2, 0)).values():
                            self.assertTrue(np.isfinite(output).all())
                            self.assertLess(np.abs(output).max(), 1000)

    def test_backbone_outputs(self):
        outputs = run(build("small"), image=picture(65, 97))
        shapes = {name: output.shape[1:] for name, output in outputs.items()}
        self.assertEqual(shapes, {"C2": (256, 17, 25), "C3": (512, 9, 13), "C4": (1024, 5, 7), "C5": (2048, 3, 4)})

    def test_published_sizes(self):
        wanted = {"resnet34": 21.8e6, "resnet50": 25.6e6, "resnext50": 25.0e6}
        for network, parameters in wanted.items():
            model = rewrite.dense_twin(build(network, form="classifier"))
            got = sum(np.prod(i.dims) for i in model.graph.initializer)
            self.assertAlmostEqual(got / parameters, 1, delta=0.01, msg=network)

    def test_stride_styles(self):
        for style, strided in (("caffe", "layer2.0.conv1"), ("pytorch", "layer2.0.conv2")):
            model = build("small", style=style)
            convolutions = [n for n in model.graph.node if n.op_type == "Conv" and n.name.startswith("layer2.0.conv")]
            got = [n.name for n in convolutions if helper.get_node_attr_value(n, "strides") == [2, 2]]
            self.assertEqual(got, [strided])

    def test_folded_batch_norm_is_the_same_function(self):
        image = picture(64, 96, seed=2)
        kept, folded = (run(rewrite.dense_twin(build("small", fold=fold)), image=image) for fold in (False, True))
        for name, output in kept.items():
            self.assertIsNone(compare.check_output(folded[name], output)[0])

    def test_density_is_met(self):
        for settings in ({"density": 0.3}, {"density": 0.6, "grid": 0}, {"density": 0.25, "stochastic": False}):
            with self.subTest(**settings):
                model = build("small", size=(320, 480), **settings)
                logits = run(rewrite.replay(model), image=picture(320, 480), **self.masks(model, picture(320, 480)))
                for node in rewrite.sample_nodes(model):
                    chance = logits[node.input[0]]
                    chance = reference.sigmoid(chance) if settings.get("stochastic", True) else chance >= 0
                    grid = reference.grid_sites(settings.get("grid", 11), *chance.shape[2:])
                    self.assertAlmostEqual(np.where(grid, 1, chance).mean(), settings["density"], delta=0.01)

    def masks(self, model, image, **feed):
        outputs = run(with_masks(model), image=image, **feed)
        return {n.output[0]: outputs[n.output[0]] for n in rewrite.sample_nodes(model)}

    def test_masks_follow_the_local_contrast(self):
        image = picture(128, 192)
        masks = self.masks(build("small"), image)
        smooth = np.mean([m[..., :m.shape[3] // 3].mean() for m in masks.values()])
        rough = np.mean([m[..., -(m.shape[3] // 3):].mean() for m in masks.values()])
        self.assertGreater(rough, smooth + 0.2)

    def test_density_below_the_grid_prior_is_refused(self):
        with self.assertRaisesRegex(ZooError, "layer4.0.mask2"):
            build("small", size=(320, 480), density=0.011)

    def test_a_small_photo_is_refused(self):
        with self.assertRaisesRegex(ZooError, "96x31"):
            build("small", size=(31, 96))

    def test_the_seed_decides_the_weights(self):
        same, again, other = (build("tiny", seed=seed).graph.initializer[1] for seed in (1, 1, 2))
        self.assertEqual(same, again)
        self.assertNotEqual(same, other)

    def test_metadata(self):
        model = build("small_basic", form="classifier", lam=2.5)
        metadata = {p.key: p.value for p in model.metadata_props}
        self.assertEqual(metadata["stipple.task"], "classify")
        self.assertEqual(metadata["stipple.lambda.layer1.0.interpolate2"], "2.5")
        streams = [helper.get_node_attr_value(n, "stream") for n in rewrite.sample_nodes(model)]
        self.assertEqual(streams, list(range(8)))


class RewriteTest(unittest.TestCase):
    def test_replay_equals_the_model(self):
        image = np.concatenate([picture(61, 83, seed=s) for s in range(3)])
        seed = np.array([0, 1, 7])
        for network in ("tiny", "small", "small_basic", "small_grouped"):
            with self.subTest(network=network):
                model = build(network)
                full = run(with_masks(model), image=image, seed=seed)
                samples = rewrite.sample_nodes(model)
                replayed = run(rewrite.replay(model), image=image, **{n.output[0]: full[n.output[0]] for n in samples})
                for output in model.graph.output:
                    self.assertIsNone(compare.check_output(replayed[output.name], full[output.name])[0])
                for node in samples:
                    attributes = {a.name: a.i for a in node.attribute}
                    wrong, _ = compare.check_mask(full[node.output[0]], replayed[node.input[0]], seed, attributes)
                    self.assertEqual(wrong, 0)

    def test_replay_form(self):
        model = build("small")
        replayed = rewrite.replay(model)
        onnx.checker.check_model(replayed, full_check=True)
        masks = [n.output[0] for n in rewrite.sample_nodes(model)]
        self.assertEqual([i.name for i in replayed.graph.input], ["image", *masks])
        self.assertEqual([f.name for f in replayed.functions], ["Interpolate"])

    def test_dense_twin_has_nothing_of_masks(self):
        model = build("small")
        before = model.SerializeToString()
        twin = rewrite.dense_twin(model)
        self.assertEqual(model.SerializeToString(), before)
        onnx.checker.check_model(twin, full_check=True)
        self.assertEqual([i.name for i in twin.graph.input], ["image"])
        self.assertFalse(twin.functions)
        self.assertEqual([o.domain for o in twin.opset_import], [""])
        names = [name for node in twin.graph.node for name in node.input]
        self.assertFalse([name for name in names if "mask" in name or "contrast" in name])
        self.assertFalse([p.key for p in twin.metadata_props if "lambda" in p.key])

    def test_dense_twin_equals_the_model_where_everything_is_sampled(self):
        for network in ("tiny", "small", "small_basic"):
            model = build(network, density=1.0)
            image = picture(64, 96)
            full, dense = run(model, image=image), run(rewrite.dense_twin(model), image=image)
            for name, output in full.items():
                self.assertIsNone(compare.check_output(dense[name], output)[0], f"{network} {name}")


# Stands in for the stipple command: ONNX Runtime behind the same interface.
STAND_IN = """\
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import numpy as np, onnx
from PIL import Image
from tests.test_zoo import run, with_masks
from tools.zoo import compare, rewrite
line = sys.argv[2:]
options = [(a, b) for a, b in zip(line, line[1:])]
folder = {{key: Path(value) for key, value in options if key in ("--output", "--masks")}}
feed = dict(value.split("=", 1) for key, value in options if key == "--input")
for path in folder.values():
    path.mkdir()
model = onnx.load(line[0])
outputs = run(with_masks(model), **{{name: np.load(path) for name, path in feed.items()}})
{damage}
for output in model.graph.output:
    np.save(folder["--output"] / (compare.output_name(output.name) + ".npy"), outputs[output.name])
masks = []
for node in rewrite.sample_nodes(model):
    mask = outputs[node.output[0]]
    for i, image in enumerate(mask):
        suffix = "_%d" % i if len(mask) > 1 else ""
        picture = Image.fromarray((image[0] * 255).astype(np.uint8))
        picture.save(folder["--masks"] / (compare.output_name(node.name) + suffix + ".png"))
    masks.append({{"node": node.name, "sampled": float(mask.mean(dtype=np.float64))}})
print(json.dumps({{"masks": masks}}))
"""


class CompareTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def compare(self, model, feed, damage=""):
        command = self.folder / "stand-in"
        program = self.folder / "stand-in.py"
        program.write_text(STAND_IN.format(root=str(ROOT), damage=damage))
        # Not the program itself: its first line could not name an interpreter whose path holds a space.
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(program))} "$@"\n')
        command.chmod(0o755)
        onnx.save(model, self.folder / "model.onnx")
        return [(what, error) for what, error, _ in compare.compare_run(command, self.folder / "model.onnx", feed)]

    def test_passes_and_failures(self):
        model = build("tiny")
        for batch in (1, 3):
            feed = {"image": np.repeat(picture(40, 50), batch, 0), "seed": np.arange(batch)}
            self.assertEqual([error for _, error in self.compare(model, feed)], [None] * 3)
        flip = "outputs['mask'][0, 0, 1, 1:9] = 1 - outputs['mask'][0, 0, 1, 1:9]"
        self.assertIn("what the logits say", dict(self.compare(model, feed, flip))["mask 'mask'"])
        shift = "outputs['features'] += 0.01"
        self.assertEqual(dict(self.compare(model, feed, shift))["output 'features'"], "too different")
        with self.assertRaisesRegex(compare.CompareError, "exit code 3: broken"):
            self.compare(model, feed, "print('broken', file=sys.stderr); sys.exit(3)")

    def test_a_model_without_masks(self):
        results = self.compare(build("tiny_plain"), {"image": picture(40, 50)})
        self.assertEqual(results, [("output 'scores'", None)])

    def test_output_rules(self):
        wanted = np.array([1, np.nan, np.inf, 0], np.float32)
        self.assertIsNone(compare.check_output(wanted + np.float32(5e-5), wanted)[0])
        for other in ([1.001, np.nan, np.inf, 0], [1, 0, np.inf, 0], [1, np.nan, 5, 0], [1, np.nan]):
            self.assertIsNotNone(compare.check_output(np.array(other, np.float32), wanted)[0])

    def test_mask_rules(self):
        logits = np.array([[[[0.00005, -0.00005, 0.5, -0.5]]]], np.float32)
        attributes = {"stochastic": 0, "stream": 0, "grid": 0}
        for mask, wrong in (([1, 0, 1, 0], 0), ([0, 1, 1, 0], 0), ([1, 0, 0, 0], 1), ([1, 0, 1, 0.5], 4)):
            mask = np.array([[[mask]]], np.float32)
            self.assertEqual(compare.check_mask(mask, logits, [0], attributes)[0], wrong)


class CommandLineTest(unittest.TestCase):
    def zoo(self, *arguments, module="tools.zoo"):
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)

    def test_writes_a_model(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photo.png")
            paths = [folder / f"{n}.onnx" for n in ("sparse", "dense", "replay")]
            done = self.zoo("tiny", "--photo", folder / "photo.png", "--size", "72x56", "--output", paths[0],
                            "--dense-twin", paths[1], "--replay", paths[2])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            image = photo.load_for(onnx.load(paths[0]), folder / "photo.png")
            self.assertEqual(image.shape, (1, 3, 60, 80))
            self.assertEqual(run(paths[0], image=image)["features"].shape, (1, 16, 60, 80))
            make_session(paths[1])
            make_session(paths[2])

    def test_errors_name_the_thing(self):
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            for arguments, word, status in (
                (["tiny", "--photo", "absent.png", "--output", "x"], "absent.png", 1),
                (["tiny", "--photo", file.name, "--output", "x"], file.name, 1),
                (["tiny", "--photo", file.name, "--output", "x", "--density", "1.5"], "'1.5'", 2),
                (["tiny", "--photo", file.name, "--output", "x", "--size", "12"], "'12'", 2),
                (["resnet18", "--photo", file.name, "--output", "x"], "resnet18", 2),
            ):
                done = self.zoo(*arguments)
                self.assertEqual(done.returncode, status)
                self.assertIn(word, done.stderr)
                self.assertNotIn("Traceback", done.stderr)
        done = self.zoo("absent.onnx", module="tools.zoo.compare")
        self.assertEqual(done.returncode, 1)
        self.assertIn("absent.onnx", done.stderr)


if __name__ == "__main__":
    unittest.main()
