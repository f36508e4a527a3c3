# SPDX-License-Identifier: Apache-2.0
"""Layers with seeded weights on top of the builder: convolution, batch norm, sampling, interpolation, contrast."""

from dataclasses import dataclass

import numpy as np

from . import reference, rewrite
from .builder import Builder
from .functions import DOMAIN

FEATURE_DEVIATION = 1.5  # of the part of a mask's logits that comes from the features
CONTRAST_DEVIATION = 2.0  # of the part that comes from the image's local contrast
LUMA = (0.299, 0.587, 0.114)
BN_EPSILON = 1e-5
SMALLEST = 32  # height and width to calibrate on: below, resolutions of the network coincide


class ZooError(Exception):
    """A request that cannot be met; the message is for people."""


@dataclass(frozen=True)
class Settings:
    seed: int = 0  # of the weights
    density: float = 0.3  # mean share of sampled sites, of every mask
    grid: int = 11  # 0: no grid prior
    stochastic: bool = True
    lam: float = 3.0  # λ of the RBF kernel
    epsilon: float = 1e-5
    style: str = "pytorch"  # where a bottleneck has its stride: "caffe" conv1, "pytorch" conv2
    fold: bool = False  # batch norm folded into the convolutions
    form: str = "backbone"  # or "classifier"
    scattered: bool = False  # sites drawn without regard to the image


