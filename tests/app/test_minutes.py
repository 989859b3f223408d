"""``minutes=``: the length of a run set by a probe, and kept by a run that continues."""

import json
import sys

import pytest
import torch
import yaml

from predcnn.app import cli, minutes
from predcnn.app.train import train
from predcnn.training.callbacks import probe

NET = ("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")
BUDGET = (*NET, "minutes=1", "data.train_sequences=8", "trainer.enable_progress_bar=false")


@pytest.fixture(autouse=True)
def pace_of_two_seconds(monkeypatch):
    """Time five real steps, but count two seconds for each."""
    monkeypatch.setattr(probe, "MOST", 5)
    monkeypatch.setattr(probe.Probe, "steps", lambda self: ([2.0] * 5, [2.0] * 5))


def test_the_steps_fill_the_minutes_and_the_schedule_ends_with_them(tiny_cfg, tmp_path, capsys):
    train(tiny_cfg(*BUDGET))
    run = tmp_path / "run"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    steps = settings["trainer"]["max_steps"]
    # 60 s less the start and 5 validations and a test of 2 sequences: at most 56 s
    assert 5 <= steps <= 25
    assert steps % 5 == 0
    assert (settings["minutes"], settings["trainer"]["max_epochs"]) == (1, -1)
    assert settings["trainer"]["val_check_interval"] == steps // 5
    assert f"minutes=1: {steps} steps of 2.00 s" in capsys.readouterr().out
    assert json.loads((run / "results.json").read_text())["timing"]["steps"] == steps
    last = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == steps
    assert last["lr_schedulers"][0]["total_steps"] == steps


def test_the_probe_changes_nothing_but_the_length(tiny_cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(minutes, "steps_within", lambda *_: 5)
    train(tiny_cfg(*BUDGET, run_dir=tmp_path / "a"))
    same = ("trainer.max_steps=5", "trainer.max_epochs=-1", "trainer.val_check_interval=1")
    without = tiny_cfg(*BUDGET, *same, "minutes=null", run_dir=tmp_path / "b")
    without.trainer.check_val_every_n_epoch = None
    train(without)
    a, b = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in "ab"
    )
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_a_continued_run_keeps_its_length(tiny_cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(minutes, "steps_within", lambda *_: 10)
    run = tmp_path / "runs/a"
    cfg = tiny_cfg(*BUDGET, run_dir=run)
    train(cfg)
    whole = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    (run / "checkpoints/previous.ckpt").rename(run / "checkpoints/last.ckpt")  # as of step 8
    (run / "results.json").unlink()
    identity = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**identity, "finished": False}))
    monkeypatch.setattr(minutes, "steps_within", lambda *_: pytest.fail("measured again"))
    train(tiny_cfg(*BUDGET, "resume=true", run_dir=tmp_path / "runs/b"))
    assert json.loads((run / "results.json").read_text())["timing"]["steps"] == 10
    again = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    state = f"ckpt_path={run}/checkpoints/last.ckpt"
    longer = tiny_cfg(*BUDGET, "minutes=2", state, run_dir=tmp_path / "c")
    with pytest.raises(ValueError, match="a continued run keeps its length"):
        train(longer)


def test_a_baseline_without_parameters_needs_no_probe(tiny_cfg, tmp_path):
    train(tiny_cfg("model=copy_last", "minutes=1"))
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["trainer"]["max_steps"] == -1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("minutes=-1",), "minutes=-1: a number above 0"),
        (("minutes=ten",), "minutes=ten: a number above 0"),
        (("minutes=1", "trainer.max_steps=5"), "give one of them"),
        (("minutes=0.01",), "minutes=0.01 holds 0.0 steps of 2.00 s; at least 5"),
    ],
)
def test_wrong_minutes_are_one_sentence(monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    small = ("data.source=embedded", "data.height=32", "data.val_sequences=2")
    monkeypatch.setattr(sys, "argv", ["predcnn", "train", *NET, *small, *words, "trainer=cpu"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert message in stop.value.code
    assert "\n" not in stop.value.code
