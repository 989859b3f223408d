"""Budgets in minutes: how long a step takes on an idle machine, and a schedule that fits."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from predcnn.leaderboard.entries import key_of

BUSY = 0.1
"""Cores: where other programs take more from a probe, its entry gets too few steps and a note."""
GUARD = 4
"""A run with a budget is stopped after this many times its minutes."""
VALIDATIONS = 5
"""Validations of a run with a budget, evenly spaced; the last follows the last step."""


@dataclass(frozen=True)
class Pace:
    """Duration of a training step.

    Attributes:
        seconds_per_step: wall time of a step on an idle machine; what budgets count.
        wall_per_step: median wall time as measured.
        cpu_per_step: median processor seconds, all threads.
        steps: number of timed steps; 0 for a model without training.
        device: "cpu", "cuda", …
        taken: cores that other programs used meanwhile; None where that is not measured.
    """

    seconds_per_step: float
    wall_per_step: float
    cpu_per_step: float
    steps: int
    device: str
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


def steps_within(minutes: float, seconds_per_step: float) -> int:
    """Return the steps that fit into a budget, a multiple of the number of validations."""
    fit = 60 * minutes / seconds_per_step
    steps = int(fit) // VALIDATIONS * VALIDATIONS
    if steps < VALIDATIONS:
        raise ValueError(
            f"budget_minutes={minutes:g} holds {fit:.1f} steps of {seconds_per_step:.2f} s; at "
            f"least {VALIDATIONS} are needed"
        )
    return steps


def own_steps(cfg: DictConfig) -> int:
    """Return the optimizer steps of a run by its epochs, on one process."""
    batches = cfg.data.train_sequences // cfg.data.batch_size
    return max(1, cfg.trainer.max_epochs * batches // cfg.trainer.accumulate_grad_batches)


def overrides_of_budget(
    cfg: DictConfig, steps: int, budget_minutes: float, given: Sequence[str]
) -> list[str]:
    """Return overrides of the train command for a run of ``steps`` steps.

    The learning rate schedule spans the steps, and schedules that a scale states in steps or
    epochs are stretched likewise. An epoch keeps its length, so that all entries see the same
    sequences in the same order.
    """
    batches = steps // VALIDATIONS * cfg.trainer.accumulate_grad_batches
    hours, minutes = divmod(int(GUARD * budget_minutes) + 5, 60)
    overrides = [
        f"trainer.max_steps={steps}",
        "trainer.max_epochs=-1",
        "trainer.check_val_every_n_epoch=null",
        f"trainer.val_check_interval={batches}",
        f"trainer.max_time='{hours // 24:02d}:{hours % 24:02d}:{minutes:02d}:00'",
        "callbacks.drawing=null",
    ]
    stretch = steps / own_steps(cfg)
    stretched = {"scale.teacher_decay": cfg.scale.teacher_decay / stretch}
    if cfg.scale.sampling_steps >= 1:  # below, it is a share of the run already
        stretched["scale.sampling_steps"] = max(1, round(cfg.scale.sampling_steps * stretch))
    keys = {key_of(override) for override in given}
    return overrides + [f"{key}={value}" for key, value in stretched.items() if key not in keys]
