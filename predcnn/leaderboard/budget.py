"""Minutes to steps: how long a step takes on a free machine, and a schedule that fits."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CROWDED = 0.1
"""Cores: a probe from which other programs take more finds too few steps, and its entry says so."""
VALIDATIONS = 5
"""Validations of a run with a budget, evenly spaced; the last one follows the last step."""


@dataclass(frozen=True)
class Pace:
    """How fast a training is.

    Attributes:
        seconds_per_step: wall time of a step when nothing else runs; what budgets count.
        wall_per_step: median as measured, with whatever else ran.
        cpu_per_step: median processor seconds, all threads.
        steps: timed steps.
        device: "cpu", "cuda", …
        taken: cores that other programs took from the training's threads meanwhile; None where
            nobody counts, or no processor computes.
    """

    seconds_per_step: float
    wall_per_step: float
    cpu_per_step: float
    steps: int
    device: str
    taken: float | None = None


def pace(wall: Sequence[float], cpu: Sequence[float], device: str) -> Pace:
    """The pace of timed steps, robust against light load.

    On a CPU another process lengthens the wall time of a step more than its processor time, so a
    step on a free machine takes its median processor time over the parallelism (processor per wall
    time) that the least disturbed tenth of the steps reached, at least 1: one thread never waits.
    Heavy load is not undone, since threads that wait for each other compute: see ``Pace.taken``.
    Elsewhere it is the median wall time.

    Args:
        wall: seconds of every step.
        cpu: processor seconds of every step, in the same order.
        device: type of the device that computed.
    """
    if len(wall) != len(cpu) or len(wall) < 2:
        raise ValueError(f"two or more timed steps are needed, got {len(wall)} and {len(cpu)}")
    median_wall, median_cpu = statistics.median(wall), statistics.median(cpu)
    seconds = median_wall
    if device == "cpu":
        parallel = sorted(c / w for c, w in zip(cpu, wall, strict=True))
        best = max(1.0, parallel[int(0.9 * (len(parallel) - 1))])
        seconds = min(median_wall, median_cpu / best)
    return Pace(seconds, median_wall, median_cpu, len(wall), device)


def steps_within(minutes: float, seconds_per_step: float) -> int:
    """Steps that fit into a budget, a multiple of the number of validations.

    Raises:
        ValueError: the budget holds fewer steps than validations.
    """
    steps = int(60 * minutes / seconds_per_step) // VALIDATIONS * VALIDATIONS
    if steps < VALIDATIONS:
        raise ValueError(
            f"budget_minutes={minutes:g} holds {60 * minutes / seconds_per_step:.1f} steps of "
            f"{seconds_per_step:.2f} s; at least {VALIDATIONS} are needed"
        )
    return steps
