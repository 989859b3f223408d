"""Cost of a training: steps, sequences, processor and wall seconds, over every resume."""

import time

import lightning.pytorch as pl
from lightning.pytorch.utilities.data import extract_batch_size


class Effort(pl.Callback):
    """Sum the time of the training steps of a run; validation and start-up do not count.

    The sums live in the checkpoints: a resumed run goes on from those of the weights it continues.
    Processor seconds are of this process with all its threads, not of loader processes.
    """

    def __init__(self) -> None:
        self.steps, self.sequences = 0, 0
        self.wall_s, self.cpu_s = 0.0, 0.0
        self._mark = (0.0, 0.0)

    def record(self) -> dict[str, float | int]:
        """Return the sums as entries of results.json's ``timing``."""
        return {
            "steps": self.steps,
            "sequences": self.sequences,
            "steps_s": self.wall_s,
            "steps_cpu_s": self.cpu_s,
        }

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark = _now()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark = _now()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: object,
        batch: object,
        i: int,
    ) -> None:
        wall, cpu = _now()
        self.wall_s += wall - self._mark[0]
        self.cpu_s += cpu - self._mark[1]
        self._mark = (wall, cpu)
        self.steps = trainer.global_step
        self.sequences += extract_batch_size(batch) * trainer.world_size

    def state_dict(self) -> dict[str, float | int]:
        return self.record()

    def load_state_dict(self, state_dict: dict[str, float | int]) -> None:
        self.steps = int(state_dict["steps"])
        self.sequences = int(state_dict["sequences"])
        self.wall_s = float(state_dict["steps_s"])
        self.cpu_s = float(state_dict["steps_cpu_s"])


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
