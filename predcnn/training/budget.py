"""Budgets in minutes: how long a training step takes, and a schedule that fits."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

VALIDATIONS = 5
"""Validations of a run with a budget, evenly spaced; the last follows the last step."""
EVALUATION = 1 / 3
"""Assumed time to evaluate a sequence, as a share of the time to train on it: no backward pass."""


@dataclass(frozen=True)
class Pace:
    """Duration of a training step."""

    seconds_per_step: float  # wall time of a step on an idle machine; what the leaderboard counts
    wall_per_step: float  # median wall time as measured
    cpu_per_step: float  # median processor seconds, all threads
    steps: int  # number of timed steps; 0 for a model without training
    device: str  # "cpu", "cuda", …
    # cores that other programs used meanwhile; None where that is not measured
    taken: float | None = None


def pace(wall: Sequence[float], cpu: Sequence[float], device: str) -> Pace:
    """Estimate the duration of a step on an idle machine, robust against light load.

    On a CPU other processes lengthen the wall time of a step more than its processor time. The
    estimate is the median processor time divided by the parallelism (processor per wall time) that
    the least disturbed tenth of the steps reached, at least 1. Heavy load is not corrected, since
    OpenMP threads busy-wait: see ``Pace.taken``. On other devices it is the median wall time.
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


def steps_within(seconds: float, seconds_per_step: float, setting: str) -> int:
    """Return the steps within a budget, a multiple of the validations; errors name ``setting``."""
    steps = int(max(0.0, seconds) / seconds_per_step) // VALIDATIONS * VALIDATIONS
    if steps < VALIDATIONS:
        raise ValueError(
            f"{setting} holds {max(0.0, seconds) / seconds_per_step:.1f} steps of "
            f"{seconds_per_step:.2f} s; at least {VALIDATIONS} are needed"
        )
    return steps


def own_steps(cfg: DictConfig) -> int:
    """Return the optimizer steps of a run by its epochs, on one process."""
    batches = cfg.data.train_sequences // cfg.data.batch_size
    return max(1, cfg.trainer.max_epochs * batches // cfg.trainer.accumulate_grad_batches)


def settings_of_budget(cfg: DictConfig, steps: int, own: float) -> dict[str, float | int | None]:
    """Return the settings of a run of ``steps`` optimizer steps in place of its ``own`` number.

    The learning rate schedule spans the steps, validations are evenly spaced and the last follows
    the last step, and the schedules that a scale states in steps or epochs are stretched likewise.
    An epoch keeps its length, so that all entries of a leaderboard see the same sequences in the
    same order.
    """
    settings = {
        "trainer.max_steps": steps,
        "trainer.max_epochs": -1,
        "trainer.check_val_every_n_epoch": None,
        "trainer.val_check_interval": steps // VALIDATIONS * cfg.trainer.accumulate_grad_batches,
    }
    if "scale" in cfg:
        stretch = steps / own
        settings["scale.teacher_decay"] = cfg.scale.teacher_decay / stretch
        if cfg.scale.sampling_steps >= 1:  # below, it is a share of the run already
            settings["scale.sampling_steps"] = max(1, round(cfg.scale.sampling_steps * stretch))
    return settings