class Layers:
    """`image` is the calibration input, 1×3×H×W, normalised with the standard deviation `std`."""

    def __init__(self, settings, image, std):
        if min(image.shape[2:]) < SMALLEST:
            size = f"{image.shape[3]}x{image.shape[2]}"
            raise ZooError(f"the photo is {size}; it takes {SMALLEST}x{SMALLEST} to calibrate")
        self.settings = settings
        self.std = std
        self.builder = Builder()
        self.rng = np.random.default_rng(settings.seed)
        self.seed = None
        self.streams = 0
        self.contrast_levels = {}  # height and width → the contrast there
        self.contrast_parts = {}  # height and width → its part of the logits
        self.image = self.builder.input("image", image, ["N", 3, "H", "W"])

    def weights(self, *shape):
        """He's initialisation for a convolution or a linear layer."""
        fan_in = np.prod(shape[1:])
        return (self.rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    def conv(self, name, x, weight, bias=None, stride=1, group=1):
        size = weight.shape[2]
        inputs = [x, self.builder.constant(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.builder.constant(f"{name}.bias", bias))
        return self.builder.node("Conv", name, *inputs, **_conv_attributes(size, stride, group))

    def conv_bias(self, name, x, channels):
        """A 3×3 convolution with a random bias."""
        bias = self.rng.uniform(-0.1, 0.1, channels).astype(np.float32)
        return self.conv(name, x, self.weights(channels, x.array.shape[1], 3, 3), bias)

    def relu(self, x, name=None):
        return self.builder.node("Relu", name or f"{x.name}.relu", x)

    def add(self, name, a, b):
        return self.builder.node("Add", name, a, b)

    def conv_bn(self, name, x, channels, size=1, stride=1, group=1, gain=1.0):
        """Convolution and batch norm. The statistics are those of the calibration input, so activations stay tame at
        any depth; `gain` scales the random gamma and beta."""
        weight = self.weights(channels, x.array.shape[1] // group, size, size)
        attributes = _conv_attributes(size, stride, group)
        y = self.builder.evaluate("Conv", x.array, weight, **attributes)
        mean = y.mean(axis=(0, 2, 3))
        variance = y.var(axis=(0, 2, 3))
        variance += 0.01 * variance.mean() + 1e-6  # a channel that is flat on this photo may not be on another
        gamma = (gain * self.rng.uniform(0.8, 1.2, channels)).astype(np.float32)
        beta = (gain * self.rng.uniform(-0.2, 0.2, channels)).astype(np.float32)
        if self.settings.fold:
            scale = gamma / np.sqrt(variance.astype(np.float64) + BN_EPSILON)
            weight = (weight * scale[:, None, None, None]).astype(np.float32)
            return self.conv(name, x, weight, (beta - mean * scale).astype(np.float32), stride, group)
        y = self.conv(name, x, weight, None, stride, group)
        parameters = {"gamma": gamma, "beta": beta, "mean": mean, "var": variance}
        constants = [self.builder.constant(f"{name}.bn.{key}", value) for key, value in parameters.items()]
        return self.builder.node("BatchNormalization", f"{name}.bn", y, *constants, epsilon=BN_EPSILON)

    def mask(self, name, x, stride=1):
        """Samples from a mask convolution on x, with the local contrast added to its logits if there is one."""
        weight = self._mask_weights(x, stride)
        if self.settings.scattered:
            weight = np.zeros_like(weight)  # the convolution stays: it is part of the work
        features = self.builder.evaluate("Conv", x.array, weight, **_conv_attributes(3, stride))
        contrast = self._contrast_at(features.shape[2:]) if self.contrast_levels else None
        bias = bias_for(name, features if contrast is None else features + contrast.array, self.settings)
        logits = self.conv(f"{name}.conv", x, weight, np.array([bias], np.float32), stride)
        if contrast is not None:
            logits = self.add(f"{name}.logits", logits, contrast)
        return self._sample(name, logits)

    def interpolate(self, name, x, mask):
        settings = self.settings
        weight = self.builder.constant(f"{name}.weight", reference.rbf_kernel(settings.lam))
        self.builder.metadata[rewrite.LAMBDA + name] = f"{settings.lam:g}"
        return self.builder.node("Interpolate", name, x, mask, weight, domain=DOMAIN, epsilon=settings.epsilon)

    def add_contrast(self):
        """Local contrast of the image, in the graph: the variance v of the luma in windows of 7×7 of every second
        pixel as v / (v + c), at a quarter of the image's size; c is its median on the calibration input. Masks then
        follow what is in the image."""
        pool = {"kernel_shape": [7, 7], "strides": [2, 2], "pads": [3, 3, 3, 3]}
        node, constant = self.builder.node, self.builder.constant
        luma = np.array(LUMA) * self.std
        gray = self.conv("contrast.gray", self.image, luma.astype(np.float32).reshape(1, 3, 1, 1), stride=2)
        mean = node("AveragePool", "contrast.mean", gray, **pool)
        square = node("AveragePool", "contrast.square", node("Mul", "contrast.gray2", gray, gray), **pool)
        difference = node("Sub", "contrast.difference", square, node("Mul", "contrast.mean2", mean, mean))
        variance = node("Relu", "contrast.variance", difference)
        median = np.maximum(np.median(variance.array), 1e-6).astype(np.float32)
        shifted = self.add("contrast.shifted", variance, constant("contrast.median", median.reshape(1)))
        self.contrast = node("Div", "contrast", variance, shifted)
        self.contrast_levels[self.contrast.array.shape[2:]] = self.contrast

    def _contrast_at(self, size):
        """The contrast's part of the logits at a stage's height and width: halved as often as the features were, by a
        pool with the arithmetic of the network's strided 3×3 convolutions, so that sizes match for any image."""
        while size not in self.contrast_levels:
            pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
            name = f"contrast.pool{len(self.contrast_levels)}"
            self.contrast = self.builder.node("AveragePool", name, self.contrast, **pool)
            self.contrast_levels[self.contrast.array.shape[2:]] = self.contrast
        if size not in self.contrast_parts:
            level = self.contrast_levels[size]
            gain = np.float32(CONTRAST_DEVIATION / max(level.array.std(), 1e-3))
            factor = self.builder.constant(f"{level.name}.gain", gain.reshape(1))
            self.contrast_parts[size] = self.builder.node("Mul", f"{level.name}.scaled", level, factor)
        return self.contrast_parts[size]

    def _mask_weights(self, x, stride):
        """3×3 weights whose response has the wanted deviation. Each tap is orthogonal to the mean feature, so that the
        response is not a small difference of large sums and the zero padding does not show at the borders."""
        weight = self.weights(1, x.array.shape[1], 3, 3).astype(np.float64)
        mean = x.array.mean(axis=(0, 2, 3), dtype=np.float64)
        mean /= max(np.linalg.norm(mean), 1e-12)
        weight -= np.einsum("ocyx,c->oyx", weight, mean)[:, None] * mean[:, None, None]
        response = self.builder.evaluate("Conv", x.array, weight.astype(np.float32), **_conv_attributes(3, stride))
        return (weight * FEATURE_DEVIATION / max(response.std(), 1e-6)).astype(np.float32)

    def _sample(self, name, logits):
        if self.seed is None:
            self.seed = self.builder.input("seed", np.zeros(1, np.int64), ["S"], default=np.zeros(1, np.int64))
        settings = self.settings
        mask = self.builder.node(
            "Sample", name, logits, self.seed, domain=DOMAIN, stochastic=int(settings.stochastic), stream=self.streams,
            grid=settings.grid)
        self.streams += 1
        return mask


def bias_for(name, logits, settings):
    """What to add to a mask's logits so that the expected share of sampled sites is the asked one, by bisection."""
    prior = reference.grid_sites(settings.grid, *logits.shape[2:])
    if prior.mean() > settings.density:
        raise ZooError(
            f"density {settings.density:g} is out of reach at mask '{name}': of its {prior.size} sites "
            f"{prior.sum()} belong to the grid prior; use a larger photo, a sparser grid or a higher density")
    logits = logits.astype(np.float64)
    low, high = -100.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        chance = reference.sigmoid(logits + middle) if settings.stochastic else logits + middle >= 0
        if np.where(prior, 1, chance).mean() < settings.density:
            low = middle
        else:
            high = middle
    return high


def _conv_attributes(size, stride, group=1):
    attributes = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [size // 2] * 4}
    return attributes | ({"group": group} if group > 1 else {})
