"""Learning-rate schedules over the true number of optimiser steps.

Every schedule is called as ``schedule(optimizer, total_steps=n)`` and stepped once per optimiser
step; ``torch.optim.lr_scheduler.OneCycleLR``, the published one, fits as it is.
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine_schedule(
    optimizer: Optimizer, *, total_steps: int, warmup: float = 0.05, min_factor: float = 0.001
) -> LambdaLR:
    """Rise linearly for a share ``warmup`` of all steps, then fall along half a cosine.

    Args:
        optimizer: its learning rates are the peak.
        total_steps: optimiser steps of the whole run.
        warmup: share of the steps in [0, 1).
        min_factor: last learning rate, as a factor of the peak.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a share of the steps in [0, 1), got {warmup}")
    rising = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = min(1.0, (step - rising) / max(1, total_steps - rising))
        return min_factor + (1 - min_factor) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)


def constant_schedule(optimizer: Optimizer, *, total_steps: int) -> LambdaLR:
    """Leave the learning rate alone; ``total_steps`` is accepted because every schedule gets it."""
    del total_steps
    return LambdaLR(optimizer, lambda step: 1.0)
