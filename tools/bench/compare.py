# SPDX-License-Identifier: Apache-2.0
"""Times one network of the zoo through stipple, sparse at several densities and as its dense twin, and through other
runtimes, in turn. Run from the top of the source tree: python -m tools.bench.compare resnet50 …"""

import argparse
import importlib.util
import os
import platform
import signal
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tools.zoo import networks, photo
from tools.zoo.layers import ZooError

from . import models, pool, report
from .runtimes import GPU_PEERS, PEERS, RUNTIMES, Job, RuntimeFailure

ROOT = Path(__file__).resolve().parents[2]
DENSITIES = {
    "paper": (0.52, 0.36, 0.26, 0.18),  # theoretical factors of about 1.76, 2.41, 3.07 and 4.05
    "sweep": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1),
}


class BenchError(Exception):
    """What keeps the comparison from being made; the message is for people."""


class Disagreement(RuntimeFailure):
    """Outputs that are not stipple's."""


def say(text):
    pool.clear_line()
    print(f"compare: {text}", file=sys.stderr, flush=True)


def main():
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _check(arguments)
        if arguments.models:
            _run(arguments, arguments.models)
        else:
            with tempfile.TemporaryDirectory(prefix="stipple-bench.") as folder:
                _run(arguments, folder)
    except (BenchError, ZooError, OSError) as error:
        sys.exit(f"compare: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _check(arguments):
    """Completes the arguments; finds what would otherwise only be noticed at the end."""
    arguments.size = arguments.size or ((224, 224) if arguments.form == "classifier" else (1344, 800))
    arguments.library = arguments.library.resolve()
    if arguments.peers is None:
        arguments.peers = tuple(GPU_PEERS if arguments.on_device else PEERS)
    for name in arguments.peers:
        if arguments.on_device and name not in GPU_PEERS:
            raise BenchError(f"{name} does not tell its time on a device: --on-device goes with {', '.join(GPU_PEERS)}")
    _cpus(arguments.threads)
    if not arguments.library.exists():
        raise BenchError(f"{arguments.library} does not exist: build stipple, or name the library with --library")
    if arguments.plot and importlib.util.find_spec("matplotlib") is None:
        raise BenchError("--plot takes matplotlib: pip install -r tools/bench/requirements.txt")
    for path in filter(None, (arguments.csv, arguments.plot)):
        if not path.resolve().parent.is_dir():
            raise BenchError(f"{path}: there is no such folder")


def _run(arguments, folder):
    files = _models(arguments, folder)
    entries = []
    try:
        peaks = [_measure(arguments)]
        _start_all(arguments, entries, files)
        pool.alternate(entries, arguments.runs, pool.Progress(len(entries), arguments.runs), _lost)
        pool.clear_line()
        _tell_load(arguments.threads)
    finally:
        for entry in entries:
            entry.worker.end()
    peaks.append(_measure(arguments))  # again: the machine may have been slow the first time
    facts = _facts(arguments) | {"fma_peak_gflops": max(peaks) or None, "device": entries[0].stats["device"]}
    result = report.Report(facts, entries)
    print(result.text())
    if arguments.csv:
        result.write_csv(arguments.csv)
    if arguments.plot:
        result.write_plot(arguments.plot)


@dataclass(frozen=True)
class Files:
    twin: str
    sparse: dict  # density → model
    image: dict  # names of inputs → .npy files
    image_and_seed: dict
    outputs: tuple  # names


def _models(arguments, folder):
    network = models.Network(arguments.network, arguments.form, arguments.size, arguments.photo, arguments.scattered)
    made = models.Models(network, folder, say)
    sparse = {density: str(made.sparse(density)) for density in arguments.densities}
    inputs = made.inputs(arguments.batch)
    return Files(str(made.twin(arguments.batch)), sparse, {"image": inputs["image"]}, inputs, made.outputs())


def _facts(arguments):
    width, height = arguments.size
    return {
        "network": arguments.network, "form": arguments.form, "batch": arguments.batch, "height": height,
        "width": width, "scattered": int(arguments.scattered), "photo": arguments.photo.name, "cpu": _cpu_name(),
        "threads": arguments.threads, "on_device": int(arguments.on_device),
    }


def _cpu_name():
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _tell_load(threads):
    """Nothing else should have run meanwhile."""
    load = os.getloadavg()[0]
    if load > threads + 0.5:
        say(f"the machine did other work meanwhile (load average {load:.1f}): repeat this when it is quiet")


def _cpus(threads):
    """As many CPUs as threads, each on a core of its own where there are enough cores; None: not known here."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            core = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii")
        except OSError:
            core = cpu
        cores.setdefault(core, []).append(cpu)
    turns = range(max(map(len, cores.values())))
    ordered = [cpu for turn in turns for cpus in cores.values() for cpu in cpus[turn:turn + 1]]
    if len(ordered) < threads:
        raise BenchError(f"{threads} threads are asked for, of {len(ordered)} CPUs")
    return ordered[:threads]


def _measure(arguments):
    """The device's fma peak in GFLOP/s with the threads of this comparison; 0: not known. It is not kept: another
    number of threads would find it."""
    job = Job("stipple", "fma peak", "", {}, (), arguments.threads, str(arguments.library), arguments.device)
    worker = pool.Worker(job, _cpus(arguments.threads), {"STIPPLE_CACHE": "off"})
    try:
        return worker.ask("measure") / 1e9
    except RuntimeFailure as failure:
        say(f"the fma peak is not known: {failure}")
        return 0
    finally:
        worker.end()


def _start_all(arguments, entries, files):
    """Starts and warms up every worker, and checks dense outputs against those of stipple's dense twin."""
    modes = ((False, ""), (True, " exact")) if arguments.exact else ((False, ""),)
    wanted = None
    for exact, suffix in modes:
        job = Job("stipple", "stipple" + suffix, files.twin, files.image, files.outputs, exact=exact)
        outputs = _start_stipple(arguments, entries, job, None, wanted)
        wanted = outputs if wanted is None else wanted
    ours = len(entries)
    peers = [Job(key, RUNTIMES[key].name, files.twin, files.image, files.outputs) for key in arguments.peers]
    disagreed = [job.label for job in peers if not _start_peer(arguments, entries, job, wanted)]
    if disagreed and len(entries) == ours:
        raise BenchError("stipple's outputs agree with nobody's")
    for density, path in files.sparse.items():
        for exact, suffix in modes:
            job = Job("stipple", f"density {density:g}{suffix}", path, files.image_and_seed, files.outputs, exact=exact)
            _start_stipple(arguments, entries, job, density)


def _start(arguments, entries, job, density=None):
    say(f"loading {job.label}")
    job = replace(job, threads=arguments.threads, library=str(arguments.library), device=arguments.device,
                  on_device=arguments.on_device)
    worker = pool.Worker(job, _cpus(arguments.threads))
    entry = pool.Entry(worker, job.runtime, job.label, density, job.exact, RUNTIMES[job.runtime].float32)
    entries.append(entry)
    pool.ready(entry)
    return entry


def _start_stipple(arguments, entries, job, density, wanted=None):
    """Gives the outputs of a dense network."""
    try:
        entry = _start(arguments, entries, job, density)
        if density is not None:
            return None
        outputs = entry.worker.ask("outputs")
        if wanted:
            check_outputs(entry, job.outputs, outputs, wanted)
        return outputs
    except RuntimeFailure as failure:
        raise BenchError(f"{job.label}: {failure}") from None


def _start_peer(arguments, entries, job, wanted):
    """False if its outputs are others; it is left out then, as it is if it cannot be had."""
    kind = RUNTIMES[job.runtime]
    missing = kind.missing()
    if missing:
        say(f"{job.label} is left out: no Python package {', '.join(missing)} "
            "(pip install -r tools/bench/requirements.txt)")
        return True
    before = len(entries)
    try:
        kind.prepare(job.model, arguments.batch)
        entry = _start(arguments, entries, job)
        check_outputs(entry, job.outputs, entry.worker.ask("outputs"), wanted)
    except RuntimeFailure as failure:
        say(f"{job.label} is left out: {failure}")
        for entry in entries[before:]:
            entry.worker.end()
        del entries[before:]
        return not isinstance(failure, Disagreement)
    return True


def check_outputs(entry, names, outputs, wanted):
    """Nobody is timed on a wrong network. Notes the largest difference as a share of the output's largest magnitude."""
    tolerance = RUNTIMES[entry.runtime].tolerance
    for name, got, want in zip(names, outputs, wanted, strict=True):
        if got.size != want.size:
            raise Disagreement(f"its output '{name}' is {got.shape}, stipple's {want.shape}")
        difference = float(np.abs(got.reshape(want.shape) - want).max() / np.abs(want).max())
        if not difference <= tolerance:
            raise Disagreement(f"its output '{name}' differs from stipple's by {difference:.1e} of the largest "
                               f"magnitude, more than {tolerance:g}")
        entry.difference = max(entry.difference, difference)


def _lost(entry, failure):
    if entry.runtime == "stipple":
        raise BenchError(f"{entry.label}: {failure}")
    say(f"{entry.label} is left out from here on: {failure}")


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.compare", description=__doc__.partition(" Run from")[0],
        epilog="Run from the top of the source tree. Every runtime has a process of its own, which is stopped while "
        "another one runs. A runtime whose Python package is missing is left out; tools/bench/requirements.txt names "
        "them all.")
    parser.add_argument("network", choices=sorted(set(networks.NETWORKS) - {"tiny_plain"}))
    parser.add_argument("--form", choices=("backbone", "classifier"), default="backbone",
                        help="outputs C2 to C5, or scores of 1000 classes (default: backbone)")
    parser.add_argument("--size", type=photo.parse_size, metavar="WxH",
                        help="of the input (default: 1344x800, of a classifier 224x224)")
    parser.add_argument("--batch", type=_count, default=1, metavar="N", help="images in a run (default: 1)")
    parser.add_argument("--photo", type=Path, default=ROOT / "tools/photos/coffee.jpg", metavar="FILE",
                        help="what the input shows and the masks follow (default: tools/photos/coffee.jpg)")
    parser.add_argument("--densities", type=_densities, default=DENSITIES["paper"], metavar="LIST",
                        help="shares of sampled sites, such as 0.1,0.25; paper: 0.52, 0.36, 0.26 and 0.18, its four "
                        "operating points; sweep: ten from 0.05 to 1 (default: paper)")
    parser.add_argument("--scattered", action="store_true",
                        help="masks without structure instead of such that follow the photo")
    parser.add_argument("--exact", action="store_true", help="run stipple's sessions in exact mode as well")
    parser.add_argument("--peers", type=_peers, metavar="LIST",
                        help=f"the other runtimes, of {', '.join(PEERS | GPU_PEERS)}; or none (default: all for CPUs; "
                        "with --on-device, those for GPUs)")
    parser.add_argument("--on-device", action="store_true",
                        help="time the device alone: inputs and outputs stay in its memory")
    parser.add_argument("--runs", type=_count, default=15, metavar="N",
                        help="timed runs of each, in turn (default: 15)")
    parser.add_argument("--threads", type=_count, default=2, metavar="N",
                        help="threads, and CPUs, of each (default: 2)")
    parser.add_argument("--device", default=os.environ.get("STIPPLE_DEVICE", ""), metavar="D",
                        help="stipple's, as in stipple run --device (default: STIPPLE_DEVICE)")
    parser.add_argument("--library", type=Path, default=ROOT / "build/src/libstipple.so", metavar="FILE",
                        help="stipple's (default: build/src/libstipple.so)")
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="keep the networks there, for the next time")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--plot", type=Path, metavar="FILE",
                        help="draw time against density (PNG, or what the name says)")
    return parser


def _count(text):
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def _densities(text):
    result = []
    for word in text.split(","):
        try:
            result += DENSITIES.get(word) or [float(word)]
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{word}' is neither a number nor paper or sweep") from None
    if not all(0 < density <= 1 for density in result):
        raise argparse.ArgumentTypeError("a density is above 0, at most 1")
    return tuple(dict.fromkeys(result))


def _peers(text):
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in PEERS | GPU_PEERS:
            raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(PEERS | GPU_PEERS)}")
    return tuple(dict.fromkeys(names))


if __name__ == "__main__":
    main()
