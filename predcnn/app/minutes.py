"""``minutes=``: as many training steps as fit into a time on this machine."""

import contextlib
import io
import time
from collections.abc import Callable
from pathlib import Path

from hydra.utils import instantiate
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf

from predcnn.app.build import set_matmul_precision
from predcnn.app.console import say
from predcnn.data.datamodule import SplitDataModule
from predcnn.training.budget import EVALUATION, VALIDATIONS, settings_of_budget, steps_within
from predcnn.training.callbacks.probe import Probe
from predcnn.training.interruption import loud_interrupts
from predcnn.weights.files import read_pickle

PROBE = {
    "max_epochs": -1,
    "max_steps": 100_000,
    "max_time": None,
    "limit_val_batches": 0,
    "fast_dev_run": False,
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "logger": False,
}
"""Arguments of the Trainer that runs the probe."""


def fit_into_minutes(
    cfg: DictConfig,
    build: Callable,
    datamodule: SplitDataModule,
    ckpt_path: Path | None,
    started: float,
) -> None:
    """Set the length of the run in ``cfg`` by its ``minutes``; a continued run keeps its length.

    ``build(cfg, datamodule)`` makes the module; ``started`` is the command's start on the clock of
    ``time.perf_counter``.
    """
    if cfg.minutes is None:
        return
    if not isinstance(cfg.minutes, int | float) or cfg.minutes <= 0:
        raise ValueError(f"minutes={cfg.minutes}: a number above 0, or null for no limit")
    if cfg.trainer.max_steps != -1:
        raise ValueError("minutes= and trainer.max_steps= both set the length: give one of them")
    if ckpt_path is not None:
        run = read_pickle(ckpt_path)["predcnn"]["run"]
        if run.get("minutes") != cfg.minutes:
            raise ValueError(
                f"{ckpt_path} was trained with minutes={run.get('minutes')}, and a continued run "
                "keeps its length: give the same minutes, or trainer.max_steps="
            )
        steps = run["trainer"]["max_steps"]
    else:
        with isolate_rng():  # the probe must not change the run's random numbers
            steps = _measured(cfg, build, datamodule, started)
    if steps is None:
        return
    batches = len(datamodule.split("train")) // datamodule.batch_size
    own = max(1, cfg.trainer.max_epochs or 1) * batches / cfg.trainer.accumulate_grad_batches
    for key, value in settings_of_budget(cfg, steps, max(1, own)).items():
        OmegaConf.update(cfg, key, value)


def _measured(
    cfg: DictConfig, build: Callable, datamodule: SplitDataModule, started: float
) -> int | None:
    """Time the first steps of a copy of the run; None if there is nothing to train."""
    with contextlib.redirect_stdout(io.StringIO()):  # the run itself prints what it loads
        module = build(cfg, datamodule)
    if not any(p.requires_grad for p in module.network.parameters()):
        return None
    probe = Probe()
    trainer = instantiate(cfg.trainer, callbacks=[probe], **PROBE)
    set_matmul_precision(cfg.get("matmul_precision"), trainer)
    with loud_interrupts(trainer):
        trainer.fit(module, datamodule=datamodule)
    seconds = trainer.strategy.broadcast(probe.found.wall_per_step)
    val, test = (len(datamodule.split(name)) for name in ("val", "test"))
    samples = datamodule.batch_size * trainer.world_size
    evaluation = EVALUATION * seconds * (VALIDATIONS * val + test) / samples
    left = 60 * cfg.minutes - (time.perf_counter() - started) - evaluation
    left = trainer.strategy.broadcast(left)
    seconds *= cfg.trainer.accumulate_grad_batches
    steps = steps_within(left, seconds, f"minutes={cfg.minutes:g}")
    say(f"minutes={cfg.minutes:g}: {steps:,} steps of {seconds:.2f} s (measured), then the test")
    return steps
