# SPDX-License-Identifier: Apache-2.0
"""A process with one runtime and one network. It takes pickled requests on standard input, and answers each on standard
output with ("ok", value) or ("failed", why); what the runtime prints goes to standard error."""

import ctypes
import os
import pickle
import resource
import signal
import sys
import time
import traceback

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Server:
    def __init__(self, job):
        from .runtimes import RUNTIMES
        self.runtime = RUNTIMES[job.runtime](job)

    def load(self):
        """Seconds from the model's file to a network that is ready, without the import of the runtime; its version."""
        start = time.perf_counter()
        self.runtime.load()
        return time.perf_counter() - start, self.runtime.version()

    def run(self, warm):
        """Milliseconds of one run; `warm`: after another one."""
        if warm:
            self.runtime.refill()
            self.runtime.run()
        self.runtime.refill()
        start = time.perf_counter()
        on_device = self.runtime.run()
        return (time.perf_counter() - start) * 1e3 if on_device is None else on_device

    def outputs(self):
        return self.runtime.outputs()

    def stats(self):
        return self.runtime.stats()

    def memory(self):
        """The process's peak so far, in bytes."""
        return peak_memory()


def peak_memory():
    # ru_maxrss would begin with the size of the process that started this one.
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(job):
    """The float32 fma peak of stipple's device."""
    from .library import Library
    return Library(job.library, job.device).measure()


def main():
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "linux":  # a stopped process would outlive a parent that was killed
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    job, cpus = pickle.load(requests)
    if cpus:
        os.sched_setaffinity(0, cpus)
    server = None
    while True:
        try:
            name, *arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            if name == "measure":
                answer = "ok", measure(job)
            else:
                server = server or Server(job)
                answer = "ok", getattr(server, name)(*arguments)
        except Exception as error:
            traceback.print_exc()
            answer = "failed", str(error) or type(error).__name__
        pickle.dump(answer, replies, pickle.HIGHEST_PROTOCOL)
        replies.flush()


if __name__ == "__main__":
    main()
