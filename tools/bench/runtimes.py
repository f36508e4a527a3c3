# SPDX-License-Identifier: Apache-2.0
"""The runtimes that are compared. Each is a class with the same methods; an object lives in a worker process and holds
one network. __init__ imports the runtime, load() readies the network and sets its inputs, run() is what is timed: from
inputs in host memory to all outputs in host memory. With Job.on_device it gives the milliseconds that kernels took, from
the first one's start to the last one's end, instead."""

import importlib.metadata
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np


class RuntimeFailure(Exception):
    """Why a runtime cannot take part; the message is for people."""


@dataclass(frozen=True)
class Job:
    """What a worker process is told."""
    runtime: str  # a key of RUNTIMES
    label: str
    model: str  # ONNX file
    inputs: dict  # names → .npy files
    outputs: tuple  # names, in the model's order
    threads: int = 0
    library: str = ""  # stipple's
    device: str = ""
    exact: bool = False
    on_device: bool = False

    def arrays(self):
        return {name: np.load(path) for name, path in self.inputs.items()}


class Runtime:
    packages = ()  # Python packages that must be there; the first one's version is told
    float32 = True  # computes in float32
    tolerance = 1e-3  # for its outputs against stipple's, of their largest magnitude

    def __init__(self, job):
        self.job = job

    @classmethod
    def missing(cls):
        return [name for name in cls.packages if find_spec(name) is None]

    @staticmethod
    def prepare(model, batch):
        """Converts the model where the runtime does not read ONNX files; the result lies beside it."""

    def refill(self):
        """Sets the inputs again, in a runtime whose run overwrites them."""

    def version(self):
        return importlib.metadata.version(self.packages[0])

    def stats(self):
        return {}


class Stipple(Runtime):
    name = "stipple"

    def __init__(self, job):
        super().__init__(job)
        from . import library
        self.api = library

    def load(self):
        self.library = self.api.Library(self.job.library, self.job.device)
        self.session = self.api.Session(self.library, self.job.model, self.job.exact)
        for name, array in self.job.arrays().items():
            self.session.set_input(name, array)
        self.session.prepare()

    def run(self):
        self.session.run()
        return self.session.device_ms() if self.job.on_device else None

    def version(self):
        return self.library.version

    def outputs(self):
        return self.session.outputs()

    def stats(self):
        return self.session.stats() | {"device": self.library.device_name()}


class OnnxRuntime(Runtime):
    name = "ONNX Runtime"
    packages = ("onnxruntime",)

    def __init__(self, job):
        super().__init__(job)
        import onnxruntime
        self.api = onnxruntime

    def load(self):
        options = self.api.SessionOptions()
        options.intra_op_num_threads = self.job.threads
        options.inter_op_num_threads = 1
        session = self.api.InferenceSession(self.job.model, options, providers=["CPUExecutionProvider"])
        # Session.run() would copy every output once more, into an array of numpy's.
        self.binding = session.io_binding()
        for name, array in self.job.arrays().items():
            self.binding.bind_cpu_input(name, array)
        for output in session.get_outputs():
            self.binding.bind_output(output.name)
        self.session = session

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def outputs(self):
        return self.binding.copy_outputs_to_cpu()


class OpenVino(Runtime):
    name = "OpenVINO f32"
    packages = ("openvino",)
    precision = {"INFERENCE_PRECISION_HINT": "f32"}

    def __init__(self, job):
        super().__init__(job)
        import openvino
        self.api = openvino

    def load(self):
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": self.job.threads} | self.precision
        self.compiled = self.api.Core().compile_model(self.job.model, "CPU", options)
        self.request = self.compiled.create_infer_request()
        for name, array in self.job.arrays().items():
            self.request.set_tensor(name, self.api.Tensor(array))

    def run(self):
        self.request.infer()

    def outputs(self):
        return [np.array(self.request.get_tensor(output).data) for output in self.compiled.outputs]


class OpenVinoDefault(OpenVino):
    name = "OpenVINO bf16"
    float32 = False
    tolerance = 5e-2
    precision = {}

    def load(self):
        super().load()
        precision = self.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if precision != "bf16":
            raise RuntimeFailure(f"its default on this CPU is {precision}")


