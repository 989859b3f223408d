"""The configuration of classifiers: every file composes, and the recipes are the published ones."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from predcnn.data.images.options import ImageFolderOptions

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
RECIPES = sorted(path.stem for path in (CONFIGS / "experiment/imagenet").glob("*.yaml"))
LOSSES = sorted(path.stem for path in (CONFIGS / "loss").glob("*.yaml"))

# Published (MogaNet's repository): drop-path, weight decay, RandAugment, Mixup, EMA, batch.
MOGANET = {
    "xtiny": (0.05, 0.03, 7, 0.1, None, 1024),
    "tiny": (0.1, 0.04, 7, 0.1, None, 1024),
    "small": (0.1, 0.05, 9, 0.8, 0.9999, 1024),
    "base": (0.2, 0.05, 9, 0.8, 0.9999, 1024),
    "large": (0.3, 0.05, 9, 0.8, 0.9999, 1024),
    "xlarge": (0.4, 0.05, 9, 0.8, 0.9999, 512),
}


def composed(*words: str) -> DictConfig:
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train_backbone", overrides=[*words, "data.root=x", "run_dir=run"])
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return cfg


def global_batch(cfg: DictConfig) -> int:
    return cfg.data.batch_size * cfg.trainer.devices


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("backbone", ["moganet_tiny", "timm/resnet50.a1_in1k"])
def test_every_recipe_composes_for_every_backbone(recipe, backbone):
    cfg = composed(f"experiment=imagenet/{recipe}", f"backbone={backbone}")
    instantiate(cfg.loss)
    assert instantiate(cfg.optimizer).keywords["lr"] == cfg.optimizer.lr


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_composes(loss):
    instantiate(composed(f"loss={loss}").loss)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "lamb"])
def test_every_optimizer_gets_the_rate_of_the_run_and_saves_plain_data(optimizer, tmp_path):
    weight = torch.ones(2, requires_grad=True)
    cfg = composed(f"optimizer={optimizer}", "optimizer.lr=0.3")
    made = instantiate(cfg.optimizer)([weight])
    assert made.param_groups[0]["lr"] == 0.3
    weight.sum().backward()
    made.step()
    torch.save(made.state_dict(), tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)


def test_the_data_file_lists_every_option():
    loader = {"_target_", "_convert_", "name"}
    loader |= {"batch_size", "eval_batch_size", "num_workers", "pin_memory"}
    assert set(composed().data) - loader == set(ImageFolderOptions.__dataclass_fields__)


@pytest.mark.parametrize("size", MOGANET)
def test_moganet_300_epochs(size):
    cfg = composed("experiment=imagenet/moganet_300ep", f"backbone=moganet_{size}")
    drop_path, weight_decay, magnitude, mixup, ema, batch = MOGANET[size]
    assert (cfg.drop_path, cfg.optimizer.weight_decay, cfg.ema) == (drop_path, weight_decay, ema)
    assert cfg.data.auto_augment == f"rand-m{magnitude}-mstd0.5-inc1"
    assert (cfg.mixing.mixup_alpha, cfg.mixing.cutmix_alpha) == (mixup, 1.0)
    assert global_batch(cfg) == batch
    assert (cfg.optimizer._target_, cfg.optimizer.lr) == ("torch.optim.AdamW", 1e-3)
    assert (cfg.loss.label_smoothing, cfg.data.re_prob, cfg.data.crop) == (0.1, 0.25, 0.9)
    lr, schedule = cfg.optimizer.lr, cfg.scheduler
    last = 1e-6 if size in ("xtiny", "tiny") else 1e-5
    assert lr * schedule.min_factor == pytest.approx(last)
    assert lr * schedule.start_factor == pytest.approx(1e-5)
    assert (schedule.warmup, schedule.cooldown, cfg.trainer.max_epochs) == (
        "5/310",
        "10/310",
        310,
    )


def test_the_refined_settings():
    cfg = composed("experiment=imagenet/moganet_refined", "backbone=moganet_xtiny")
    assert (cfg.optimizer.lr, cfg.scheduler.warmup, cfg.data.auto_augment) == (2e-3, "20/310", "3a")
    assert cfg.optimizer.lr * cfg.scheduler.min_factor == pytest.approx(1e-6)
    assert (cfg.drop_path, cfg.optimizer.weight_decay) == (0.05, 0.03)


def test_rsb_a3():
    cfg = composed("experiment=imagenet/rsb_a3")
    assert (cfg.data.image_size, cfg.data.eval_size, cfg.data.crop) == (160, 224, 0.95)
    assert (cfg.optimizer._target_, cfg.optimizer.lr) == ("timm.optim.Lamb", 8e-3)
    assert (global_batch(cfg), cfg.trainer.max_epochs) == (2048, 100)
    assert cfg.loss._target_ == "timm.loss.BinaryCrossEntropy"
    assert (cfg.mixing.mixup_alpha, cfg.mixing.cutmix_alpha) == (0.1, 1.0)
    assert cfg.data.auto_augment.startswith("rand-m6-")
