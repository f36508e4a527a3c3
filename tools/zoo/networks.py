# SPDX-License-Identifier: Apache-2.0
"""The networks: the paper's residual networks, sparse, and tiny ones for tests."""

import json
from dataclasses import dataclass

import numpy as np

from .layers import Layers, Settings, ZooError
from .photo import MEAN, STD

BRANCH_GAIN = 0.3  # of a residual branch against its identity
CLASSES = 1000


@dataclass(frozen=True)
class ResNet:
    blocks: tuple  # per stage
    bottleneck: bool = True
    groups: int = 1  # of a bottleneck's 3×3 convolution
    group_width: int = 64  # its channels per group in the first stage

    def __call__(self, layers: Layers, settings: Settings):
        if not settings.scattered:
            layers.add_contrast()
        stem = layers.relu(layers.conv_bn("conv1", layers.image, 64, size=7, stride=2))
        pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        x = layers.builder.node("MaxPool", "maxpool", stem, **pool)
        block = self._bottleneck if self.bottleneck else self._basic
        for stage, count in enumerate(self.blocks, 1):
            for index in range(count):
                stride = 2 if stage > 1 and index == 0 else 1
                output = f"C{stage + 1}" if index == count - 1 else f"layer{stage}.{index}"
                x = block(layers, settings, f"layer{stage}.{index}", x, 64 << (stage - 1), stride, output)
            if settings.form == "backbone":
                layers.builder.output(x, ["N", x.array.shape[1], f"H{2 << stage}", f"W{2 << stage}"])
        if settings.form == "classifier":
            _classify(layers, x, CLASSES)

    def _bottleneck(self, layers, settings, name, x, planes, stride, output):
        stride1, stride2 = (stride, 1) if settings.style == "caffe" else (1, stride)
        width = planes * self.group_width * self.groups // 64
        mask1 = layers.mask(f"{name}.mask1", x, stride1)
        mask2 = layers.mask(f"{name}.mask2", x, stride)  # at the size of conv2's output, whichever has the stride
        y = layers.relu(layers.conv_bn(f"{name}.conv1", x, width, stride=stride1))
        y = layers.interpolate(f"{name}.interpolate1", y, mask1)
        y = layers.relu(layers.conv_bn(f"{name}.conv2", y, width, size=3, stride=stride2, group=self.groups))
        y = layers.interpolate(f"{name}.interpolate2", y, mask2)
        y = layers.conv_bn(f"{name}.conv3", y, planes * 4, gain=BRANCH_GAIN)
        return self._join(layers, name, x, y, stride, output)

    def _basic(self, layers, settings, name, x, planes, stride, output):
        mask1 = layers.mask(f"{name}.mask1", x, stride)
        mask2 = layers.mask(f"{name}.mask2", x, stride)
        y = layers.relu(layers.conv_bn(f"{name}.conv1", x, planes, size=3, stride=stride))
        y = layers.interpolate(f"{name}.interpolate1", y, mask1)
        y = layers.conv_bn(f"{name}.conv2", y, planes, size=3, gain=BRANCH_GAIN)
        y = layers.interpolate(f"{name}.interpolate2", y, mask2)
        return self._join(layers, name, x, y, stride, output)

    def _join(self, layers, name, x, y, stride, output):
        channels = y.array.shape[1]
        if stride > 1 or x.array.shape[1] != channels:
            x = layers.conv_bn(f"{name}.downsample", x, channels, stride=stride)
        return layers.relu(layers.add(f"{name}.sum", y, x), output)


def tiny(layers, settings):
    """One sampled convolution: Conv, Relu, mask Conv, Sample, Interpolate."""
    stem = layers.relu(layers.conv_bias("conv1", layers.image, 16))
    mask = layers.mask("mask", stem)
    features = layers.relu(layers.conv_bias("conv2", stem, 16))
    layers.builder.output(layers.interpolate("features", features, mask), ["N", 16, "H", "W"])


def tiny_plain(layers, settings):
    """A small classifier without sampling."""
    x = layers.relu(layers.conv_bn("conv1", layers.image, 16, size=3, stride=2))
    x = layers.builder.node("MaxPool", "maxpool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = layers.relu(layers.conv_bn("conv2", x, 32, size=3, stride=2))
    _classify(layers, x, 10)


def _classify(layers, x, classes):
    node = layers.builder.node
    pooled = node("Flatten", "flatten", node("GlobalAveragePool", "pool", x))
    weight = layers.builder.constant("fc.weight", layers.weights(classes, pooled.array.shape[1]))
    bias = layers.builder.constant("fc.bias", layers.rng.uniform(-0.5, 0.5, classes).astype(np.float32))
    scores = node("Gemm", "scores", pooled, weight, bias, transB=1)
    layers.builder.output(scores, ["N", classes])
    labels = [f"class {i}" for i in range(classes)]
    layers.builder.metadata.update({"stipple.task": "classify", "stipple.labels": json.dumps(labels)})


NETWORKS = {
    "resnet34": ResNet((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNet((3, 4, 6, 3)),
    "resnet101": ResNet((3, 4, 23, 3)),
    "resnext50": ResNet((3, 4, 6, 3), groups=32, group_width=4),
    "tiny": tiny,
    "tiny_plain": tiny_plain,
}


def build(name, settings, image, resize=None):
    """The network as an ONNX model, calibrated on `image` (1×3×H×W, normalised)."""
    if settings.scattered and not settings.stochastic:
        raise ZooError("scattered masks are drawn: they cannot be deterministic")
    layers = Layers(settings, image, np.array(STD))
    layers.builder.metadata.update({
        "stipple.image.order": "RGB",
        "stipple.image.mean": ",".join(map(str, MEAN)),
        "stipple.image.std": ",".join(map(str, STD)),
    })
    if resize:
        layers.builder.metadata["stipple.image.resize"] = resize
    NETWORKS[name](layers, settings)
    return layers.builder.model(name)
