"""A run that is interrupted ends where the uninterrupted one does."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from predcnn.app import cli
from predcnn.app import train as app
from predcnn.app.train import train
from predcnn.files import only_writer
from predcnn.training import prediction
from predcnn.training.interruption import Interrupted, StopSignals
from tests.app.interruption import assert_same, final_state, train_and_kill
from tests.data.writers import write_mnist

NET = ("translator=moganet", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2")
RUN = (*NET, "data.train_sequences=8", "trainer.max_epochs=3")  # 4 steps an epoch


@pytest.fixture(autouse=True)
def _no_images(monkeypatch) -> None:
    """Drawing takes longer than these networks; test_train.py covers it."""
    monkeypatch.setattr(prediction, "draw_sequences", lambda *args, **options: None)
    monkeypatch.setattr(prediction, "draw_curves", lambda *args, **options: None)


@pytest.fixture(autouse=True)
def _foreground():
    """Ctrl-C as in a terminal; a shell's background job would not hear it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict:
    """Final states of uninterrupted runs by their extra overrides; trained at first use."""
    return {}


def ended(uninterrupted: dict, tiny_cfg, folder: Path, *extra: str) -> tuple:
    if extra not in uninterrupted:
        train(tiny_cfg(*RUN, *extra, run_dir=folder / "uninterrupted/run"))
        uninterrupted[extra] = final_state(folder / "uninterrupted/run")
    return uninterrupted[extra]


@pytest.mark.parametrize(
    ("step", "extra"),
    [
        pytest.param(2, (), id="within an epoch"),
        pytest.param(4, (), id="between two", marks=pytest.mark.slow),
        pytest.param(7, (), id="before a validation", marks=pytest.mark.slow),
        pytest.param(5, ("ema=0.9",), id="averaged", marks=pytest.mark.slow),
        pytest.param(
            4, ("trainer.check_val_every_n_epoch=3",), id="not validated", marks=pytest.mark.slow
        ),
    ],
)
def test_resumed_equals_uninterrupted(tiny_cfg, tmp_path, monkeypatch, uninterrupted, step, extra):
    cut = tmp_path / "cut/run"
    train_and_kill(tiny_cfg(*RUN, *extra, run_dir=cut), step, monkeypatch)
    train(tiny_cfg(*RUN, *extra, "resume=true", run_dir=tmp_path / "cut/other"))
    assert_same(ended(uninterrupted, tiny_cfg, tmp_path, *extra), final_state(cut))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("cut", marks=pytest.mark.slow),
        "flipped",
        pytest.param("missing", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_last_state_falls_back_to_the_previous(
    tiny_cfg, tmp_path, monkeypatch, uninterrupted, capsys, damage
):
    run = tmp_path / "cut/run"
    train_and_kill(tiny_cfg(*RUN, run_dir=run), 6, monkeypatch)
    last = run / "checkpoints/last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 4
    damages = {"cut": content[:5000], "flipped": content}
    last.write_bytes(damages.get(damage, b""))
    if damage == "missing":  # killed between two renames
        last.unlink()
    capsys.readouterr()
    train(tiny_cfg(*RUN, "resume=true", run_dir=run))
    said = capsys.readouterr().out
    assert ("last.ckpt" in said and "previous.ckpt, the state before it" in said) == (
        damage != "missing"
    )
    assert_same(ended(uninterrupted, tiny_cfg, tmp_path), final_state(run))


def test_a_run_without_any_good_state_is_not_resumed(tiny_cfg, tmp_path, monkeypatch):
    run = tmp_path / "runs/a"
    train_and_kill(tiny_cfg(*RUN, run_dir=run), 2, monkeypatch)
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"last\.ckpt .*previous\.ckpt .*no state"):
        train(tiny_cfg(*RUN, "resume=true", run_dir=run))


