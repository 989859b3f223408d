"""Cost of a training: steps, sequences, processor and wall seconds, over every resume."""

import time

import lightning.pytorch as pl
from lightning.pytorch.utilities.data import extract_batch_size


class Effort(pl.Callback):
    """Sum the time of the training steps of a run; validation and start-up do not count.

    Checkpoints hold the sums, so a resumed run continues them. Processor seconds are of this
    process with all its threads, not of loader processes.
    """

    def __init__(self) -> None:
        self._sums = {"steps": 0, "sequences": 0, "steps_s": 0.0, "steps_cpu_s": 0.0}
        self._mark = (0.0, 0.0)

    def on_train_start(self, *_: object) -> None:
        self._mark = _now()

    on_validation_end = on_train_start

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        wall, cpu = _now()
        self._sums["steps_s"] += wall - self._mark[0]
        self._sums["steps_cpu_s"] += cpu - self._mark[1]
        self._mark = (wall, cpu)
        self._sums["steps"] = trainer.global_step
        self._sums["sequences"] += extract_batch_size(rest[2]) * trainer.world_size

    def state_dict(self) -> dict[str, float | int]:
        """Return the sums, also for results.json's ``timing``."""
        return dict(self._sums)

    def load_state_dict(self, state_dict: dict[str, float | int]) -> None:
        self._sums = dict(state_dict)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
