"""Ours against the plain formulation of the same thing, interleaved in one process.

Both sides hold the same weights and the same inputs. They run in turn, A B A B ..., so that what
else happens on the machine meets both; their results are compared in the same run.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Wall time, or the time that this process computed: with one thread the latter ignores others."""


@dataclass(frozen=True)
class Comparison:
    """Two ways to the same result.

    Attributes:
        name: of the row.
        ours: the way of this package; returns what is compared.
        plain: the plain formulation, same weights and inputs.
        tolerance: largest accepted error, relative to the largest value of each result.
        macs: multiply–adds of one call of ``ours``, for its share of the GEMM peak; None where that
            says nothing.
        note: a remark for the table.
    """

    name: str
    ours: Callable[[], object]
    plain: Callable[[], object]
    tolerance: float = 1e-4
    macs: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """What was measured; seconds are medians, ``ratio`` the median of plain / ours per round.

    Attributes:
        spread: half the distance between the quartiles of the ratios.
        gemm_share: of the measured GEMM peak that ``ours`` reaches, or None.
    """

    name: str
    ours_s: float
    plain_s: float
    ratio: float
    spread: float
    rounds: int
    error: float
    tolerance: float
    gemm_share: float | None
    note: str

    @property
    def equal(self) -> bool:
        """Whether both sides gave the same within the tolerance."""
        return self.error <= self.tolerance


def tensors(result: object) -> Iterator[Tensor]:
    """All tensors of nested sequences and mappings, as float64."""
    if isinstance(result, Tensor):
        yield result.detach().double()
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from tensors(value)
    elif isinstance(result, Sequence) and not isinstance(result, str):
        for value in result:
            yield from tensors(value)
    elif result is not None:
        yield torch.as_tensor(result, dtype=torch.float64)


def largest_error(ours: object, plain: object) -> float:
    """The largest |ours - plain| of any tensor, relative to the largest value of that tensor.

    Values below a ten-thousandth of the largest of all tensors are noise to an optimizer (gradients
    of a bias before a norm): they count relative to that. Infinite for different shapes.
    """
    pairs = list(zip(tensors(ours), tensors(plain), strict=True))
    largest = max((other.abs().max().item() for _, other in pairs if other.numel()), default=0.0)
    worst = 0.0
    for one, other in pairs:
        if one.shape != other.shape:
            return float("inf")
        if one.numel():
            scale = max(other.abs().max().item(), 1e-4 * largest, 1e-30)
            worst = max(worst, (one - other).abs().max().item() / scale)
    return worst


def gemm_peak(size: int = 1024, repeats: int = 7) -> float:
    """Multiply–adds per second of a float32 matrix product with the threads now set."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    out = torch.empty(size, size)
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return size**3 / statistics.median(seconds[2:])


def measure(comparison: Comparison, *, rounds: int, clock: str, peak: float) -> Row:
    """One warm-up of each side, whose results are compared, then ``rounds`` of both in turn."""
    now = CLOCKS[clock]
    error = largest_error(comparison.ours(), comparison.plain())
    ours, plain = [], []
    gc.collect()
    for _ in range(rounds):
        for call, seconds in ((comparison.ours, ours), (comparison.plain, plain)):
            start = now()
            call()
            seconds.append(now() - start)
    ratios = sorted(p / o for p, o in zip(plain, ours, strict=True))
    quartiles = statistics.quantiles(ratios, n=4) if rounds > 1 else [ratios[0]] * 3
    ours_s = statistics.median(ours)
    return Row(
        name=comparison.name,
        ours_s=ours_s,
        plain_s=statistics.median(plain),
        ratio=statistics.median(ratios),
        spread=(quartiles[2] - quartiles[0]) / 2,
        rounds=rounds,
        error=error,
        tolerance=comparison.tolerance,
        gemm_share=comparison.macs / ours_s / peak if comparison.macs else None,
        note=comparison.note,
    )
