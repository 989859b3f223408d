"""Two processes train, validate and test like one with the doubled batch."""

import csv
import json
import os
import socket
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from predcnn.app import cli
from predcnn.app import train as app
from predcnn.training import prediction

# validation and test sets that two processes cannot halve; float32 sums in another order
DATA = ("data.train_sequences=12", "data.val_sequences=3", "data.test_sequences=5")
SETTINGS = {
    "simvp": ("translator=vit", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2"),
    "recurrent": (
        "model=predrnnv2",
        "model.net.num_hidden=[8,8]",
        "model.net.filter_size=3",
        "scale.sampling_steps=6",
    ),
}


def one_of_two(rank: int, cfg, port: int) -> None:
    """What torchrun starts."""
    torch.set_num_threads(1)
    words = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    words |= {"GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    words |= {"TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({key: str(value) for key, value in words.items()})
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only.rank = rank  # read from the environment when Lightning was imported
    prediction.draw_sequences = prediction.draw_curves = lambda *args, **options: None
    app.train(cfg)
    torch.distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def read(run: Path) -> tuple[dict, dict, list[dict]]:
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    with (run / "metrics.csv").open(newline="") as file:
        return state, json.loads((run / "results.json").read_text()), list(csv.DictReader(file))


def assert_equal_runs(one: tuple, two: tuple) -> None:
    """Compare what `read` returns: weights to 1e-5, metrics to 1e-6, the rows of metrics.csv."""
    (weights, results, rows), (other_weights, other_results, other_rows) = one, two
    assert other_results["data"]["sequences"] == {"train": 12, "val": 3, "test": 5}
    for key, value in weights.items():
        torch.testing.assert_close(other_weights[key], value, rtol=1e-5, atol=1e-5, msg=key)
    for found, other in (
        (results, other_results),
        (results["copy_last"], other_results["copy_last"]),
    ):
        for part in ("metrics", "per_frame"):
            for key, value in found[part].items():
                assert other[part][key] == pytest.approx(value, rel=1e-6, abs=1e-6), key
    assert [row["step"] for row in other_rows] == [row["step"] for row in rows]
    for row, other in zip(rows, other_rows, strict=True):
        for key in ("train/loss", "val/loss", "val/mse"):
            if row[key]:
                assert float(other[key]) == pytest.approx(float(row[key]), rel=1e-6), key


@pytest.mark.parametrize("name", [pytest.param("simvp", marks=pytest.mark.slow), "recurrent"])
def test_two_processes_equal_one_with_the_doubled_batch(tiny_cfg, tmp_path, monkeypatch, name):
    monkeypatch.setattr(prediction, "draw_sequences", lambda *args, **options: None)
    monkeypatch.setattr(prediction, "draw_curves", lambda *args, **options: None)
    words = (*SETTINGS[name], *DATA, "trainer.max_epochs=2", "optimizer=sgd", "optimizer.lr=0.002")
    app.train(tiny_cfg(*words, "data.batch_size=4", run_dir=tmp_path / "one"))
    two = tiny_cfg(*words, "trainer=ddp", "trainer.devices=2", run_dir=tmp_path / "two")
    mp.start_processes(one_of_two, args=(two, free_port()), nprocs=2, start_method="spawn")

    assert_equal_runs(read(tmp_path / "one"), read(tmp_path / "two"))


def test_a_sweep_does_not_start_processes_that_start_the_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["-m", "seed=1", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, "data.source=embedded"])
    with pytest.raises(SystemExit) as stop:
        cli.run("train")
    assert "hydra/launcher=submitit_slurm" in str(stop.value.code)
    assert "start 2" in str(stop.value.code)


@pytest.mark.parametrize("launcher", ["basic", "joblib", "ray", "submitit_slurm", "submitit_local"])
def test_launchers_compose(launcher):
    plugin = launcher.split("_")[0]
    if plugin != "basic":
        pytest.importorskip(
            f"hydra_plugins.hydra_{plugin}_launcher", reason="needs predcnn[cluster]"
        )
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train", [f"hydra/launcher={launcher}"], return_hydra_config=True)
    assert "_target_" in cfg.hydra.launcher


def test_fsdp_is_built_from_its_configuration(tiny_cfg):
    strategy = instantiate(tiny_cfg("trainer=fsdp", "trainer.accelerator=gpu").trainer.strategy)
    assert strategy.kwargs["auto_wrap_policy"].keywords == {"min_num_params": 1_000_000}
