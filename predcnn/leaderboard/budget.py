"""Overrides of the train command for a run with a budget."""

from collections.abc import Sequence

from omegaconf import DictConfig

from predcnn.leaderboard.entries import key_of
from predcnn.training.budget import own_steps, settings_of_budget

BUSY = 0.1
"""Cores: where other programs take more from a probe, its entry gets too few steps and a note."""
GUARD = 4
"""A run with a budget is stopped after this many times its minutes."""


def overrides_of_budget(
    cfg: DictConfig, steps: int, budget_minutes: float, given: Sequence[str]
) -> list[str]:
    """Return overrides for a run of ``steps`` steps; a scale's schedule may be ``given``."""
    hours, minutes = divmod(int(GUARD * budget_minutes) + 5, 60)
    keys = {key_of(override) for override in given}
    settings = settings_of_budget(cfg, steps, own_steps(cfg))
    return [
        *(
            f"{key}={'null' if value is None else value}"
            for key, value in settings.items()
            if not (key.startswith("scale.") and key in keys)
        ),
        f"trainer.max_time='{hours // 24:02d}:{hours % 24:02d}:{minutes:02d}:00'",
        "callbacks.drawing=null",
    ]
