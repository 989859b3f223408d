"""Train, choose by validation, test once, draw."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as pl
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from predcnn import native
from predcnn.app import resume
from predcnn.app.allocator import keep_memory
from predcnn.app.build import build_trainer, check_choices, describe_device
from predcnn.app.console import quiet_libraries, say
from predcnn.app.files import write_json, write_text
from predcnn.app.masked_frames import MASKED_FRAMES
from predcnn.app.provenance import fingerprint, git_state, versions
from predcnn.app.results import collect, write_results
from predcnn.app.summary import print_start
from predcnn.app.task import Task
from predcnn.app.video import VIDEO
from predcnn.pretraining.masked_frames import MaskedFrames
from predcnn.training.callbacks import Checkpoint, Effort
from predcnn.training.csv_logger import CSVLogger
from predcnn.weights.files import read_pickle


def train(cfg: DictConfig) -> float:
    """One whole run of ``configs/train.yaml``; returns the test MSE (for sweepers).

    With ``objective=masked_frames`` a pre-training; then the test loss.
    """
    check_choices(cfg)
    objective = get_object(cfg.objective._target_)
    masked = isinstance(objective, type) and issubclass(objective, MaskedFrames)
    return run(cfg, MASKED_FRAMES if masked else VIDEO)


def run(cfg: DictConfig, task: Task) -> float:
    """Train what ``task`` builds, test it once; returns the task's first test metric.

    The run directory receives config.yaml, run.json, environment.json, metrics.csv, timing.csv,
    checkpoints/best.ckpt, last.ckpt and previous.ckpt, what the task draws, and results.json.

    Raises:
        Interrupted: a signal stopped the training, after its state was saved.
    """
    quiet_libraries()
    with resume.place(cfg) as (run_dir, ckpt_path):
        cfg.run_dir = str(run_dir)
        return _run(cfg, task, run_dir, ckpt_path)


def _run(cfg: DictConfig, task: Task, run_dir: Path, ckpt_path: Path | None) -> float:
    if cfg.keep_memory:
        keep_memory()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    module = task.build(cfg, datamodule)
    trainer = build_trainer(cfg, run_dir)
    step = 0
    if ckpt_path is not None:
        state = resume.read_state(ckpt_path, module.config, datamodule.fingerprint)
        step = state["global_step"]
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.resume_at(step)
    trainer.callbacks.append(_Describe(cfg, run_dir, datamodule.fingerprint))
    print_start(task, module, datamodule, trainer, str(run_dir))
    started = time.perf_counter()
    with _said_when_stopped(trainer):
        _fit(module, datamodule, trainer, ckpt_path)
        timing = {"train_s": time.perf_counter() - started}
        for part in trainer.callbacks:
            timing |= part.record() if isinstance(part, Effort) else {}
        results = _test(cfg, task, module, datamodule, trainer, timing)
    if trainer.is_global_zero:
        _finish(cfg, task, results, module, datamodule)
    return results["metrics"].get(task.metric, float("nan"))


@contextlib.contextmanager
def _said_when_stopped(trainer: pl.Trainer) -> Iterator[None]:
    """Lightning answers Ctrl-C by leaving the process without a word: let it be heard above."""
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


class _Describe(pl.Callback):
    """Leave what a run is in its directory when it begins: what never began leaves nothing."""

    def __init__(self, cfg: DictConfig, run_dir: Path, data_fingerprint: str) -> None:
        self.cfg, self.run_dir, self.data_fingerprint = cfg, run_dir, data_fingerprint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.write()

    def write(self) -> None:
        environment = {"versions": versions(), "git": git_state(), "kernels": native.describe()}
        resume.compare_kernels(self.run_dir / "environment.json", environment["kernels"])
        write_text(self.run_dir / "config.yaml", OmegaConf.to_yaml(self.cfg, resolve=True))
        write_json(self.run_dir / "environment.json", environment)
        resume.mark(self.run_dir, self.cfg, self.data_fingerprint)


def _fit(
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer: pl.Trainer,
    ckpt_path: Path | None,
) -> None:
    """Train what has weights; keep what has none as it is."""
    if any(p.requires_grad for p in module.network.parameters()):
        trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
        return
    next(part for part in trainer.callbacks if isinstance(part, _Describe)).write()
    trainer.strategy.connect(module)
    best = _best_checkpoint(trainer)
    best.parent.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(best, weights_only=True)


def _best_checkpoint(trainer: pl.Trainer) -> Path:
    saver = next(part for part in trainer.callbacks if isinstance(part, Checkpoint))
    return saver.place(trainer) / "best.ckpt"


def _test(
    cfg: DictConfig,
    task: Task,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer: pl.Trainer,
    timing: dict[str, float],
) -> dict:
    """Open the test set once, with the weights that validation chose."""
    best = _best_checkpoint(trainer)
    checkpoint = read_pickle(best)
    module.load_state_dict(checkpoint["state_dict"])
    started = time.perf_counter()
    trainer.test(module, datamodule=datamodule, verbose=False)
    timing["test_s"] = time.perf_counter() - started
    described = {
        "file": str(best.relative_to(cfg.run_dir))
        if best.is_relative_to(cfg.run_dir)
        else str(best),
        "step": checkpoint["global_step"],
        "epoch": checkpoint["epoch"],
    }
    run = {
        "name": cfg.name,
        "seed": cfg.seed,
        "command": resume.first_command(Path(cfg.run_dir)),
        "config_fingerprint": fingerprint(cfg),
        "device": describe_device(trainer),
        "timing": timing,
    }
    return collect(task, module, datamodule, "test", described, run)


def _finish(
    cfg: DictConfig,
    task: Task,
    results: dict,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
) -> None:
    run_dir = Path(cfg.run_dir)
    task.draw(run_dir, module, datamodule, results)
    write_results(run_dir, results)
    resume.mark(run_dir, cfg, results["data"]["fingerprint"], finished=True)
    task.show(results)
    say(f"results, checkpoints and pictures: {os.path.relpath(run_dir)}")