class SendAt(pl.Callback):
    """Sends this process a signal in the middle of a step."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        self.number, self.step = number, step

    def on_before_backward(self, trainer, *args: object) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(self.number)


def train_and_send(cfg, number: signal.Signals, step: int, monkeypatch) -> Interrupted:
    build = app.build_trainer

    def sending(cfg, run_dir):
        trainer = build(cfg, run_dir)
        trainer.callbacks.insert(0, SendAt(number, step))
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(app, "build_trainer", sending)
        with pytest.raises(Interrupted) as stop:
            train(cfg)
    return stop.value


@pytest.mark.parametrize(
    ("number", "step", "workers"),
    [
        pytest.param(signal.SIGTERM, 1, 2, id="SIGTERM within an epoch"),
        pytest.param(signal.SIGINT, 3, 0, id="Ctrl-C at its end", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_stops(
    tiny_cfg, tmp_path, monkeypatch, uninterrupted, number, step, workers
):
    before, run = signal.getsignal(number), tmp_path / "cut/run"
    cfg = tiny_cfg(*RUN, f"data.num_workers={workers}", run_dir=run)
    stop = train_and_send(cfg, number, step, monkeypatch)
    assert f"stopped by {number.name} after step {step + 1}, saved in {run}" in str(stop)
    assert signal.getsignal(number) == before
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == step + 1
    train(tiny_cfg(*RUN, f"data.num_workers={workers}", "resume=true", run_dir=run))
    assert_same(ended(uninterrupted, tiny_cfg, tmp_path), final_state(run))


def test_a_second_ctrl_c_stops_at_once():
    signals = StopSignals()
    signals.watch()
    try:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signals.release()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_slurm_requeues_and_the_same_command_continues(
    tiny_cfg, tmp_path, monkeypatch, uninterrupted
):
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    job = {"JOB_ID": 77, "NTASKS": 1, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "NTASKS_PER_NODE": 1}
    for key, value in {**job, "JOB_NAME": "train"}.items():
        monkeypatch.setenv(f"SLURM_{key}", str(value))
    run = tmp_path / "runs/first"
    train_and_send(tiny_cfg(*RUN, run_dir=run), signal.SIGUSR1, 5, monkeypatch)
    assert (tmp_path / "asked").read_text() == "requeue 77\n"
    assert not list(run.glob("hpc_ckpt*"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    train(tiny_cfg(*RUN, run_dir=tmp_path / "runs/second"))  # the clock has moved on
    for key in job:
        monkeypatch.delenv(f"SLURM_{key}")
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert_same(ended(uninterrupted, tiny_cfg, tmp_path), final_state(run))
    assert not (tmp_path / "runs/second").exists()


def test_resume_finds_only_the_same_experiment(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET, run_dir=tmp_path / "runs/a"))
    with pytest.raises(FileNotFoundError, match="no unfinished run"):
        train(tiny_cfg(*NET, "resume=true", run_dir=tmp_path / "runs/b"))
    with pytest.raises(FileNotFoundError, match="no unfinished run"):
        train(tiny_cfg(*NET, "seed=1", "resume=true", run_dir=tmp_path / "runs/b"))
    with pytest.raises(ValueError, match="another configuration"):
        train(tiny_cfg(*NET, "seed=1", "resume=true", run_dir=tmp_path / "runs/a"))
    with pytest.raises(ValueError, match="holds a run: continue it with resume=true"):
        train(tiny_cfg(*NET, run_dir=tmp_path / "runs/a"))
    last = tmp_path / "runs/a/checkpoints/last.ckpt"
    with pytest.raises(ValueError, match="ends after 2 steps, this run would take 6"):
        train(tiny_cfg(*NET, "trainer.max_epochs=3", f"ckpt_path={last}", run_dir=tmp_path / "b"))
    shutil.rmtree(tmp_path / "runs")


def test_a_changed_data_file_is_noticed(tiny_cfg, tmp_path, monkeypatch):
    root = tmp_path / "data"
    write_mnist(root, packed=False)
    words = (*RUN, "data.source=mnist", f"data.root={root}", "data.verify=false")
    train_and_kill(tiny_cfg(*words, run_dir=tmp_path / "runs/a"), 2, monkeypatch)
    path = root / "t10k-images-idx3-ubyte"  # the test set alone
    content = bytearray(path.read_bytes())
    content[500] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="the data changed since"):
        train(tiny_cfg(*words, "resume=true", run_dir=tmp_path / "runs/a"))


def test_a_directory_has_one_writer(tmp_path):
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()

    def other() -> None:
        with only_writer(tmp_path) as free:
            answers.put(free)

    with only_writer(tmp_path) as free:
        assert free
        process = fork.Process(target=other)
        process.start()
        assert answers.get(timeout=60) is False
        process.join()
    assert not list(tmp_path.iterdir())


def test_the_same_command_twice_gives_the_same_bits(tiny_cfg, tmp_path, uninterrupted):
    train(tiny_cfg(*RUN, run_dir=tmp_path / "again/run"))
    assert_same(ended(uninterrupted, tiny_cfg, tmp_path), final_state(tmp_path / "again/run"))
    found = json.loads((tmp_path / "again/run/results.json").read_text())
    assert found["seed"] == 42
    assert len(found["data"]["fingerprint"]) == 64
    assert found["data"]["sequences"] == {"train": 8, "val": 2, "test": 2}


def test_the_command_says_how_to_continue(tmp_path, monkeypatch, capsys):
    def stops(cfg) -> None:
        raise Interrupted(signal.SIGTERM, "after step 3, saved in last.ckpt")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "train", stops)
    monkeypatch.setattr(sys, "argv", ["train.py", "hydra.run.dir=run"])
    with pytest.raises(SystemExit) as left:
        cli.run("train")
    assert left.value.code == 128 + signal.SIGTERM
    said = "stopped by SIGTERM after step 3, saved in last.ckpt; the same command with resume=true"
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
