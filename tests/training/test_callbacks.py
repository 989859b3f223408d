"""Callbacks in short trainings of a small predictor."""

import pytest
import torch

from predcnn.app.train import train
from predcnn.training.callbacks import Checkpoint, DrawPredictions, NonFiniteError

NET = ("translator=convnext", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


def test_a_nan_stops_the_run_and_keeps_the_checkpoints(tiny_cfg, tmp_path, monkeypatch):
    from predcnn.training.objectives import FrameLoss

    forward = FrameLoss.forward

    def poisoned(self, predictor, frames, frames_in, progress):
        parts = forward(self, predictor, frames, frames_in, progress)
        if progress.step == 3:
            parts["loss"] = parts["loss"] * float("nan")
        return parts

    monkeypatch.setattr(FrameLoss, "forward", poisoned)
    with pytest.raises(NonFiniteError, match="at step 3"):
        train(tiny_cfg(*NET, "trainer.max_epochs=5"))
    kept = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert kept["global_step"] == 2  # the end of the first epoch
    assert all(torch.isfinite(v).all() for v in kept["state_dict"].values())
    assert not (tmp_path / "run/results.json").exists()


def test_best_checkpoint_has_the_lowest_validation_error(tiny_cfg, tmp_path, monkeypatch):
    scores = iter([5.0, 3.0, 4.0])
    from predcnn.training.prediction import VideoPrediction

    def scored(self):
        self.log("val/mse", next(scores))

    monkeypatch.setattr(VideoPrediction, "on_validation_epoch_end", scored)
    train(tiny_cfg(*NET, "trainer.max_epochs=3"))
    folder = tmp_path / "run/checkpoints"
    assert torch.load(folder / "best.ckpt", weights_only=True)["global_step"] == 4
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 6
    assert not list(folder.glob("*.tmp"))


def test_checkpoints_hold_plain_values_and_only_the_predictor(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET, "trainer.max_steps=1"))
    saved = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert {key.split(".")[0] for key in saved["state_dict"]} == {"predictor"}
    assert saved["predcnn"]["config"]["translator"] == "convnext"
    assert saved["predcnn"]["run"]["seed"] == 42


def test_options_are_checked():
    with pytest.raises(ValueError, match="'min' or 'max'"):
        Checkpoint(mode="least")
    with pytest.raises(ValueError, match="at least 1"):
        DrawPredictions(every_n_epochs=0)
