"""Pre-train on a folder, look at it, fine-tune from it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from predcnn.app.pretrain_backbone import pretrain_backbone
from predcnn.app.saved_run import task_name
from predcnn.app.train_backbone import train_backbone
from predcnn.weights.files import read_safetensors
from tests.app.interruption import assert_same, final_state, train_and_kill

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECIPES = sorted(path.stem for path in (CONFIGS / "experiment" / "pretraining").glob("*.yaml"))
TINY = [
    "backbone=van_b0",
    "+backbone_options={dims:[8,16,24,32],depths:[1,1,1,1]}",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
    "keep_memory=false",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Noise images: eight of two classes for training, four for the rest."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for name in ("cat", "dog"):
            place = root / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return root


def composed(name: str, *words: str) -> DictConfig:
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        return compose(name, overrides=list(words))


@pytest.mark.parametrize(("method", "width"), [("a2mim", None), ("spark", 64)])
def test_a_run_leaves_weights_images_and_numbers_to_fine_tune_from(method, width, folder, tmp_path):
    words = [*TINY, f"data.root={folder}", f"run_dir={tmp_path / 'pre'}", f"method={method}"]
    loss = pretrain_backbone(
        composed("pretrain_backbone", *words, *([f"method.width={width}"] if width else []))
    )
    results = json.loads((tmp_path / "pre" / "results.json").read_text())
    assert results["metrics"] == {"loss": pytest.approx(loss)}
    assert results["model"]["method"]["name"] == method
    with Image.open(tmp_path / "pre" / "reconstructions.png") as picture:
        assert picture.width > 3 * 3 * 64
    weights = tmp_path / "pre" / "backbone.safetensors"
    kept = torch.load(tmp_path / "pre" / "checkpoints" / "best.ckpt", weights_only=True)
    for key, tensor in read_safetensors(weights)[1].items():
        assert torch.equal(tensor, kept["state_dict"][f"method.encoder.backbone.{key}"])
    with pytest.raises(ValueError, match="a checkpoint of masked_images"):
        task_name(str(tmp_path / "pre" / "checkpoints" / "best.ckpt"), ["prediction"])
    words = [*TINY, f"data.root={folder}", f"run_dir={tmp_path / 'fine'}", f"weights={weights}"]
    assert 0 <= train_backbone(composed("train_backbone", *words, "optimizer.lr=0")) <= 100
    tuned = torch.load(tmp_path / "fine" / "checkpoints" / "last.ckpt", weights_only=True)
    key = "stages.3.blocks.0.mlp.fc1.weight"
    assert torch.equal(tuned["state_dict"][f"model.{key}"], read_safetensors(weights)[1][key])


def test_resumed_equals_uninterrupted(folder, tmp_path, monkeypatch):
    def cfg(run: Path, *more: str) -> DictConfig:
        callbacks = ["callbacks=[default,weight_decay,sparse_mask]"]
        callbacks += ["callbacks.sparse_mask.update_every=1"]
        length = [f"data.root={folder}", "data.batch_size=2", "trainer.max_epochs=2"]
        words = [*TINY, *callbacks, *length, f"run_dir={run}", *more]
        return composed("pretrain_backbone", *words)

    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    pretrain_backbone(cfg(whole))
    train_and_kill(cfg(cut), 4, monkeypatch, pretrain_backbone)
    pretrain_backbone(cfg(tmp_path / "cut/other", "resume=true"))
    assert_same(final_state(whole), final_state(cut))


def test_evaluation_at_another_size_is_refused(folder, tmp_path):
    words = [*TINY, f"data.root={folder}", f"run_dir={tmp_path}", "data.eval_size=96"]
    with pytest.raises(ValueError, match=r"data.eval_size=96 must be data.image_size=64"):
        pretrain_backbone(composed("pretrain_backbone", *words))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_composes(recipe):
    words = ["data.root=x", "run_dir=y", f"experiment=pretraining/{recipe}"]
    cfg = composed("pretrain_backbone", *words)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert cfg.method.name == recipe.split("_")[0]
