"""Speed of a module and memory of a call, measured on a device."""

import gc
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor, nn

from predcnn.native.private import profiler_running


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluate without gradients inside; the mode of every part is restored."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def first_tensor(module: nn.Module) -> Tensor:
    """Return the first floating point parameter or buffer, for the module's device and dtype."""
    tensors = (*module.parameters(), *module.buffers())
    return next((t for t in tensors if t.is_floating_point()), torch.zeros(()))


@dataclass(frozen=True)
class Throughput:
    """Inference speed: median over ``rounds`` batches of ``batch_size`` sequences on ``device``."""

    sequences_per_second: float
    seconds_per_batch: float
    batch_size: int
    rounds: int
    device: str


def throughput(
    module: nn.Module,
    input_shape: tuple[int, ...],
    batch_size: int = 1,
    *,
    rounds: int = 10,
    warm_up: int = 2,
) -> Throughput:
    """Measure inference on random input on the module's device; its mode is restored.

    Args:
        input_shape: of one sample without the batch axis.
    """
    if rounds < 1 or batch_size < 1:
        raise ValueError(f"rounds and batch_size are at least 1, got {rounds} and {batch_size}")
    like = first_tensor(module)
    x = torch.rand(batch_size, *input_shape, dtype=like.dtype, device=like.device)
    seconds = []
    with evaluating(module):
        for _ in range(warm_up + rounds):
            _wait(like.device)
            start = time.perf_counter()
            module(x)
            _wait(like.device)
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[warm_up:])
    return Throughput(batch_size / median, median, batch_size, rounds, describe_device(like.device))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(call: Callable[[], object], device: str | torch.device = "cpu") -> int:
    """Return the peak bytes of tensors that ``call()`` adds to those that existed before.

    Measured by PyTorch's allocators, on a CPU by its profiler: every run gives the same number.
    Memory allocated by other libraries is not included.
    """
    device = torch.device(device)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    if profiler_running():
        raise RuntimeError("the memory of a CPU is read by a profiler, and one is already running")
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"])
    return max(accumulate((e["args"]["Bytes"] for e in changes), initial=0))


def describe_device(device: str | torch.device = "cpu") -> str:
    """Return hardware, threads and PyTorch version for a benchmark row."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    name = model[1] if model else platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} threads"
    return f"{name}, {threads}, torch {torch.__version__}"
