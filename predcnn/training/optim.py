"""Learning-rate schedules over the true number of optimizer steps, and parameter groups.

Every schedule is called as ``schedule(optimizer, total_steps=n)``, like
``torch.optim.lr_scheduler.OneCycleLR``, and stepped once per optimizer step.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def cosine_schedule(
    optimizer: Optimizer,
    *,
    total_steps: int,
    warmup: float | str = 0.05,
    cooldown: float | str = 0.0,
    start_factor: float = 0.0,
    min_factor: float = 0.001,
) -> LambdaLR:
    """Rise linearly, then fall along half a cosine, see ``configs/scheduler/cosine.yaml``."""
    warm, cool = _share("warmup", warmup), _share("cooldown", cooldown)
    if warm + cool >= 1:
        raise ValueError(f"warmup={warmup} and cooldown={cooldown} leave no steps to fall in")
    rising = round(warm * total_steps)
    falling = max(1, total_steps - rising - round(cool * total_steps))

    def factor(step: int) -> float:
        if step < rising:
            return start_factor + (1 - start_factor) * (step + 1) / rising
        done = min(1.0, (step - rising) / falling)
        return min_factor + (1 - min_factor) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)


def _share(name: str, value: float | str) -> float:
    try:
        share = float(Fraction(value))
    except (ValueError, TypeError, ZeroDivisionError):
        share = math.nan
    if not 0 <= share < 1:
        raise ValueError(f"{name} is a share of the steps in [0, 1), as 0.05 or 5/300; got {value}")
    return share


def constant_schedule(optimizer: Optimizer, *, total_steps: int) -> LambdaLR:
    """Keep the learning rate."""
    return LambdaLR(optimizer, lambda step: 1.0)


def check_length(trainer: "Trainer") -> None:
    """Raise ValueError if a restored schedule has fewer steps than this run."""
    wanted = trainer.estimated_stepping_batches
    for schedule in (config.scheduler for config in trainer.lr_scheduler_configs):
        steps = getattr(schedule, "total_steps", wanted)
        if steps < wanted:
            raise ValueError(
                f"the checkpoint's {type(schedule).__name__} ends after {steps:,} steps, this run "
                f"would take {wanted:,}: keep trainer.max_epochs, or start a new run from its "
                "weights with weights=… instead of ckpt_path=…"
            )


def layered_optimizer(
    network: nn.Module, *, optimizer: Callable, layer_decay: float | None = None
) -> Optimizer:
    """Build an optimizer with weight decay for matrices and kernels only, and layer-wise rates.

    Args:
        network: biases, norms, other vectors and the parameters that its ``no_weight_decay()``
            names get weight decay 0.
        optimizer: parameter groups -> optimizer.
        layer_decay: factor of the learning rate from each layer of the network's
            ``group_matcher`` to the one before it. None: one rate for all.
    """
    from timm.optim import param_groups_layer_decay, param_groups_weight_decay

    spared = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    options = {"weight_decay": 1.0, "no_weight_decay_list": spared}  # 1: replaced below
    if layer_decay is None:
        groups = param_groups_weight_decay(network, **options)
    elif 0 < layer_decay <= 1:
        groups = param_groups_layer_decay(network, layer_decay=layer_decay, **options)
    else:
        raise ValueError(f"layer_decay is a factor in (0, 1], not {layer_decay}")
    for group in groups:
        if group["weight_decay"]:
            del group["weight_decay"]
    made = optimizer(groups)
    for group in made.param_groups:
        group["lr"] *= group.pop("lr_scale", 1.0)
    return made
