"""The main job on the real configurations, cut to a few steps."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from predcnn import create_backbone, load_predictor
from predcnn.app.evaluate import evaluate
from predcnn.app.predict import predict
from predcnn.app.train import train
from predcnn.weights.published import export_openstl_state_dict

FIRST_FOUR = ("gsta", "moganet", "convnext", "vit")
SMALL_NET = ("model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2")


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="session")
def clothes(tmp_path_factory) -> Path:
    """A data root with files in Fashion-MNIST's format: noise, for no other is small enough."""
    folder = tmp_path_factory.mktemp("root") / "fashion_mnist"
    folder.mkdir()
    for name, count in (("train", 60), ("t10k", 20)):
        header = np.array([2051, count, 28, 28], dtype=">i4").tobytes()
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    return folder.parent


@pytest.mark.parametrize("translator", FIRST_FOUR)
@pytest.mark.parametrize("data", ["moving_mnist", "mmnist_cifar", "moving_fmnist"])
def test_one_step_of_every_data_set_and_translator(tiny_cfg, tmp_path, data, translator, clothes):
    words = ["trainer.max_steps=1"]
    if data == "moving_fmnist":  # nothing is embedded for it
        words += [f"data.root={clothes}", "data.source=auto", "data.verify=false"]
    train(tiny_cfg(f"data={data}", f"translator={translator}", *words))
    found = results(tmp_path / "run")
    assert found["data"]["name"] == data
    assert found["model"]["translator"] == translator
    assert found["checkpoint"]["step"] == 1


def test_a_translator_starts_from_a_backbone_and_reports_it(tiny_cfg, tmp_path, capsys):
    backbone = create_backbone("moganet_xtiny", dims=(8, 16, 24, 32), depths=(1, 1, 2, 1))
    torch.save({"state_dict": export_openstl_state_dict(backbone)}, tmp_path / "moga.pth.tar")
    words = ["trainer.max_steps=1", f"translator.weights={tmp_path / 'moga.pth.tar'}"]
    size = ("model.net.hid_S=4", "model.net.hid_T=24", "model.net.N_T=4")
    train(tiny_cfg("translator=moganet", *words, *size))
    printed = capsys.readouterr().out
    assert "2 of 4 translator blocks start from" in printed
    assert "block 1 (MogaBlock, width 24)" in printed
    assert load_predictor(tmp_path / "run/checkpoints/best.ckpt").taken_weights is None


def test_a_run_writes_all_documented_files(tiny_cfg, tmp_path):
    run = tmp_path / "run"
    target = "predcnn.training.callbacks.DrawPredictions"
    drawing = f"callbacks.drawing={{_target_: {target}, every_n_epochs: 1}}"
    mse = train(tiny_cfg("translator=moganet", *SMALL_NET, drawing))
    for name in ("config.yaml", "run.json", "environment.json", "metrics.csv", "curves.png"):
        assert (run / name).stat().st_size > 0, name
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    drawn = {p.name for p in (run / "predictions").iterdir()}
    assert {"sequence_000.gif", "sequence_000.png", "val_0_epoch_001.gif"} <= drawn
    found = results(run)
    assert found["metrics"]["mse"] == pytest.approx(mse)
    assert set(found["metrics"]) == {"mse", "mae", "ssim", "psnr"} == set(found["definitions"])
    assert len(found["per_frame"]["mse"]) == 10
    assert sum(found["per_frame"]["mse"]) / 10 == pytest.approx(found["metrics"]["mse"], rel=1e-5)
    assert found["data"]["sequences"] == {"train": 4, "val": 2, "test": 2}
    assert found["data"]["protocol"] == "isolated"
    assert "embedded" in found["data"]["source"]
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["train/loss"]] == ["0", "1"]


def test_evaluate_repeats_the_results_from_the_checkpoint_alone(tiny_cfg, tmp_path):
    train(tiny_cfg("translator=gsta", *SMALL_NET))
    before = results(tmp_path / "run")
    cfg = command_cfg(
        "evaluate", f"ckpt_path={tmp_path}/run", f"output={tmp_path}/again"
    )  # a run directory stands for its best checkpoint
    evaluate(cfg)
    after = results(tmp_path / "again")
    for key in (
        "metrics",
        "per_frame",
        "model",
        "params",
        "macs",
        "data",
        "copy_last",
        "config_fingerprint",
    ):
        assert after[key] == before[key], key


