"""The words that fit a training to a number of steps."""

from collections.abc import Sequence

from omegaconf import DictConfig

from predcnn.app.benchmarking.entries import key_of
from predcnn.leaderboard.budget import VALIDATIONS

GUARD = 4
"""A run with a budget is stopped after this many times its minutes, whatever its pace."""


def words_of_budget(
    cfg: DictConfig, steps: int, budget_minutes: float, given: Sequence[str]
) -> list[str]:
    """Words of the train command for a run of ``steps`` steps.

    The learning rate spans the steps, validation lies at even distances and behind the last one,
    and the schedules that a scale states in steps or epochs are stretched with it. An epoch keeps
    its length, so that every entry sees the same sequences in the same order.

    Args:
        cfg: the run without a budget.
        steps: optimiser steps, a multiple of the validations.
        budget_minutes: for the guard alone.
        given: what the user said; a stretched key among them stays as it is.
    """
    batches = steps // VALIDATIONS * cfg.trainer.accumulate_grad_batches
    hours, minutes = divmod(int(GUARD * budget_minutes) + 5, 60)
    words = [
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
    said = {key_of(word) for word in given}
    return words + [f"{key}={value}" for key, value in stretched.items() if key not in said]


def own_steps(cfg: DictConfig) -> int:
    """Optimiser steps of a run by its epochs, on one process."""
    batches = cfg.data.train_sequences // cfg.data.batch_size
    return max(1, cfg.trainer.max_epochs * batches // cfg.trainer.accumulate_grad_batches)
