"""A run that is interrupted ends where the uninterrupted one does."""

import json
import shutil

import lightning.pytorch as pl
import pytest
import torch

from predcnn.app import train as app
from predcnn.app.train import train
from predcnn.training.callbacks import Checkpoint

NET = ("translator=moganet", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2")
RUN = (*NET, "data.train_sequences=8", "trainer.max_epochs=3")  # 4 steps an epoch


class _KilledError(Exception):
    pass


class _KillAt(pl.Callback):
    """Dies after a step, having saved every step so far, like a machine that is switched off."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, *args: object) -> None:
        saver = next(c for c in trainer.callbacks if isinstance(c, Checkpoint))
        if trainer.global_step == self.step:
            saver._save(trainer, saver.last_path)
        if trainer.global_step == self.step + 1:  # one step more than was saved
            raise _KilledError


def final_state(run) -> tuple[dict, list, dict]:
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    found = json.loads((run / "results.json").read_text())
    kept = {k: found[k] for k in ("metrics", "per_frame", "checkpoint", "data")}
    return checkpoint["state_dict"], checkpoint["optimizer_states"], kept


def assert_same(a, b) -> None:
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


@pytest.mark.parametrize("extra", [(), ("ema=0.9",)], ids=["plain", "ema"])
@pytest.mark.parametrize("step", [2, 5])
def test_resumed_equals_uninterrupted(tiny_cfg, tmp_path, monkeypatch, step, extra):
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    train(tiny_cfg(*RUN, *extra, run_dir=whole))

    build = app.build_trainer

    def deadly(cfg, run_dir):
        trainer = build(cfg, run_dir)
        trainer.callbacks.append(_KillAt(step))
        return trainer

    monkeypatch.setattr(app, "build_trainer", deadly)
    with pytest.raises(_KilledError):
        train(tiny_cfg(*RUN, *extra, run_dir=cut))
    monkeypatch.setattr(app, "build_trainer", build)
    assert not (cut / "results.json").exists()

    train(tiny_cfg(*RUN, *extra, "resume=true", run_dir=tmp_path / "cut/other"))
    assert_same(final_state(whole), final_state(cut))
    assert (whole / "metrics.csv").read_text() == (cut / "metrics.csv").read_text()


def test_resume_finds_only_the_same_experiment(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET, run_dir=tmp_path / "runs/a"))
    (tmp_path / "runs/a/results.json").unlink()
    with pytest.raises(FileNotFoundError, match="no unfinished run"):
        train(tiny_cfg(*NET, "seed=1", "resume=true", run_dir=tmp_path / "runs/b"))
    with pytest.raises(ValueError, match="another configuration"):
        train(tiny_cfg(*NET, "seed=1", "resume=true", run_dir=tmp_path / "runs/a"))
    shutil.rmtree(tmp_path / "runs")
