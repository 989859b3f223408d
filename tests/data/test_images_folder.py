"""Folders of labelled images: layouts, splits, and reproducible augmentation."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from predcnn.data import create_image_datamodule
from predcnn.data.images.folder import Sample, hold_out
from tests.data.labelled_images import COLOURS, write_images

SMALL = {"image_size": 16, "batch_size": 4, "num_workers": 0}
STRONG = {"auto_augment": "rand-m9-mstd0.5-inc1", "re_prob": 0.5, "seed": 3}


def lengths(datamodule) -> list[int]:
    return [len(datamodule.split(name)) for name in ("train", "val", "test")]


def test_three_folders_are_the_three_splits(tmp_path):
    write_images(tmp_path, {"train": 4, "val": 2, "test": 1})
    datamodule = create_image_datamodule(root=tmp_path, **SMALL)
    assert lengths(datamodule) == [12, 6, 3]
    assert datamodule.classes == sorted(COLOURS)
    assert datamodule.protocol == "train/, val/ and test/ as they are"


def test_without_a_test_folder_val_is_the_test_set(tmp_path):
    write_images(tmp_path, {"train": 10, "val": 2})
    datamodule = create_image_datamodule(root=tmp_path, val_share=0.2, **SMALL)
    assert lengths(datamodule) == [24, 6, 6]
    assert "test is val/, validation 0.2 of each class" in datamodule.protocol
    train, val = (set(datamodule.split(name)._paths.tolist()) for name in ("train", "val"))
    assert not train & val
    assert all(b"/train/" in path for path in val)
    assert torch.bincount(datamodule.split("val")._labels).tolist() == [2, 2, 2]
    again = create_image_datamodule(root=tmp_path, val_share=0.2, **{**SMALL, "seed": 9})
    assert set(again.split("val")._paths.tolist()) == val  # independent of the run's seed
    other = create_image_datamodule(root=tmp_path, val_share=0.2, eval_seed=1, **SMALL)
    assert set(other.split("val")._paths.tolist()) != val


def test_a_class_of_one_image_is_not_held_out():
    samples = [Sample("a", 0), Sample("b", 1), Sample("c", 1)]
    kept, held = hold_out(samples, 0.9, seed=0)
    assert Sample("a", 0) in kept
    assert len(held) == 1
    with pytest.raises(ValueError, match="two images"):
        hold_out(samples[:1], 0.5, seed=0)


def test_kaggle_imagenet_is_found_with_its_table(tmp_path):
    place = tmp_path / "ILSVRC/Data/CLS-LOC"
    write_images(place, {"train": 3})
    for split in ("val", "test"):  # flat; test has no labels
        (place / split).mkdir()
        Image.new("RGB", (20, 20)).save(place / split / "ILSVRC2012_1.JPEG")
    table = "ImageId,PredictionString\nILSVRC2012_1,red 1 2 3 4\n"
    with pytest.raises(ValueError, match=r"LOC_val_solution\.csv"):
        create_image_datamodule(root=tmp_path, **SMALL)
    (tmp_path / "LOC_val_solution.csv").write_text(table)
    datamodule = create_image_datamodule(root=tmp_path, **SMALL)
    assert lengths(datamodule) == [6, 3, 1]
    assert datamodule.split("test")._labels.tolist() == [datamodule.classes.index("red")]


def test_wrong_folders_and_options_are_errors(tmp_path):
    def error(kind, match, **options):
        with pytest.raises(kind, match=match):
            create_image_datamodule(**{"root": tmp_path / "a", **SMALL, **options})

    error(FileNotFoundError, "no folder")
    (tmp_path / "a").mkdir()
    error(FileNotFoundError, "has no train/.*contains nothing")
    (tmp_path / "a/train").mkdir()
    error(ValueError, "needs two or more folders")
    write_images(tmp_path / "a", {"train": 1})
    error(FileNotFoundError, "neither val/ nor test/")
    (tmp_path / "a/val/purple").mkdir(parents=True)
    error(ValueError, "purple is a class that")
    (tmp_path / "a/val/purple").rename(tmp_path / "a/val/red")
    error(ValueError, "val has no images")
    error(TypeError, r"did you mean data\.image_size", image_siz=3)
    error(ValueError, "at least 1", image_size=0)
    error(ValueError, "above 0", crop=0)
    error(ValueError, "rising", scale=[1.0, 0.1])
    error(ValueError, "did you mean bicubic", interpolation="bicubik")
    error(ValueError, "data.name", name="image_foldr")


def test_a_damaged_image_is_an_error_with_its_path(tmp_path):
    write_images(tmp_path, {"train": 2, "val": 2, "test": 1})
    (tmp_path / "val/red/000.png").write_bytes(b"\x89PNG not an image")
    dataset = create_image_datamodule(root=tmp_path, **SMALL).split("val")
    with pytest.raises(ValueError, match=r"val/red/000\.png cannot be read"):
        dataset.batch(0, range(len(dataset)))


def test_a_wrong_augmentation_is_refused(tmp_path):
    write_images(tmp_path, {"train": 2, "val": 2, "test": 1})
    datamodule = create_image_datamodule(root=tmp_path, auto_augment="rnd-m9", **SMALL)
    with pytest.raises(ValueError, match="rnd-m9"):
        datamodule.split("train")


def test_a_training_image_depends_only_on_seed_epoch_and_index(tmp_path):
    write_images(tmp_path, {"train": 4, "val": 1, "test": 1})
    one = create_image_datamodule(root=tmp_path, **SMALL, **STRONG).split("train")
    two = create_image_datamodule(root=tmp_path, **SMALL, **STRONG).split("train")
    images, labels = one.batch(1, [5, 2])
    random.seed(99)
    assert torch.equal(two.batch(1, [2])[0][0], images[1])
    assert labels.tolist() == one._labels[[5, 2]].tolist()
    assert not torch.equal(one.batch(2, [2])[0][0], images[1])
    other = create_image_datamodule(root=tmp_path, **SMALL, **{**STRONG, "seed": 4})
    assert not torch.equal(other.split("train").batch(1, [2])[0][0], images[1])


def test_loading_does_not_change_global_generators(tmp_path):
    write_images(tmp_path, {"train": 4, "val": 1, "test": 1})
    dataset = create_image_datamodule(root=tmp_path, **SMALL, **STRONG).split("train")

    def draws() -> tuple:
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(5)
        return random.random, np.random.random, lambda: float(torch.rand(()))

    expected = [draw() for draw in draws()]
    ready = draws()
    dataset.batch(0, [0, 1])
    assert [draw() for draw in ready] == expected


def test_evaluation_crops_the_centre_and_normalises(tmp_path):
    write_images(tmp_path, {"train": 1, "val": 1, "test": 1})
    Image.new("RGB", (60, 40), (255, 0, 0)).save(tmp_path / "val/red/000.png")
    options = {**SMALL, "image_size": 8, "eval_size": 20, "mean": [0.5] * 3, "std": [0.25] * 3}
    datamodule = create_image_datamodule(root=tmp_path, **options)
    assert datamodule.in_shape == (3, 20, 20)
    images, labels = datamodule.split("val").batch(0, [2])
    assert images.shape == (1, 3, 20, 20)
    assert labels.tolist() == [2]
    assert torch.allclose(images[0].mean((1, 2)), torch.tensor([2.0, -2.0, -2.0]))


def test_the_fingerprint_covers_files_and_options(tmp_path):
    write_images(tmp_path, {"train": 2, "val": 1, "test": 1})

    def fingerprint(**options) -> str:
        return create_image_datamodule(root=tmp_path, **SMALL, **options).fingerprint

    first = fingerprint()
    assert fingerprint(seed=7) == first
    assert fingerprint(crop=0.9) != first
    (tmp_path / "train/red/001.png").rename(tmp_path / "train/red/002.png")
    assert fingerprint() != first
