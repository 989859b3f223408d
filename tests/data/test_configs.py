"""Configs of the data sets: every key is an option, and variants list only differences."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from predcnn.data import SETS, create_datamodule

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = ("moving_mnist", "mmnist_cifar", "moving_fmnist")


def _data(name: str, *overrides: str):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = [f"data={name}", "seed=7", *(f"data.{override}" for override in overrides)]
        return compose("prepare_data", overrides).data


@pytest.mark.parametrize("name", NAMES)
def test_a_config_instantiates_its_data_module(name: str) -> None:
    module = instantiate(_data(name))
    channels = 3 if name == "mmnist_cifar" else 1
    assert module.family.name == name
    assert module.in_shape == (10, channels, 64, 64)
    assert module.family.options.seed == 7
    assert name in SETS
    assert (CONFIGS / "data" / f"{name}.yaml").is_file()


@pytest.mark.parametrize("name", ["moving_mnist", "video_folder"])
def test_config_keys_equal_options(name: str) -> None:
    named = inspect.signature(create_datamodule).parameters
    accepted = {*named, *(field.name for field in fields(SETS[name].Options))} - {"options"}
    assert {key for key in _data(name) if not key.startswith("_")} == accepted


def test_the_folder_of_clips_is_required() -> None:
    assert OmegaConf.missing_keys(_data("video_folder")) == {"data.root"}
    module = instantiate(_data("video_folder", "root=clips", "channels=1", "frames_in=4"))
    assert module.in_shape == (4, 1, 64, 64)


def test_in_shape_follows_from_the_other_sizes() -> None:
    module = instantiate(_data("mmnist_cifar", "height=48", "frames_in=4", "digits=[1,2]"))
    assert module.in_shape == (4, 3, 48, 48)
    assert module.family.options.digits == (1, 2)
    assert instantiate(_data("moving_mnist", "height=48", "width=80")).in_shape == (10, 1, 48, 80)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_variant_config_lists_only_differences(name: str) -> None:
    lines = (CONFIGS / "data" / f"{name}.yaml").read_text().splitlines()
    keys = {line.split(":")[0] for line in lines if line and not line.startswith("#")}
    assert keys <= {"defaults", "name", "in_shape"}
