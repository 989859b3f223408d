"""Pre-train a predictor on masked frames, go on from it to prediction."""

import json

import pytest
import torch
from PIL import Image

from predcnn import load_predictor
from predcnn.app.saved_run import task_name
from predcnn.app.train import train
from predcnn.weights.files import KeyMismatchError
from tests.app.interruption import assert_same, final_state, train_and_kill

NET = ("translator=van", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


@pytest.mark.slow
def test_a_predictor_learns_from_masked_frames_and_then_to_predict(tiny_cfg, tmp_path, capsys):
    pre = tmp_path / "pre"
    loss = train(tiny_cfg(*NET, "objective=masked_frames", run_dir=pre))
    results = json.loads((pre / "results.json").read_text())
    assert results["task"] == "masked_frames"
    assert results["metrics"] == {"loss": pytest.approx(loss)}
    with Image.open(pre / "reconstructions.png") as picture:
        assert picture.width > 3 * 3 * 32
    weights = load_predictor(pre / "predictor.safetensors").state_dict()
    kept = torch.load(pre / "checkpoints/best.ckpt", weights_only=True)
    for key, tensor in weights.items():
        assert torch.equal(tensor, kept["state_dict"][f"method.predictor.{key}"])

    words = (f"weights={pre}/predictor.safetensors", "optimizer.lr=0")
    train(tiny_cfg(*NET, *words, run_dir=tmp_path / "fine"))
    assert "starts from" in capsys.readouterr().out
    tuned = load_predictor(tmp_path / "fine/checkpoints/best.ckpt").state_dict()
    key = "encoder.layers.0.conv.weight"
    assert torch.equal(tuned[key], weights[key])

    with pytest.raises(ValueError, match=r"predictor\.safetensors"):
        train(tiny_cfg(*NET, f"weights={pre}/checkpoints/best.ckpt"))
    with pytest.raises(ValueError, match="a checkpoint of masked_frames"):
        task_name(f"{pre}/checkpoints/best.ckpt", ["prediction"])
    with pytest.raises(KeyMismatchError, match="does not fit SimVP"):
        train(tiny_cfg(*NET, words[0], "model.net.N_T=3"))


@pytest.mark.slow
def test_resumed_equals_uninterrupted(tiny_cfg, tmp_path, monkeypatch):
    words = (*NET, "objective=masked_frames")
    whole, cut = (tiny_cfg(*words, run_dir=tmp_path / name) for name in ("whole", "cut"))
    train(whole)
    train_and_kill(cut, 1, monkeypatch)
    cut.resume = True
    train(cut)
    assert_same(*(final_state(tmp_path / name) for name in ("cut", "whole")))
