# SPDX-License-Identifier: Apache-2.0
"""Photos as network inputs."""

import argparse

import numpy as np
from PIL import Image, ImageOps

# ImageNet's, of values scaled to 0..1
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def parse_size(text):
    """WIDTHxHEIGHT of the command line as a pair."""
    width, separator, height = text.partition("x")
    if not separator or not width.isdecimal() or not height.isdecimal() or int(width) * int(height) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT")
    return int(width), int(height)


def load(path, size=None, mean=MEAN, std=STD, order="RGB"):
    """A photo as 1×3×H×W, normalised, resized to `size` (width, height) if given."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    if size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32) / np.float32(255)
    if order == "BGR":
        pixels = pixels[:, :, ::-1]
    pixels = (pixels - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def load_for(model, path, size=None):
    """A photo as the model's metadata wants it, but for the resizing."""
    metadata = {p.key: p.value for p in model.metadata_props}
    mean, std = (
        [float(v) for v in metadata.get(f"stipple.image.{key}", default).split(",")]
        for key, default in (("mean", "0,0,0"), ("std", "1,1,1")))
    return load(path, size, mean, std, metadata.get("stipple.image.order", "RGB"))
