"""The command: every kind for image networks and for predictors, figures and numbers on disk."""

import json
import sys

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from PIL import Image

import predcnn
from predcnn.app import cli
from predcnn.app.analyze import analyze
from predcnn.app.train import train
from predcnn.predictors.checkpoint import save_predictor

BACKBONES = "models=[moganet_xtiny,timm/resnet10t]"
FEW = ("interactions.pairs=2", "interactions.contexts=2", "interactions.images=1",
       "interactions.grid=4", "interactions.ratios=[0,0.5,1]")  # fmt: skip
PICTURES = {
    "erf": {"erf.png"},
    "interactions": {"interactions.png"},
    "gradcam": {"gradcam.png"},
    "channels": {"channels.png"},
}


def analysed(folder, *words):
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("analyze", overrides=[f"output={folder}", "count=1", "size=64", *words])
    analyze(cfg)
    return json.loads((folder / f"{cfg.kind}.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of one step, and an untrained network of another block for the same data."""
    folder = tmp_path_factory.mktemp("predictors")
    words = [
        "data.source=embedded",
        "data.height=32",
        "data.train_sequences=2",
        "data.val_sequences=2",
        "data.test_sequences=2",
        "data.batch_size=2",
        "trainer.max_steps=1",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        "callbacks.drawing=null",
        "keep_memory=false",
        "translator=van",
        "model.net.hid_S=4",
        "model.net.hid_T=8",
        "model.net.N_T=2",
    ]
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train", overrides=[*words, f"run_dir={folder}/run"])
    train(cfg)
    checkpoint = folder / "run/checkpoints/best.ckpt"
    config = dict(predcnn.load_predictor(checkpoint).config)
    other = predcnn.create_predictor(config.pop("name"), **{**config, "translator": "gsta"})
    run = torch.load(checkpoint, weights_only=True)["predcnn"]["run"]
    file = save_predictor(other, folder / "other.safetensors", run={**run, "name": "untrained"})
    return f"models=[{checkpoint},{file}]"


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_image_networks_side_by_side(tmp_path, kind):
    found = analysed(tmp_path, f"kind={kind}", BACKBONES, *FEW)
    assert {path.name for path in tmp_path.iterdir()} == PICTURES[kind] | {f"{kind}.json"}
    assert set(found["models"]) == {"moganet_xtiny", "resnet10t"}
    assert all(model["weights"] == "untrained" for model in found["models"].values())
    assert found["inputs"]["source"] == "photographs of scikit-image, 64x64"
    assert found["definition"]


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_predictors_side_by_side(tmp_path, trained, kind):
    found = analysed(tmp_path, f"kind={kind}", trained, "leads=[10]", *FEW)
    more = {"erf_frames.png", "erf_simvp-van.png", "erf_untrained.png"} if kind == "erf" else set()
    assert {p.name for p in tmp_path.iterdir()} == PICTURES[kind] | more | {f"{kind}.json"}
    model = found["models"]["simvp_van"]
    assert model["outputs"] == ["+10"]
    assert found["inputs"]["source"].startswith("moving_mnist test")
    if kind == "erf":
        assert len(model["erf"]["+10"]["frame_shares"]) == 10
        assert sum(model["erf"]["+10"]["frame_shares"]) == pytest.approx(1)
    if kind == "interactions":
        assert np.mean(model["interactions"]["+10"]["J"]) == pytest.approx(1)


@pytest.mark.parametrize("ending", ["pdf", "svg"])
def test_figures_in_vector_formats(tmp_path, ending):
    found = analysed(tmp_path, "kind=erf", "models=van_b0", f"format={ending}")
    assert found["pictures"] == [f"erf.{ending}"]
    start = (tmp_path / f"erf.{ending}").read_bytes()[:5]
    assert start == {"pdf": b"%PDF-", "svg": b"<?xml"}[ending]


def test_shape_bias_of_a_folder(tmp_path):
    for i, name in enumerate(("cat1-dog1", "dog2-car3", "car1-car2")):
        Image.fromarray(np.full((70, 64, 3), 60 * i, np.uint8)).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    found = analysed(out, "kind=shape_bias", BACKBONES, f"stimuli={tmp_path}", "batch_size=1")
    table = found["models"]["resnet10t"]["shape_bias"]
    assert table["all"]["pictures"] == 2
    assert (out / "shape_bias.png").exists()


def test_a_classifier_comes_back_from_its_checkpoint(tmp_path):
    net = predcnn.create_backbone("moganet_xtiny", num_classes=7)
    about = {"task": "classification", "run": {},
             "config": {"name": "moganet_xtiny", "num_classes": 7}}  # fmt: skip
    state = {f"model.{key}": value for key, value in net.state_dict().items()}
    torch.save({"predcnn": about, "state_dict": state}, tmp_path / "best.ckpt")
    found = analysed(tmp_path / "o", "kind=gradcam", f"models={tmp_path}/best.ckpt")
    (decision,) = found["models"]["moganet_xtiny"]["decisions"]
    assert decision["class"] < 7
    assert decision["name"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["kind=erff", "model=van_b0"], "accepted: erf, interactions, gradcam, channels"),
        (["kind=erf", "model=van_b0", "format=jpg"], "accepted: png, pdf, svg"),
        (["kind=erf"], "models has no default"),
        (["kind=erf", "model=moganet_tinny"], "did you mean moganet_tiny"),
        (["kind=erf", "model=missing.ckpt"], "no file missing.ckpt"),
        (["kind=erf", "model=[van_b0,van_b1]", "weights=[a]"], "2 networks, 1 files"),
        (["kind=erf", "model=van_b0", "images=nowhere"], "nowhere has no images"),
        (["kind=gradcam", "model=van_b0", "layer=stages.9"], "did you mean stages."),
        (["kind=interactions", "model=van_b0", "interactions.preset=x"], "cifar10, imagenet, cpu"),
        (["kind=shape_bias", "model=van_b0"], "stimuli=…"),
    ],
)  # fmt: skip
def test_wrong_overrides_get_one_sentence(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    argv = ["analyze.py", "size=64", "count=1", *words, "output=out"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as stop:
        cli.run("analyze")
    assert message in str(stop.value.code)
    assert "Traceback" not in stop.value.code


def test_a_run_directory_stands_for_its_best_checkpoint(tmp_path, trained):
    checkpoint = trained.removeprefix("models=[").split(",")[0]
    run = checkpoint.removesuffix("/checkpoints/best.ckpt")
    found = analysed(tmp_path, "kind=channels", f"models={run}", "leads=[10]")
    assert found["models"]["simvp_van"]["weights"] == checkpoint


def test_image_networks_and_predictors_do_not_share_a_figure(tmp_path, trained):
    mixed = trained.replace("models=[", "models=[van_b0,")
    with pytest.raises(ValueError, match="not both"):
        analysed(tmp_path, "kind=erf", mixed)
    with pytest.raises(ValueError, match="needs a classifier"):
        analysed(tmp_path, "kind=shape_bias", trained)
    with pytest.raises(ValueError, match="lead times 1 to 10"):
        analysed(tmp_path, "kind=erf", trained, "leads=[11]")
