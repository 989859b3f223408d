"""How fast a module is and how much memory a call takes, on the device at hand."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradients inside; the mode of every single part is restored."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def first_tensor(module: nn.Module) -> Tensor:
    """The first floating point parameter or buffer: the device and dtype a module runs in."""
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
    device: str | torch.device | None = None,
    *,
    rounds: int = 10,
    warm_up: int = 2,
) -> Throughput:
    """Sequences per second in eval mode without gradients, on random input, after warm-up.

    Args:
        module: a predictor or backbone; it returns to its device and mode afterwards.
        input_shape: of one sample without the batch axis.
        batch_size: samples per forward pass.
        device: where to run; the module's own if None.
        rounds: timed passes, of which the median counts.
        warm_up: passes before, not timed.
    """
    if rounds < 1 or batch_size < 1:
        raise ValueError(f"rounds and batch_size are at least 1, got {rounds} and {batch_size}")
    like = first_tensor(module)
    device = like.device if device is None else torch.device(device)
    x = torch.rand(batch_size, *input_shape, dtype=like.dtype, device=device)
    seconds = []
    with evaluating(module):
        module.to(device)
        try:
            for _ in range(warm_up + rounds):
                _wait(device)
                start = time.perf_counter()
                module(x)
                _wait(device)
                seconds.append(time.perf_counter() - start)
        finally:
            module.to(like.device)
    median = statistics.median(seconds[warm_up:])
    return Throughput(batch_size / median, median, batch_size, rounds, describe_device(device))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(call: Callable[[], object], device: str | torch.device = "cpu") -> int:
    """Bytes that ``call()`` needs at its peak beyond what was in use before.

    CUDA: tensors, by PyTorch's allocator. CPU: growth of the process's resident set, so memory the
    process already held free counts as nothing: warm up rarely, compare processes that are alike.

    Raises:
        RuntimeError: on a CPU outside Linux, which has no resettable high-water mark.
    """
    device = torch.device(device)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        raise RuntimeError("the peak memory of a CPU is read from /proc, which only Linux has")
    reset.write_text("5")  # sets the high-water mark to the present resident set
    before = _resident("VmRSS")
    call()
    return max(0, _resident("VmHWM") - before)


def _resident(field_name: str) -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field_name))
    return int(line.split()[1]) * 1024


def describe_device(device: str | torch.device = "cpu") -> str:
    """Hardware, threads and PyTorch version, as a benchmark row should name them."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = (
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        )
        name = next(models, name)
    return (
        f"{name}, {torch.get_num_threads()} of {os.cpu_count()} threads, torch {torch.__version__}"
    )
