"""Killing a run between two steps, and comparing what two runs left."""

import json
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from predcnn.app import train as app
from predcnn.training.callbacks import Checkpoint


class KilledError(Exception):
    pass


class KillAt(pl.Callback):
    """Dies like a machine that is switched off, one step after the last state was saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_fit_start(self, trainer, pl_module) -> None:
        next(c for c in trainer.callbacks if isinstance(c, Checkpoint)).every_minutes = 0

    def on_train_batch_end(self, trainer, pl_module, *args: object) -> None:
        if trainer.global_step == self.step + 1:
            raise KilledError


def train_and_kill(cfg, step: int, monkeypatch, train: Callable = app.train) -> None:
    """Start the run of ``cfg`` and kill it after ``step``, before it wrote results."""
    build = app.build_trainer

    def deadly(cfg, run_dir):
        trainer = build(cfg, run_dir)
        trainer.callbacks.append(KillAt(step))
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(app, "build_trainer", deadly)
        with pytest.raises(KilledError):
            train(cfg)
    assert not (Path(cfg.run_dir) / "results.json").exists()


def final_state(run: Path) -> tuple[dict, list, dict, str]:
    """Weights, optimizer, results without times, and the log of a finished run."""
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    found = json.loads((run / "results.json").read_text())
    # the number of workers is in the fingerprint; somebody may commit while the tests run
    found = {k: v for k, v in found.items() if k not in ("timing", "config_fingerprint", "git")}
    log = (run / "metrics.csv").read_text()
    return checkpoint["state_dict"], checkpoint["optimizer_states"], found, log


def assert_same(a, b) -> None:
    """Equal to the last bit, whatever is nested in it."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b
