"""Our code compared with a reference implementation, interleaved in one process.

Both sides hold the same weights and the same inputs. They alternate, A B A B ..., so that load
from other programs affects both; their results are compared in the same run.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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
        plain: the reference implementation, same weights and inputs.
        tolerance: largest accepted error, relative to the largest value of each result.
        macs: multiply–adds of one call of ``ours``, for its share of the GEMM peak; None where that
            share has no meaning.
        note: a remark for the table.
        exactly: both ways in double precision, compared instead of the measured ones: where the
            rounding of single precision is amplified by many steps or by slopes that jump. Of the
            measured ones, then, only finite values are demanded. None: they are compared.
    """

    name: str
    ours: Callable[[], object]
    plain: Callable[[], object]
    tolerance: float = 1e-4
    macs: int | None = None
    note: str = ""
    exactly: tuple[Callable[[], object], Callable[[], object]] | None = None

    def measure(self, how: "How") -> "Row":
        """One warm-up of each side, whose results are compared, then all rounds."""
        now = CLOCKS[how.clock]
        warm = self.ours(), self.plain()
        error = largest_error(*warm)
        if self.exactly is not None and math.isfinite(error):
            error = largest_error(*(way() for way in self.exactly))
        ours, plain = [], []
        gc.collect()
        for _ in range(how.rounds):
            for call, seconds in ((self.ours, ours), (self.plain, plain)):
                start = now()
                call()
                seconds.append(now() - start)
        share = None
        if self.macs is not None:
            share = self.macs / statistics.median(ours) / how.gemm_peak
        return row_of(self, ours, plain, error, share)


@dataclass(frozen=True)
class How:
    """Settings of the measurement, the same for all rows.

    Attributes:
        rounds: measured pairs.
        clock: a name of CLOCKS.
        gemm_peak: multiply–adds per second of `gemm_peak`.
    """

    rounds: int
    clock: str
    gemm_peak: float


@dataclass(frozen=True)
class Row:
    """Result of a comparison; seconds are medians, ``ratio`` the median of plain / ours per round.

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
        """Whether both results agree within the tolerance."""
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
    of a bias before a norm): they count relative to that. Infinite for different shapes, and if
    a value of either side is not finite.
    """
    pairs = list(zip(tensors(ours), tensors(plain), strict=True))
    largest = max((other.abs().max().item() for _, other in pairs if other.numel()), default=0.0)
    worst = 0.0
    for one, other in pairs:
        if one.shape != other.shape or not (one.isfinite().all() and other.isfinite().all()):
            return float("inf")
        if one.numel():
            scale = max(other.abs().max().item(), 1e-4 * largest, 1e-30)
            worst = max(worst, (one - other).abs().max().item() / scale)
    return worst


def gemm_peak(clock: str, size: int = 1024, repeats: int = 7) -> float:
    """Multiply–adds per second of a float32 matrix product with the threads now set."""
    now = CLOCKS[clock]
    a, b = torch.rand(size, size), torch.rand(size, size)
    out = torch.empty(size, size)
    seconds = []
    for _ in range(repeats + 2):
        start = now()
        torch.mm(a, b, out=out)
        seconds.append(now() - start)
    return size**3 / statistics.median(seconds[2:])


class Named(Protocol):
    """Return the measured quantities of a row as text."""

    name: str
    tolerance: float
    note: str


def row_of(
    about: Named,
    ours: Sequence[float],
    plain: Sequence[float],
    error: float,
    gemm_share: float | None = None,
) -> Row:
    """The row of pairs of seconds, measured alternately."""
    ratios = [p / o for p, o in zip(plain, ours, strict=True)]
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return Row(
        name=about.name,
        ours_s=statistics.median(ours),
        plain_s=statistics.median(plain),
        ratio=statistics.median(ratios),
        spread=(quartiles[2] - quartiles[0]) / 2,
        rounds=len(ratios),
        error=error,
        tolerance=about.tolerance,
        gemm_share=gemm_share,
        note=about.note,
    )
