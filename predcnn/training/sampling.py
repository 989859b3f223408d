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

    def length(self, steps: float) -> float:
        """Return ``steps``, which below 1 are a share of the run, in optimizer steps."""
        if steps >= 1:
            return steps
        if self.total is None:
            raise ValueError(f"a schedule over the share {steps} of a run needs the run's length")
        return steps * self.total


class ScheduledSampling:
    """True past, then truth with a probability that falls linearly from 1 to 0.

    Args:
        steps: optimizer steps, or share of the run, until the probability is 0; published 50,000.
        decays: False keeps the probability at 1 until ``steps`` and drops it to 0 there, as the
            reference code of MAU does, which never stores the decayed value.
        seed: of the draws.
    """

    def __init__(self, steps: float = 50_000, decays: bool = True, seed: int = 0) -> None:
        self.steps, self.decays, self.seed = _checked(steps), decays, seed

    def probability(self, progress: Progress) -> float:
        """Return the probability of feeding the truth where a prediction could be fed."""
        steps = progress.length(self.steps)
        if progress.step >= steps:
            return 0.0
        return 1.0 - (progress.step + 1) / steps if self.decays else 1.0

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        return _draw(self.seed, progress, (batch, steps), self.probability(progress), frames_in)


class ReverseScheduledSampling:
    """PredRNN-V2: truth becomes certain in the past and disappears from the future.

    Args:
        steps: optimizer steps or share of the run, published 50,000. In the first half both
            probabilities are 0.5; in the second that of the past approaches 1 exponentially
            (scale ``steps`` / 10) and that of the future falls linearly to 0.
        seed: of the draws.
    """

    def __init__(self, steps: float = 50_000, seed: int = 0) -> None:
        self.steps, self.seed = _checked(steps), seed

    def probabilities(self, progress: Progress) -> tuple[float, float]:
        """Return the probabilities of feeding the truth in the past and in the future."""
        steps = progress.length(self.steps)
        half = steps / 2
        if progress.step < half:
            return 0.5, 0.5
        if progress.step < steps:
            gone = progress.step - half
            return 1 - 0.5 * math.exp(-gone / (steps / 10)), 0.5 - 0.5 * gone / half
        return 1.0, 0.0

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        probability = np.where(np.arange(steps) < frames_in, *self.probabilities(progress))
        return _draw(self.seed, progress, (batch, steps), probability, 1)


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
        self.steps = None if steps is None else _checked(steps)
        self.decay, self.seed = decay, seed

    def probability(self, progress: Progress) -> float:
        """Return the probability of feeding the truth."""
        gone = self.decay * progress.epoch
        if self.steps is not None:
            gone = progress.step / progress.length(self.steps)
        return max(0.0, 1 - gone)

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        draw = np.random.default_rng([self.seed, 0, progress.step]).random()
        kind = AlwaysTruth() if draw < self.probability(progress) else NeverTruth()
        return kind(progress, batch, frames_in, steps)


class AlwaysTruth:
    """Teacher forcing at every step."""

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        return torch.ones(batch, steps, dtype=torch.bool)


class NeverTruth:
    """The true past, then only predictions, as in evaluation."""

    def __call__(self, progress: Progress, batch: int, frames_in: int, steps: int) -> Tensor:
        return (torch.arange(steps) < frames_in).expand(batch, steps).clone()


def _draw(
    seed: int,
    progress: Progress,
    shape: tuple[int, int],
    probability: float | np.ndarray,
    known: int,
) -> Tensor:
    """Draw (batch, steps) where the truth is fed, always for the first ``known`` frames.

    All ranks together draw the values that one process draws for the joint batch, of which rank r
    has every ranks-th sequence from the r-th on.
    """
    rng = np.random.default_rng([seed, 0, progress.step])
    joint = rng.random((shape[0] * progress.ranks, shape[1]))
    use = joint[progress.rank :: progress.ranks] < probability
    use[:, :known] = True
    return torch.from_numpy(use)


def _checked(steps: float) -> float:
    if steps <= 0 or (steps >= 1 and steps != int(steps)):
        raise ValueError(
            f"steps is a number of optimizer steps, or below 1 a share of the run, got {steps}"
        )
    return steps
