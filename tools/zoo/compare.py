# SPDX-License-Identifier: Apache-2.0
"""Compares the stipple command with ONNX Runtime by replay (SPEC.md, Exactness): ONNX Runtime gets the masks that
stipple drew; then the outputs must agree, and the logits must explain the masks. Run from the top of the source tree:
python -m tools.zoo.compare MODEL PHOTO"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from . import photo, reference, rewrite
from .builder import make_session

TOLERANCE = 1e-4  # of an output's largest magnitude, and of a logit


class CompareError(Exception):
    """What keeps the comparison from being made; the message is for people."""


def output_name(name):
    """The file name, without its ending, that the command gives a tensor or a mask."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def run_stipple(command, model_path, feed, folder, arguments=()):
    """Runs the model on arrays; files go to folder/out and folder/masks. Gives the summary."""
    folders = ["--output", folder / "out", "--masks", folder / "masks"]
    line = [command, "run", str(model_path), "--json", *folders, *arguments]
    for index, (name, array) in enumerate(feed.items()):
        path = folder / f"input{index}.npy"
        np.save(path, array)
        line += ["--input", f"{name}={path}"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompareError(f"{command} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise CompareError(f"{command} failed with exit code {done.returncode}: {done.stderr.strip()}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise CompareError(f"{command} printed no JSON summary: {error}") from None


def read_mask(folder, node, batch):
    """A Sample node's mask as N×1×H×W of 0 and 1, from NODE.png, or NODE_0.png, NODE_1.png … for a batch."""
    stem = output_name(node)
    names = [f"{stem}.png"] if batch == 1 else [f"{stem}_{i}.png" for i in range(batch)]
    images = []
    for name in names:
        try:
            with Image.open(folder / name) as image:
                images.append(np.asarray(image.convert("L"), np.float32) / 255)
        except OSError as error:
            raise CompareError(f"the mask of '{node}': {error}") from None
    return np.stack(images)[:, None]


def check_output(ours, theirs):
    """Why two outputs do not agree, or None; and the largest difference as a share of the largest magnitude."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, ONNX Runtime {theirs.shape}", np.nan
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return "NaN in other places", np.nan
    known = ~np.isnan(theirs) & (ours != theirs)  # equal infinities have no difference
    if not known.any():
        return None, 0.0
    scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=0)
    share = np.abs(ours[known] - theirs[known]).max() / scale if scale else np.inf
    return (None if share <= TOLERANCE else "too different"), share


def check_mask(mask, logits, seed, attributes):
    """How many sites the logits do not explain, and how many are borderline: otherwise if the logit moves a bit."""
    if not np.isin(mask, (0, 1)).all() or mask.shape != logits.shape:
        return mask.size, 0
    logits = logits.astype(np.float64)
    step = TOLERANCE * np.maximum(1, np.abs(logits))
    least, most = (reference.sample(logits + move, seed, **attributes) for move in (-step, step))
    return int(((mask < least) | (mask > most)).sum()), int((least != most).sum())


def compare(model, summary, outputs, masks, feed):
    """Yields (what, error or None, detail) for everything that is compared.

    outputs: the graph outputs, by name; masks: by Sample node; feed: the graph inputs as stipple got them."""
    samples = rewrite.sample_nodes(model)
    session = make_session(rewrite.replay(model))
    names = [output.name for output in session.get_outputs()]
    replayed = {node.output[0]: masks[node.name] for node in samples}
    wanted = {i.name for i in session.get_inputs()} | {i.name for i in session.get_overridable_initializers()}
    theirs = dict(zip(names, session.run(None, {k: v for k, v in (feed | replayed).items() if k in wanted})))
    theirs |= {k: v for k, v in feed.items() if k not in theirs}

    for output in model.graph.output:
        error, share = check_output(outputs[output.name], theirs[output.name])
        yield f"output '{output.name}'", error, f"difference {share:.1e} of the largest magnitude"
    defaults = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in samples:
        seed = feed.get(node.input[1], defaults.get(node.input[1]))
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        wrong, borderline = check_mask(masks[node.name], theirs[node.input[0]], seed, attributes)
        size = masks[node.name].size
        error = f"{wrong} of {size} sites are not what the logits say" if wrong else None
        yield f"mask '{node.name}'", error, f"{borderline} of {size} sites borderline"
    shares = {entry["node"]: entry["sampled"] for entry in summary["masks"]}
    for node in samples:
        share, mean = shares.get(node.name), masks[node.name].mean(dtype=np.float64)
        agrees = share is not None and abs(share - mean) < 1e-6
        yield f"sampled share of '{node.name}'", None if agrees else f"{share}, but the mask's mean is {mean:.6f}", ""


def compare_run(command, model_path, feed, arguments=()):
    """Runs both sides and yields what compare() yields."""
    try:
        model = onnx.load(model_path)
    except Exception as error:
        raise CompareError(f"{model_path}: {error}") from None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        summary = run_stipple(command, model_path, feed, folder, arguments)
        outputs = {o.name: np.load(folder / "out" / f"{output_name(o.name)}.npy") for o in model.graph.output}
        batch = next((len(array) for array in feed.values() if array.ndim == 4), 1)
        masks = {n.name: read_mask(folder / "masks", n.name, batch) for n in rewrite.sample_nodes(model)}
        yield from compare(model, summary, outputs, masks, feed)


def image_input(model):
    """The input that a photo feeds: the first float one of rank 4."""
    for value in model.graph.input:
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.FLOAT and len(kind.shape.dim) == 4:
            return value.name
    raise CompareError("the model has no image input")


def main():
    arguments = _parser().parse_args()
    passed = failed = 0
    try:
        results = compare_run(arguments.stipple, arguments.model, _feed(arguments), arguments.arguments)
        for what, error, detail in results:
            passed, failed = passed + (error is None), failed + (error is not None)
            if error or arguments.verbose:
                print("; ".join(filter(None, (f"{'FAILED' if error else 'ok'} {what}", error, detail))))
    except (CompareError, OSError) as error:
        sys.exit(f"compare: {error}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def _feed(arguments):
    try:
        model = onnx.load(arguments.model, load_external_data=False)
    except Exception as error:
        raise CompareError(f"{arguments.model}: {error}") from None
    feed = {}
    if arguments.photo:
        images = [photo.load_for(model, path, arguments.size) for path in arguments.photo]
        if len({image.shape for image in images}) > 1:
            raise CompareError("photos of different sizes do not make a batch; give --size")
        feed[image_input(model)] = np.concatenate(images)
    for text in arguments.input:
        name, _, path = text.partition("=")
        feed[name] = np.load(path)
    if arguments.seed is not None:
        feed["seed"] = np.array(arguments.seed, np.int64)
    return feed


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tools.zoo.compare", description=__doc__.partition(" Run from")[0],
        epilog="Prints what failed and a closing line 'N passed, N failed'. Exit code 0: all passed. Run from the top "
        "of the source tree.")
    parser.add_argument("model", help="ONNX file")
    parser.add_argument("photo", nargs="*", help="one photo, or several as a batch")
    parser.add_argument("--size", type=photo.parse_size, metavar="WxH", help="resize photos (default: their own size)")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy", help="an input tensor")
    parser.add_argument("--seed", type=int, nargs="+", metavar="N", help="one seed, or one per image")
    parser.add_argument("--stipple", default="build/tools/stipple", metavar="FILE",
                        help="the command (default: %(default)s)")
    parser.add_argument("--arguments", type=str.split, default=[], metavar="'ARG…'",
                        help="further arguments of the command, such as --arguments='--device pocl --dense'")
    parser.add_argument("--verbose", action="store_true", help="print what passed, too")
    return parser


if __name__ == "__main__":
    main()
