"""Comparison of two alternating processes: the C allocator's thresholds."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.dev.speed.comparing import How, Row, row_of

ROOT = Path(__file__).resolve().parents[3]
STEPS = 4
_CODE = """
import sys, time, torch
from predcnn.app.allocator import keep_memory
from scripts.dev.speed import train_step
from tests.reference import simvp
name, keep, threads, steps = sys.argv[1], sys.argv[2] == "keep", int(sys.argv[3]), int(sys.argv[4])
if keep:
    assert keep_memory(), "this machine's C library has no such thresholds"
torch.set_num_threads(threads)
(pair,) = simvp.pairs(lambda n: n == name, (name.split()[0],))
call = train_step.step(pair.ours, *simvp.clips(train_step.BATCH), fused=True)
print(float(call()[0]))
call()
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(steps):
        call()
    print((time.perf_counter() - start) / steps, flush=True)
"""


@dataclass(frozen=True)
class _ProcessCase:
    """Training steps of one model with and without `keep_memory`; each process waits its turn."""

    name: str
    model: str
    steps: int
    tolerance: float = 1e-6
    note: str = "thresholds raised against glibc's own; wall time"

    def measure(self, how: How) -> Row:
        """Both processes live all the time; ``rounds`` times each takes a few steps."""
        running = [self._start(word) for word in ("keep", "default")]
        try:
            losses = [float(self._read(process)) for process in running]
            for process in running:
                self._read(process)  # ready
            seconds: list[list[float]] = [[], []]
            for _ in range(how.rounds):
                for process, found in zip(running, seconds, strict=True):
                    process.stdin.write("go\n")
                    process.stdin.flush()
                    found.append(float(self._read(process)))
        finally:
            for process in running:
                process.stdin.close()
                process.wait()
        return row_of(self, *seconds, abs(losses[0] - losses[1]) / abs(losses[1]))

    def _start(self, word: str) -> subprocess.Popen:
        words = (self.model, word, str(torch.get_num_threads()), str(self.steps))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        return subprocess.Popen(
            [sys.executable, "-c", _CODE, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,  # code given by -c imports from the working directory
        )

    def _read(self, process: subprocess.Popen) -> str:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that trains {self.model} died")
        return line


def cases(wanted: Callable[[str], bool]) -> Iterator[_ProcessCase]:
    """Two small models and a published one."""
    models = (("small gsta", STEPS), ("small moganet", STEPS), ("published gsta", 1))
    for model, steps in models:
        if wanted(model):
            yield _ProcessCase(f"allocator, {model}", model, steps)
