"""Times by events of the device, memory by its allocator, and the peak that they relate to."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import torch

from predcnn.costs import peak_memory


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, between two events on a GPU."""
    if device.type != "cuda":
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def alternating(
    calls: Mapping[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    """Seconds of every call in every round; rounds go through all calls, after two warm-ups."""
    for call in calls.values():
        for _ in range(2):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(seconds_of(call, device))
    return seconds


def ratio(reference: list[float], ours: list[float]) -> float:
    """Speed relative to the reference: median over rounds."""
    return statistics.median(r / o for r, o in zip(reference, ours, strict=True))


def mebibytes(call: Callable[[], object], device: torch.device) -> float:
    """Peak memory of a call beyond what existed before, in MiB."""
    return peak_memory(call, device) / 2**20


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """TF32 in matrix products and convolutions, or neither."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def matrix_peak(device: torch.device) -> float:
    """Multiply–adds per second of a square matrix product, bfloat16 on a GPU."""
    cuda = device.type == "cuda"
    size, dtype = (8192, torch.bfloat16) if cuda else (256, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = alternating({"mm": lambda: a @ b}, device, 10)["mm"]
    return size**3 / statistics.median(seconds)
