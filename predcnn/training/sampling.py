"""Scheduled sampling: when a recurrent predictor is fed the true frame in training.

A schedule is called as ``schedule(progress, batch, frames_in, steps)`` and returns ``use_truth``
(batch, steps) for `unroll`. It is a pure function of the seed and the progress, so a resumed run
draws the same values.

Bengio et al., "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks", 2015,
https://arxiv.org/abs/1506.03099; Wang et al., "PredRNN", 2022, https://arxiv.org/abs/2103.09504
(sec. 3.5: reverse scheduled sampling). Lengths and rates are OpenSTL's; a length below 1 is a share
of the run.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Progress(NamedTuple):
    """Position in a training: finished optimizer steps, epoch, rank, ranks, steps in total."""

    step: int
    epoch: int = 0
    rank: int = 0
    ranks: int = 1
    total: int | None = None


class ScheduledSampling:
    """True past, then truth with a probability that falls linearly from 1 to 0.

    Args:
        steps: optimizer steps, or share of the run, until only predictions are fed; published
            50,000.
        decays: False keeps the probability at 1 until ``steps`` and drops it to 0 there, as the
            reference code of MAU does, which never stores the decayed value.
        seed: of the draws.
    """

    def __init__(self, steps: float = 50_000, decays: bool = True, seed: int = 0) -> None:
        self.steps, self.decays, self.seed = _positive("steps", steps), decays, seed

    def probability(self, progress: Progress) -> float:
        """Return the probability of feeding the truth where a prediction could be fed."""
        steps = _length(self.steps, progress)
        if progress.step >= steps:
            return 0.0
        return 1.0 - (progress.step + 1) / steps if self.decays else 1.0

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        draws = _draws(self.seed, progress, (batch, steps))
        use = draws < self.probability(progress)
        use[:, :frames_in] = True
        return torch.from_numpy(use)


class ReverseScheduledSampling:
    """PredRNN-V2: truth becomes certain in the past and disappears from the future.

    Args:
        steps: length of the schedule in optimizer steps or as a share of the run, published 50,000:
            constant to its half, then the probability of truth in the past approaches 1
            exponentially (scale ``steps`` / 10) and in the future falls linearly to 0.
        seed: of the draws.
    """

    def __init__(self, steps: float = 50_000, seed: int = 0) -> None:
        self.steps, self.seed = _positive("steps", steps), seed

    def probabilities(self, progress: Progress) -> tuple[float, float]:
        """Return the probabilities of feeding the truth in the past and in the future."""
        steps = _length(self.steps, progress)
        half = steps / 2
        if progress.step < half:
            return 0.5, 0.5
        if progress.step < steps:
            gone = progress.step - half
            return 1 - 0.5 * math.exp(-gone / (steps / 10)), 0.5 - 0.5 * gone / half
        return 1.0, 0.0

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        draws = _draws(self.seed, progress, (batch, steps))
        past, future = self.probabilities(progress)
        use = draws < np.where(np.arange(steps) < frames_in, past, future)
        use[:, 0] = True
        return torch.from_numpy(use)


class TeacherCoin:
    """PhyDNet: one draw per batch decides whether its future is fed with truth.

    Args:
        decay: fall of the probability of truth per epoch, from 1; published 0.003.
        steps: optimizer steps, or share of the run, in which it falls to 0 instead.
        seed: of the draws.
    """

    def __init__(self, decay: float = 0.003, steps: float | None = None, seed: int = 0) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is a probability per epoch in [0, 1], got {decay}")
        self.steps = None if steps is None else _positive("steps", steps)
        self.decay, self.seed = decay, seed

    def probability(self, progress: Progress) -> float:
        """Return the probability of feeding the truth."""
        gone = self.decay * progress.epoch
        if self.steps is not None:
            gone = progress.step / _length(self.steps, progress)
        return max(0.0, 1 - gone)

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        truth = _draws(self.seed, progress, ()) < self.probability(progress)
        use = torch.full((batch, steps), bool(truth))
        use[:, :frames_in] = True
        return use


class AlwaysTruth:
    """Teacher forcing at every step."""

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        return torch.ones(batch, steps, dtype=torch.bool)


class NeverTruth:
    """The true past, then only predictions, as in evaluation."""

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        return (torch.arange(steps) < frames_in).expand(batch, steps).clone()


def _draws(seed: int, progress: Progress, shape: tuple[int, ...]) -> np.ndarray | float:
    """Draw uniform numbers; all ranks together draw what one process draws for all sequences."""
    draws = np.random.default_rng([seed, 0, progress.step])
    if not shape:
        return draws.random()
    # rank r has every ranks-th sequence of the joint batch from the r-th on
    joint = draws.random((shape[0] * progress.ranks, *shape[1:]))
    return joint[progress.rank :: progress.ranks]


def _positive(name: str, value: float) -> float:
    if value <= 0 or (value >= 1 and value != int(value)):
        raise ValueError(
            f"{name} is a number of optimizer steps, or below 1 a share of the run, got {value}"
        )
    return value


def _length(steps: float, progress: Progress) -> float:
    """Return ``steps`` in optimizer steps."""
    if steps >= 1:
        return steps
    if progress.total is None:
        raise ValueError(f"a schedule over the share {steps} of a run needs the run's length")
    return steps * progress.total