def test_evaluating_other_data_keeps_the_results(tiny_cfg, tmp_path):
    run = tmp_path / "run"
    train(tiny_cfg("translator=gsta", *SMALL_NET))
    before = (run / "results.json").read_text()
    best = f"ckpt_path={run}/checkpoints/best.ckpt"
    evaluate(command_cfg("evaluate", best, "split=val"))
    evaluate(command_cfg("evaluate", best, "data.test_sequences=3", "metrics=[mae]"))
    assert (run / "results.json").read_text() == before
    other = json.loads((run / "results_best_test_test_sequences-changed.json").read_text())
    assert (list(other["metrics"]), other["data"]["sequences"]["test"]) == (["mae"], 3)
    assert json.loads((run / "results_best_val.json").read_text())["data"]["split"] == "val"


def test_evaluate_refuses_changed_data(tiny_cfg, tmp_path):
    train(tiny_cfg("translator=gsta", *SMALL_NET))
    path = tmp_path / "run/checkpoints/best.ckpt"
    saved = torch.load(path, weights_only=True)
    saved["predcnn"]["run"]["data_fingerprint"] = "0" * 64
    torch.save(saved, path)
    with pytest.raises(ValueError, match="not those of the run"):
        evaluate(command_cfg("evaluate", f"ckpt_path={path}"))


def test_predict_draws_checkpoints_side_by_side(tiny_cfg, tmp_path):
    for name in ("gsta", "vit"):
        train(tiny_cfg(f"translator={name}", *SMALL_NET, run_dir=tmp_path / name))
    paths = ",".join(f"{tmp_path}/{name}/checkpoints/best.ckpt" for name in ("gsta", "vit"))
    cfg = command_cfg(
        "predict", f"ckpt_path=[{paths}]", f"output={tmp_path}/drawn", "sequences=1", "first=1"
    )
    predict(cfg)
    drawn = {p.name: p.stat().st_size for p in (tmp_path / "drawn").iterdir()}
    assert set(drawn) == {"sequence_001.gif", "sequence_001.mp4", "sequence_001.png"}
    assert min(drawn.values()) > 500


def test_a_checkpoint_loads_in_one_line_and_predicts(tiny_cfg, tmp_path):
    train(tiny_cfg("translator=convnext", *SMALL_NET))
    predictor = load_predictor(tmp_path / "run/checkpoints/best.ckpt")
    assert not predictor.training
    assert predictor.config["translator"] == "convnext"
    assert predictor.predict(torch.rand(1, 10, 1, 32, 32), horizon=3).shape == (1, 3, 1, 32, 32)


@pytest.mark.parametrize("head", ["rollout", "direct"])
def test_four_frames_in_nine_out(tiny_cfg, tmp_path, head):
    words = ("data.frames_in=4", "data.frames_out=9", f"model.net.horizon_head={head}")
    train(tiny_cfg("translator=gsta", *SMALL_NET, *words))
    assert len(results(tmp_path / "run")["per_frame"]["mse"]) == 9
    predictor = load_predictor(tmp_path / "run/checkpoints/best.ckpt")
    assert predictor.config["horizon_head"] == head
    assert predictor.predict(torch.rand(1, 4, 1, 32, 32)).shape == (1, 9, 1, 32, 32)
    with pytest.raises(
        ValueError, match=r"frames are \(B, 4, 1, H, W\) for this predictor, not \(., 10"
    ):
        predictor.predict(torch.rand(1, 10, 1, 32, 32))


@pytest.mark.parametrize("model", ["copy_last", "mean_frame"])
def test_predictors_without_weights_are_evaluated(tiny_cfg, tmp_path, model):
    mse = train(tiny_cfg(f"model={model}", "data.height=64"))
    found = results(tmp_path / "run")
    if model == "copy_last":
        assert mse == pytest.approx(found["copy_last"]["metrics"]["mse"])
    else:
        assert mse < found["copy_last"]["metrics"]["mse"]


def command_cfg(name: str, *overrides: str):
    from hydra import compose, initialize_config_module

    with initialize_config_module("predcnn.configs", version_base="1.3"):
        return compose(name, overrides=list(overrides))
