# SPDX-License-Identifier: Apache-2.0
"""One network of the zoo at several densities, with one set of weights. Only the biases of the mask convolutions
differ, so that all share their dense twin. A folder keeps what was made."""

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tools.zoo import networks, photo, rewrite
from tools.zoo.builder import make_session
from tools.zoo.layers import Settings, bias_for

BASE_DENSITY = 0.3  # what the batch norm statistics are found at
INLINE = 1024  # bytes: smaller weights, the biases of the mask convolutions among them, stay in the model file
PASSES = 3  # bring the mean density within 0.002 of the asked one


@dataclass(frozen=True)
class Network:
    name: str
    form: str  # "backbone" or "classifier"
    size: tuple  # width, height
    photo: Path
    scattered: bool

    @property
    def settings(self):
        return Settings(density=BASE_DENSITY, form=self.form, fold=True, scattered=self.scattered)

    def image(self):
        return photo.load(self.photo, self.size)

    def key(self):
        """A name that changes with everything the files depend on."""
        sources = [Path(__file__), *sorted(Path(networks.__file__).parent.glob("*.py"))]
        digest = hashlib.sha256(repr(self.settings).encode() + self.photo.read_bytes())
        for path in sources:
            digest.update(path.read_bytes())
        width, height = self.size
        return f"{self.name}-{self.form}-{width}x{height}-{digest.hexdigest()[:12]}"


class Models:
    """Makes and finds the network's files under `root`. `say` is told what takes long."""

    def __init__(self, network, root, say):
        self.network = network
        self.folder = Path(root) / network.key()
        self.say = say
        self.base = self.folder / "base.onnx"
        self.biases = None  # the last that were found, where the next search starts
        self.session = None
        if not self.folder.exists():
            self._build()

    def _build(self):
        self.say(f"building {self.network.name}: this may take some minutes")
        model = networks.build(self.network.name, self.network.settings, self.network.image())
        part = self.folder.with_name(self.folder.name + f".part{os.getpid()}")
        part.mkdir(parents=True)
        try:
            onnx.save(model, part / self.base.name, save_as_external_data=True, location="weights",
                      size_threshold=INLINE)
            part.rename(self.folder)
        except OSError:
            shutil.rmtree(part)
            if not self.folder.exists():  # else another process made it meanwhile
                raise

    def twin(self, batch):
        """The dense twin with its input's size fixed, which no runtime is slower with."""
        path = self.folder / f"twin-{batch}.onnx"
        if not path.exists():
            twin = rewrite.dense_twin(onnx.load(self.base))
            width, height = self.network.size
            dims = twin.graph.input[0].type.tensor_type.shape.dim
            for dim, value in zip(dims, (batch, 3, height, width), strict=True):
                dim.dim_value = value
            _save(twin, path)
        return path

    def sparse(self, density):
        path = self.folder / f"density-{density:g}.onnx"
        if not path.exists():
            self.say(f"setting density {density:g}")
            biases = self._search(density)
            model = onnx.load(self.base, load_external_data=False)
            for tensor in model.graph.initializer:
                if tensor.name in biases:
                    tensor.CopyFrom(numpy_helper.from_array(biases[tensor.name], tensor.name))
            _save(model, path)
        return path

    def inputs(self, batch):
        """Files of the inputs: the photo, mirrored in every second image of a batch; each has a seed of its own."""
        image = self.network.image()
        arrays = {
            "image": np.concatenate([image if i % 2 == 0 else image[..., ::-1] for i in range(batch)]),
            "seed": np.arange(batch),
        }
        paths = {name: self.folder / f"{name}-{batch}.npy" for name in arrays}
        for name, path in paths.items():
            np.save(path, arrays[name])
        return paths

    def outputs(self):
        """Their names."""
        return tuple(output.name for output in onnx.load(self.base, load_external_data=False).graph.output)

    def _search(self, density):
        """The biases of the mask convolutions that give every mask the density. Those of one mask move the features
        that later masks see, if little: hence passes through the network."""
        settings = replace(self.network.settings, density=density)
        if self.session is None:
            self._open()
        for _ in range(PASSES):
            logits = self.session.run(list(self.logits), {"image": self.network.image()} | self.biases)
            for mask, values in zip(self.logits.values(), logits, strict=True):
                self.biases[f"{mask}.conv.bias"] += np.float32(bias_for(mask, values, settings))
        return self.biases

    def _open(self):
        """A session that gives the masks' logits and takes their biases."""
        model = onnx.load(self.base)
        graph = model.graph
        self.logits = {node.input[0]: node.name for node in rewrite.sample_nodes(model)}
        names = {f"{mask}.conv.bias" for mask in self.logits.values()}
        self.biases = {t.name: numpy_helper.to_array(t).copy() for t in graph.initializer if t.name in names}
        graph.input.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in self.biases)
        del graph.output[:]
        graph.output.extend(
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 1, None, None]) for name in self.logits)
        self.session = make_session(model)


def _save(model, path):
    """In one step, so that a file that exists is whole."""
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    onnx.save(model, part)
    part.replace(path)
