# SPDX-License-Identifier: Apache-2.0
"""Worker processes that take turns: all but the one at work are stopped, so that no thread pool spins beside it."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .runtimes import RuntimeFailure

ROOT = Path(__file__).resolve().parents[2]
WARM_BELOW = 250  # ms: in a longer run, what the caches held before it no longer shows


class Worker:
    def __init__(self, job, cpus, environment=None):
        self.label = job.label
        self.log = tempfile.TemporaryFile()
        threads = str(job.threads)
        limits = {"OMP_NUM_THREADS": threads, "POCL_MAX_PTHREAD_COUNT": threads, "POCL_CPU_MAX_CU_COUNT": threads}
        # A session of its own: Ctrl-C reaches the parent alone, which ends its workers.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.worker", job.label], cwd=ROOT,
            env=os.environ | limits | (environment or {}),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        self._send((job, cpus))

    def ask(self, *request):
        """The worker's answer; it is stopped before and after. A failure is told as RuntimeFailure."""
        self.process.send_signal(signal.SIGCONT)
        self._send(request)
        try:
            kind, value = pickle.load(self.process.stdout)
        except (EOFError, pickle.UnpicklingError):
            self._died()
        self.process.send_signal(signal.SIGSTOP)
        if kind == "failed":
            raise RuntimeFailure(value)
        return value

    def end(self):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.log):
            try:
                file.close()
            except BrokenPipeError:
                pass

    def _send(self, message):
        try:
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()
        except BrokenPipeError:
            self._died()

    def _died(self):
        code = self.process.wait()
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip().splitlines()
        raise RuntimeFailure(f"its process died ({why})" + (f": {said[-1]}" if said else ""))


@dataclass
class Entry:
    """What is timed: a runtime with a network, and what was found."""
    worker: Worker
    runtime: str
    label: str
    density: float | None = None  # as asked; None: the dense twin
    exact: bool = False
    float32: bool = True
    version: str = ""
    load: float = 0.0  # seconds
    memory: int = 0  # bytes
    estimate: float = 0.0  # ms: a run of the warm-up
    difference: float = 0.0  # from stipple's dense outputs, of their largest magnitude
    stats: dict = field(default_factory=dict)
    times: list = field(default_factory=list)  # ms


def ready(entry):
    """Loads the network and warms up; the peak of the memory is that of two runs."""
    entry.load, entry.version = entry.worker.ask("load")
    first = entry.worker.ask("run", False)
    second = entry.worker.ask("run", False)
    entry.estimate = min(first, second)
    entry.memory = entry.worker.ask("memory")
    entry.stats = entry.worker.ask("stats")


def alternate(entries, rounds, progress, lost):
    """Lets every entry have a turn of one timed run in each round, another one first each time. An entry whose worker
    fails is told to lost(entry, failure), which may raise; else it is ended and taken out of `entries`."""
    for turn in range(rounds):
        first = turn % len(entries)
        for entry in entries[first:] + entries[:first]:
            progress(entry, turn)
            try:
                entry.times.append(entry.worker.ask("run", entry.estimate < WARM_BELOW))
            except RuntimeFailure as failure:
                lost(entry, failure)
                entries.remove(entry)
                entry.worker.end()


def clear_line():
    """Removes a line of Progress, if there is one."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


class Progress:
    """A line on standard error: where the rounds are, and how long they will take."""

    def __init__(self, count, rounds):
        self.total = rounds * count
        self.rounds = rounds
        self.done = 0
        self.start = self.shown = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def __call__(self, entry, turn):
        now = time.monotonic()
        if self.done and now - self.shown > (0.2 if self.terminal else 10):
            left = (now - self.start) / self.done * (self.total - self.done)
            line = f"round {turn + 1} of {self.rounds}, {entry.label}, {left:.0f} s left"
            clear_line()
            print(line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)
            self.shown = now
        self.done += 1
