"""How a run ends: a validation before the end, what chose the weights, images that fail."""

import csv

import pytest
import torch

from predcnn.app.results import verdict
from predcnn.app.run_directory import check_unfinished
from predcnn.app.train import train
from predcnn.training import prediction
from tests.app.test_train import results

NET = ("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["trainer.max_steps=1"], 1),
        (["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=3"], 4),
        (["trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=9"], 2),
        (["trainer.max_epochs=2"], None),
    ],
)
def test_a_run_is_validated_once_at_the_latest_at_its_last_step(
    tiny_cfg, tmp_path, capsys, words, step
):
    train(tiny_cfg(*NET, *words))
    with (tmp_path / "run/metrics.csv").open() as file:
        validated = [int(row["step"]) + 1 for row in csv.DictReader(file) if row["val/mse"]]
    assert validated == ([2, 4] if step is None else [step])
    best = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert best["global_step"] in validated
    line = f"best.ckpt: step {best['global_step']}, with the lowest val/mse, "
    assert line in capsys.readouterr().out


def test_a_run_without_validation_reports_the_last_step(tiny_cfg, capsys):
    train(tiny_cfg(*NET, "trainer.limit_val_batches=0"))
    assert "best.ckpt: the last step, as no validation" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["max_epochs", "max_steps"])
def test_nothing_to_train_is_one_sentence(tiny_cfg, key):
    with pytest.raises(ValueError, match=rf"trainer\.{key}=0 trains nothing: give 1 or more"):
        train(tiny_cfg(*NET, f"trainer.{key}=0"))


def test_a_finished_checkpoint_is_not_continued_elsewhere(tiny_cfg, tmp_path):
    words = (*NET, "trainer.max_epochs=2", "scheduler=onecycle")
    run = tmp_path / "run"
    train(tiny_cfg(*words))
    mse = results(run)["metrics"]["mse"]
    last = f"ckpt_path={run}/checkpoints/last.ckpt"
    for state in ("before", "after"):  # resuming rewrites last.ckpt
        with pytest.raises(ValueError, match=r"its 2 epochs of trainer\.max_epochs=2: test"):
            train(tiny_cfg(*words, last, run_dir=tmp_path / state))
        assert train(tiny_cfg(*words, "resume=true")) == mse
    with pytest.raises(ValueError, match=r"OneCycleLR ends after 4 steps.*with weights=…"):
        train(tiny_cfg(*words, last, "trainer.max_epochs=3", run_dir=tmp_path / "longer"))


def test_an_interrupted_epoch_is_not_finished(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET, "trainer.max_steps=1"))

    class Trainer:
        max_epochs, max_steps = 1, -1

    path = tmp_path / "run/checkpoints/last.ckpt"
    check_unfinished(path, Trainer)
    Trainer.max_steps = 1
    with pytest.raises(ValueError, match=r"trained its 1 steps of trainer\.max_steps=1"):
        check_unfinished(path, Trainer)


def test_a_failed_image_keeps_the_metrics(tiny_cfg, tmp_path, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no space left for images")

    monkeypatch.setattr(prediction, "draw_sequences", fail)
    monkeypatch.setattr("predcnn.training.callbacks.drawing.draw_sequences", fail)
    target = "predcnn.training.callbacks.DrawPredictions"
    train(tiny_cfg(*NET, f"callbacks.drawing={{_target_: {target}, every_n_epochs: 1}}"))
    assert results(tmp_path / "run")["metrics"]["mse"] > 0
    printed = capsys.readouterr().out
    reason = "not drawn: RuntimeError: no space left for images"
    assert f"warning: validation sequences of epoch 1 {reason}" in printed
    assert f"warning: images of the run {reason}" in printed


def test_a_log_has_a_line_an_epoch_and_no_bar(tiny_cfg, capsys):
    train(tiny_cfg(*NET, "trainer.max_epochs=2", "trainer.enable_progress_bar=true"))
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in found] == [
        "epoch 1, step 2 of 4", "epoch 2, step 4 of 4",
    ]  # fmt: skip
    assert all("val_mse" in line and "loss" in line for line in found)
    assert not any("it/s" in line for line in lines)


def test_a_long_epoch_has_a_line_a_minute(tiny_cfg, capsys):
    words = ("trainer.enable_progress_bar=true", "+callbacks.progress.line_every_s=0")
    train(tiny_cfg(*NET, *words))
    assert capsys.readouterr().out.count("epoch 1, step") == 3  # two steps and the end


def test_the_estimate_counts_validation_and_test(tiny_cfg, capsys):
    train(tiny_cfg(*NET, "+callbacks.throughput.announce_after=2"))
    assert "minutes in all with validation and test (assumed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ours", "model", "sentence"),
    [
        (75.0, {}, "mse is 25% lower than repeating the last frame and 6% lower than the mean"),
        (80.0, {}, "as good as the mean training frame: mse is the same"),
        (0.0, {}, "mse is 100% lower than repeating the last frame"),
        (90.0, {}, "worse than the mean training frame: mse is 12% higher; train longer"),
    ],
)
def test_the_verdict_is_one_sentence(ours, model, sentence):
    baselines = {"copy_last": {"metrics": {"mse": 100.0}}, "mean_frame": {"metrics": {"mse": 80.0}}}
    assert sentence in verdict({"metrics": {"mse": ours}, "model": model, **baselines})
    assert verdict({"metrics": {"loss": 1.0}, "model": model}) is None
    del baselines["mean_frame"]
    advice = verdict({"metrics": {"mse": 120.0}, "model": {"residual": False}, **baselines})
    assert advice.startswith("worse than repeating the last frame: mse is 20% higher")
    assert advice.endswith("train longer or try model.net.residual=true")


def test_a_run_measures_the_mean_training_frame(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET))
    mean = results(tmp_path / "run")["mean_frame"]["metrics"]
    train(tiny_cfg("model=mean_frame", run_dir=tmp_path / "mean"))
    assert mean["mse"] == pytest.approx(results(tmp_path / "mean")["metrics"]["mse"], rel=1e-4)
