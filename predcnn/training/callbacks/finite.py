"""Stop a run whose loss is not finite before it spoils the weights or a checkpoint."""

import lightning.pytorch as pl
import torch
from torch import Tensor

ADVICE = (
    "A lower optimizer.lr, trainer.gradient_clip_val=1.0 or trainer.precision=32-true usually helps"
)


class NonFiniteError(RuntimeError):
    """A loss or a weight was NaN or infinite."""


class StopOnNonFinite(pl.Callback):
    """Raise ``NonFiniteError`` when the loss is NaN or infinite; no checkpoint is written after it.

    On CPU every step is checked. An accelerator collects the results and reads them at validation,
    at checkpoints and every ``check_every`` steps, so no step synchronises with the host.
    """

    def __init__(self, check_every: int = 50) -> None:
        self.check_every = check_every
        self._bad: Tensor | None = None
        self._first = 0

    def on_before_backward(self, trainer: pl.Trainer, _: object, loss: Tensor) -> None:
        bad = ~torch.isfinite(loss.detach())
        if self._bad is None:
            self._bad, self._first = bad, trainer.global_step
        else:
            self._bad = self._bad | bad
        if loss.device.type == "cpu" or trainer.global_step - self._first >= self.check_every:
            self.check(trainer)

    def on_validation_start(self, trainer: pl.Trainer, _: object) -> None:
        self.check(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, _: object, checkpoint: dict) -> None:
        self.check(trainer)
        for name, value in checkpoint["state_dict"].items():
            if not torch.isfinite(value).all():
                at = f"at step {trainer.global_step}"
                raise NonFiniteError(f"{name} was NaN or infinite {at} and is not saved; {ADVICE}")

    def check(self, trainer: pl.Trainer) -> None:
        """Read the collected results; raise if a loss was not finite."""
        bad, self._bad = self._bad, None
        if bad is None or not bad:
            return
        first, last = self._first, trainer.global_step
        where = f"at step {last}" if first == last else f"between steps {first} and {last}"
        raise NonFiniteError(
            f"the loss was NaN or infinite {where}; checkpoints/last.ckpt and best.ckpt are from "
            f"before. {ADVICE}"
        )
