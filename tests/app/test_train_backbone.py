"""A classifier is trained like a predictor: one run, resumed, evaluated again, loaded back."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

import predcnn
from predcnn.app.evaluate import evaluate
from predcnn.app.train_backbone import train_backbone
from tests.app.interruption import assert_same, final_state, train_and_kill
from tests.app.test_train import command_cfg, results
from tests.data.labelled_images import COLOURS, write_images

TINY = (
    "backbone=van_b0",
    "+backbone_options.dims=[8,8,8,8]",
    "+backbone_options.depths=[1,1,1,1]",
    "drop_path=0.2",
    "data.image_size=32",
    "data.batch_size=4",
    "data.auto_augment=rand-m7-mstd0.5-inc1",
    "data.re_prob=0.25",
    "mixing.mixup_alpha=0.2",
    "mixing.cutmix_alpha=1.0",
    "layer_decay=0.8",
    "data.num_workers=0",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
    "keep_memory=false",
)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, {"train": 6, "val": 2})
    return folder


def cfg_of(run_dir, images, *words: str):
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        overrides = [*TINY, f"data.root={images}", f"run_dir={run_dir}", *words]
        return compose("train_backbone", overrides=overrides)


def test_a_run_writes_its_files_and_is_evaluated_again(tmp_path, images):
    run = tmp_path / "run"
    top1 = train_backbone(cfg_of(run, images, "loss=bce", "optimizer=lamb"))
    for name in ("config.yaml", "run.json", "environment.json", "metrics.csv", "curves.png"):
        assert (run / name).stat().st_size > 0, name
    found = results(run)
    assert found["task"] == "classification"
    assert found["metrics"]["top1"] == top1
    assert set(found["metrics"]) == {"top1", "loss"} == set(found["definitions"])  # three classes
    assert found["data"]["images"] == {"train": 15, "val": 3, "test": 6}
    assert "test is val/" in found["data"]["protocol"]
    assert found["params"] > 0
    assert found["macs"] > 0
    assert found["checkpoint"]["step"] in (3, 6)

    best = run / "checkpoints/best.ckpt"
    evaluate(command_cfg("evaluate", f"ckpt_path={best}", f"output={tmp_path}/again"))
    again = results(tmp_path / "again")
    for key in ("metrics", "model", "params", "macs", "data", "config_fingerprint"):
        assert again[key] == found[key], key
    net = predcnn.load_backbone(best)
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, len(COLOURS))
    with pytest.raises(ValueError, match="load_backbone"):
        predcnn.load_predictor(best)
    with pytest.raises(ValueError, match="this is a classifier"):
        evaluate(command_cfg("evaluate", f"ckpt_path={best}", "metrics=[mse]"))

    saved = torch.load(best, weights_only=True)
    saved["predcnn"]["config"]["name"] = "antigravity.Net"
    torch.save(saved, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="not a backbone of this package"):
        predcnn.load_backbone(tmp_path / "evil.ckpt")
    saved["predcnn"]["config"].update(name="timm/resnet18", checkpoint_path="evil.pth")
    torch.save(saved, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="checkpoint_path"):
        predcnn.load_backbone(tmp_path / "evil.ckpt")


def test_the_metrics_are_those_of_the_logits(tmp_path, images):
    run = tmp_path / "run"
    train_backbone(cfg_of(run, images))
    net = predcnn.load_backbone(run / "checkpoints/best.ckpt").to(memory_format=torch.channels_last)
    from predcnn.data import create_image_datamodule

    test = create_image_datamodule(root=images, image_size=32).split("test")
    images, labels = test.batch(0, range(len(test)))
    with torch.no_grad():
        logits = net(images).numpy()
    hits = 100 * np.mean(logits.argmax(1) == labels.numpy())
    shifted = logits - logits.max(1, keepdims=True)
    chances = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    loss = -np.mean(chances[np.arange(len(labels)), labels.numpy()])
    found = results(run)["metrics"]
    assert found["top1"] == pytest.approx(hits, abs=1e-4)
    assert found["loss"] == pytest.approx(loss, rel=1e-4)


def test_resumed_equals_uninterrupted(tmp_path, images, monkeypatch):
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    train_backbone(cfg_of(whole, images, "ema=0.9"))
    train_and_kill(cfg_of(cut, images, "ema=0.9"), 4, monkeypatch, train_backbone)
    train_backbone(cfg_of(tmp_path / "cut/other", images, "ema=0.9", "resume=true"))
    assert_same(final_state(whole), final_state(cut))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backbone=moganet_tinny"], "did you mean moganet_tiny"),
        (["data.batch_size=3"], "even number"),
        (["+backbone_options.pretrained=true"], "not an option of a classifier"),
        (["data.root=nowhere"], "no folder nowhere"),
        (["layer_decay=3"], "layer_decay is a factor"),
        (["callbacks.checkpoint.monitor=val/top2"], "val/top1"),
        (["trainer.max_epochs=-1"], "number of steps"),
    ],
)
def test_wrong_overrides_are_errors(tmp_path, images, words, message):
    with pytest.raises(Exception, match=message):
        train_backbone(cfg_of(tmp_path / "run", images, *words))


def test_colours_are_learned(tmp_path, images):
    plain = ("mixing.mixup_alpha=0", "mixing.cutmix_alpha=0", "data.auto_augment=null")
    words = ("data.re_prob=0", "drop_path=0", "trainer.max_epochs=12", "optimizer.lr=0.01")
    jitter = ("data.color_jitter=0", "layer_decay=null", "data.val_share=0.2")
    top1 = train_backbone(cfg_of(tmp_path / "run", images, *plain, *words, *jitter))
    assert top1 == 100.0
    assert json.loads((tmp_path / "run/run.json").read_text())["finished"]
