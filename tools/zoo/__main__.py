# SPDX-License-Identifier: Apache-2.0
"""Writes a network of the zoo as an ONNX file. Run from the top of the source tree: python -m tools.zoo resnet50 …"""

import argparse
import sys

import onnx
from PIL import UnidentifiedImageError

from . import networks, photo, rewrite
from .layers import Settings, ZooError


def main():
    arguments = _parser().parse_args()
    try:
        _write(arguments)
    except (ZooError, OSError, UnidentifiedImageError) as error:
        sys.exit(f"zoo: {error}")


def _write(arguments):
    image = photo.load(arguments.photo, arguments.size)
    settings = Settings(
        seed=arguments.seed, density=arguments.density, grid=arguments.grid, stochastic=not arguments.deterministic,
        lam=arguments.lam, style=arguments.style, fold=arguments.fold_bn, form=arguments.form,
        scattered=arguments.scattered)
    model = networks.build(arguments.network, settings, image, arguments.resize)
    onnx.save(model, arguments.output)
    if arguments.dense_twin:
        onnx.save(rewrite.dense_twin(model), arguments.dense_twin)
    if arguments.replay:
        onnx.save(rewrite.replay(model), arguments.replay)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tools.zoo", description=__doc__.partition(" Run from")[0] + " Weights are seeded; batch norm "
        "statistics and the biases of the mask convolutions are set by running the network on a photo.",
        epilog="Run from the top of the source tree. See also python -m tools.zoo.compare --help.")
    parser.add_argument("network", choices=sorted(networks.NETWORKS))
    parser.add_argument("--photo", required=True, metavar="FILE", help="photo to calibrate on (PNG or JPEG)")
    parser.add_argument("--output", required=True, metavar="FILE", help="model file to write")
    parser.add_argument("--dense-twin", metavar="FILE", help="also write the network without sampling, same weights")
    parser.add_argument("--replay", metavar="FILE",
                        help="also write the form with masks as inputs and logits as outputs")
    parser.add_argument("--form", choices=("backbone", "classifier"), default="backbone",
                        help="residual networks: outputs C2 to C5, or scores of 1000 classes (default: backbone)")
    parser.add_argument("--density", type=_density, default=0.3, metavar="SHARE",
                        help="expected share of sampled sites in every mask on the photo (default: 0.3)")
    parser.add_argument("--size", type=photo.parse_size, default=(480, 320), metavar="WxH",
                        help="size to calibrate the photo at (default: 480x320); the model's input size stays free")
    parser.add_argument("--seed", type=_natural, default=0, metavar="N", help="seed of the weights (default: 0)")
    parser.add_argument("--style", choices=("pytorch", "caffe"), default="pytorch",
                        help="bottlenecks have their stride on conv2 (pytorch, the default) or on conv1 (caffe)")
    parser.add_argument("--grid", type=_natural, default=11, metavar="N",
                        help="sites that are always sampled: every Nth of every Nth row; 0: none (default: 11)")
    parser.add_argument("--lambda", type=_positive, default=3.0, dest="lam", metavar="X",
                        help="inverse width of the interpolation kernel (default: 3)")
    parser.add_argument("--deterministic", action="store_true",
                        help="sample where a logit is at least 0, without noise")
    parser.add_argument("--scattered", action="store_true",
                        help="sites are drawn all over the image alike: masks without structure")
    parser.add_argument("--fold-bn", action="store_true", help="fold batch norm into the convolutions")
    parser.add_argument("--resize", metavar="RULE",
                        help="how `stipple run` resizes photos, such as exact=224x224 (default: it does not)")
    return parser


def _density(text):
    return _number(text, float, lambda value: 0 < value <= 1, "a share above 0, at most 1")


def _natural(text):
    return _number(text, int, lambda value: 0 <= value < 2**31, "a whole number from 0")


def _positive(text):
    return _number(text, float, lambda value: 0 < value < 1000, "a positive number")


def _number(text, kind, fits, wanted):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not {wanted}")
    return value


if __name__ == "__main__":
    main()
