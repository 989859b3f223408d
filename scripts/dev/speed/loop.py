"""Overhead of the training loop: Lightning's steps compared with bare ones.

Both trainings run in one process, step by step: after each of Lightning's steps a callback takes
one of a plain loop with a copy of the model.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

import predcnn
from predcnn.data import SequenceDataModule, to_float
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.sequences import SETS
from predcnn.training.callbacks import Checkpoint, ProgressBar, StopOnNonFinite, Throughput
from predcnn.training.csv_logger import CSVLogger
from predcnn.training.objectives import FrameLoss
from predcnn.training.prediction import VideoPrediction
from scripts.dev.speed.comparing import How, Row, row_of
from tests.reference.simvp import IN_SHAPE, SIZES

BATCH, WARM_UP, STEPS_PER_ROUND = 4, 5, 5


class _Twin(pl.Callback):
    """Takes one step of a bare loop after each of the Trainer's, and times both."""

    def __init__(self, module: VideoPrediction, batches: Iterator[Tensor]) -> None:
        self.net = copy.deepcopy(module.predictor)
        self.optimizer = module.make_optimizer(self.net.parameters())
        self.batches = batches
        self.ours: list[float] = []
        self.plain: list[float] = []
        self.losses: list[tuple[float, float]] = []
        self.since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: dict, *_: object
    ) -> None:
        start = time.perf_counter()
        self.ours.append(start - self.since)
        frames = to_float(next(self.batches))
        past, future = frames.split(IN_SHAPE[0], dim=1)
        self.optimizer.zero_grad()
        loss = functional.mse_loss(self.net(past), future)
        loss.backward()
        self.optimizer.step()
        self.since = time.perf_counter()
        self.plain.append(self.since - start)
        self.losses.append((float(outputs["loss"].detach()), float(loss.detach())))


class _LoopCase:
    """A small SimVP trained by both, with logger, checkpoints, guards and progress bar on."""

    name = "Lightning step, small gsta, batch 4"
    tolerance = 1e-3
    note = "ratio below 1: the share the loop costs"

    def measure(self, how: How) -> Row:
        """Medians of five steps are one round."""
        steps = WARM_UP + how.rounds * STEPS_PER_ROUND
        torch.manual_seed(0)
        family = SETS["moving_mnist"](
            MovingMNISTOptions(source="embedded", train_sequences=steps * BATCH)
        )
        datamodule = SequenceDataModule(family, batch_size=BATCH)
        module = _module()
        batches = (
            family.split("train").batch(0, range(i * BATCH, (i + 1) * BATCH)) for i in range(steps)
        )
        twin = _Twin(module, batches)
        with tempfile.TemporaryDirectory() as folder:
            trainer = pl.Trainer(
                accelerator="cpu",
                max_steps=steps,
                limit_val_batches=0,
                enable_model_summary=False,
                use_distributed_sampler=False,
                log_every_n_steps=10,
                logger=CSVLogger(Path(folder)),
                callbacks=[StopOnNonFinite(), Throughput(), ProgressBar(), Checkpoint(), twin],
                default_root_dir=folder,
            )
            trainer.fit(module, datamodule=datamodule)
        ours, plain = twin.ours[WARM_UP:], twin.plain[WARM_UP:]
        error = max(abs(a - b) / abs(b) for a, b in twin.losses[WARM_UP:])
        return row_of(self, *(_rounds(values) for values in (ours, plain)), error)


def _module() -> VideoPrediction:
    predictor = predcnn.create_predictor(
        "simvp", in_shape=IN_SHAPE, translator="gsta", **SIZES["small"]
    )
    for part in predictor.modules():
        if hasattr(part, "drop_prob"):
            part.drop_prob = 0.0  # two trainings cannot draw the same
    return VideoPrediction(
        predictor.to(memory_format=torch.channels_last),
        objective=FrameLoss({"mse": 1.0}),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3, fused=True),
        scheduler=lambda optimizer, total_steps: torch.optim.lr_scheduler.ConstantLR(optimizer, 1),
    )


def _rounds(values: list[float]) -> list[float]:
    """Means of STEPS_PER_ROUND consecutive steps."""
    n = STEPS_PER_ROUND
    return [sum(values[i : i + n]) / n for i in range(0, len(values) - n + 1, n)]


def cases(wanted: Callable[[str], bool]) -> Iterator[_LoopCase]:
    """One case; wall time whatever the clock, for waiting is what is looked for."""
    if wanted("loop"):
        yield _LoopCase()