class Ncnn(Runtime):
    name = "ncnn"
    packages = ("ncnn", "pnnx")

    def __init__(self, job):
        super().__init__(job)
        import ncnn
        self.api = ncnn

    @staticmethod
    def prepare(model, batch):
        if batch > 1:
            raise RuntimeFailure("it has no batches")
        target = Path(model).with_suffix(".ncnn.param")
        if target.exists():
            return
        program = Path(find_spec("pnnx").origin).with_name("pnnx")
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            source = Path(folder) / "model.onnx"
            source.symlink_to(Path(model).resolve())
            made = source.with_suffix(".ncnn.param")
            _convert([program, source.name, "fp16=0"], made)
            made.with_suffix(".bin").replace(target.with_suffix(".bin"))
            made.replace(target)

    def load(self):
        self.net = self.api.Net()
        options = self.net.opt
        options.num_threads = self.job.threads
        options.use_vulkan_compute = False
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(options, name, False)
        path = str(Path(self.job.model).with_suffix(".ncnn.param"))
        if self.net.load_param(path) or self.net.load_model(path.removesuffix("param") + "bin"):
            raise RuntimeFailure("it cannot load the converted model")
        (array,) = self.job.arrays().values()
        self.input = self.api.Mat(array[0]).clone()

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input(self.net.input_names()[0], self.input)
        self.result = [extractor.extract(name)[1] for name in self.net.output_names()]

    def outputs(self):
        return [np.array(mat)[None] for mat in self.result]


class Mnn(Runtime):
    name = "MNN"
    packages = ("MNN",)
    tolerance = 5e-3  # Winograd with large tiles

    def __init__(self, job):
        super().__init__(job)
        import MNN
        self.api = MNN

    @staticmethod
    def prepare(model, batch):
        target = Path(model).with_suffix(".mnn")
        if target.exists():
            return
        # Not MNN.tools.mnnconvert: that one installs packages, and reports each conversion to a server.
        program = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)"]
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            options = ["--modelFile", Path(model).resolve(), "--MNNModel", made.name, "--bizCode", "stipple"]
            _convert([*program, "-f", "ONNX", *options], made)
            made.replace(target)

    def load(self):
        self.net = self.api.Interpreter(str(Path(self.job.model).with_suffix(".mnn")))
        self.session = self.net.createSession({"backend": "CPU", "numThread": self.job.threads, "precision": "high"})
        ((name, self.array),) = self.job.arrays().items()
        self.input = self.net.getSessionInput(self.session, name)

    def refill(self):
        layout = self.api.Tensor_DimensionType_Caffe
        self.input.copyFrom(self.api.Tensor(self.array.shape, self.api.Halide_Type_Float, self.array, layout))

    def run(self):
        self.net.runSession(self.session)

    def outputs(self):
        tensors = self.net.getSessionOutputAll(self.session)
        return [np.array(tensors[name].getNumpyData()) for name in self.job.outputs]


class PyTorch(Runtime):
    name = "PyTorch"
    packages = ("torch", "onnx")

    def __init__(self, job):
        super().__init__(job)
        from . import torch_graph
        self.api = torch_graph.torch
        self.graph = torch_graph.Graph

    def load(self):
        self.api.set_num_threads(self.job.threads)
        self.module = self.graph(self.job.model).eval().to(memory_format=self.api.channels_last)
        (array,) = self.job.arrays().values()
        self.input = self.api.from_numpy(array).to(memory_format=self.api.channels_last)

    def run(self):
        with self.api.inference_mode():
            self.result = self.module(self.input)

    def outputs(self):
        return [np.ascontiguousarray(tensor.cpu().numpy()) for tensor in self.result]


class PyTorchCuda(PyTorch):
    """With cuDNN, in true float32; the planes of a channel one after another, which was the fastest."""
    name = "PyTorch CUDA"

    def __init__(self, job):
        super().__init__(job)
        if not self.api.cuda.is_available():
            raise RuntimeFailure("it finds no CUDA device")

    def load(self):
        backends = self.api.backends
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = False
        backends.cudnn.benchmark = True
        self.module = self.graph(self.job.model).eval().to("cuda")
        (array,) = self.job.arrays().values()
        self.host = self.api.from_numpy(array).pin_memory()
        self.input = self.host.to("cuda")

    def run(self):
        with self.api.inference_mode():
            if not self.job.on_device:
                self.result = [tensor.cpu() for tensor in self.module(self.host.to("cuda"))]
                return None
            start, end = (self.api.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            self.result = self.module(self.input)
            end.record()
            end.synchronize()
            return start.elapsed_time(end)


def _convert(command, made):
    done = subprocess.run(command, cwd=made.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    if done.returncode or not made.exists():
        last = (done.stdout.strip().splitlines() or ["nothing said"])[-1]
        raise RuntimeFailure(f"the model could not be converted: {last}")


PEERS = {
    "onnxruntime": OnnxRuntime, "openvino": OpenVino, "openvino-bf16": OpenVinoDefault, "ncnn": Ncnn, "mnn": Mnn,
    "torch": PyTorch,
}
GPU_PEERS = {"torch-cuda": PyTorchCuda}
RUNTIMES = {"stipple": Stipple} | PEERS | GPU_PEERS
