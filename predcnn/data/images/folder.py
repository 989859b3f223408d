"""Labelled images on disk: one folder per class, or ImageNet in Kaggle's layout.

A split is a list of (path, class). Without a labelled test/, val/ is the test set and validation is
a share of every class of train/, so that a checkpoint is never chosen on test images. Images are
augmented by timm, reproducible per epoch and index.
"""

import csv
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS, is_image_file, make_dataset

from predcnn.data.draws import permutation, stream_key
from predcnn.data.images.image_files import read_image
from predcnn.data.images.options import ImageFolderOptions
from predcnn.data.processes import seed_process
from predcnn.data.sequences import Key
from predcnn.data.splits import SplitFamily

PLACES = (".", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
"""Folders under the root that may contain train/ and val/; the last two are Kaggle's."""
VALIDATION = ("val", "validation", "valid")
KAGGLE_LABELS = "LOC_val_solution.csv"
AUGMENTATION = (
    "scale", "ratio", "hflip", "color_jitter", "auto_augment", "interpolation", "re_prob",
    "re_mode", "re_count", "mean", "std",
)  # fmt: skip
"""Options that timm's ``create_transform`` takes under the same names."""


class Sample(NamedTuple):
    """An image file and the index of its class."""

    path: str
    label: int


class ImageSplit(Dataset):
    """Batches of images (B, 3, S, S), float32, normalised, with labels (B,), int64.

    A training image depends only on (seed, epoch, index).
    """

    finite = True

    def __init__(
        self, samples: Sequence[Sample], options: ImageFolderOptions, *, train: bool
    ) -> None:
        # arrays, not lists: loader processes share their memory, ImageNet has a million paths
        self._paths = np.array([os.fsencode(sample.path) for sample in samples])
        self._labels = torch.tensor([sample.label for sample in samples])
        self.train, self.seed = train, options.seed
        self.source = str(options.root)
        self.fingerprint = _fingerprint(samples, options)
        self.transform = (
            _augmentation(options)
            if train
            else create_transform(
                options.eval_size,
                interpolation=options.eval_interpolation,
                crop_pct=options.crop,  # the shorter side becomes eval_size / crop before
                mean=options.mean,
                std=options.std,
            )
        )

    def __len__(self) -> int:
        return len(self._paths)

    def batch(self, epoch: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return images and labels of ``indices`` in ``epoch``."""
        return self.__getitems__([(epoch, index) for index in indices])

    def __getitems__(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """Return a batch; torch's loader calls this method."""
        with isolate_rng(include_cuda=False):
            images = torch.stack([self._image(epoch, index) for epoch, index in keys])
        return images, self._labels[[index for _, index in keys]]

    def _image(self, epoch: int, index: int) -> Tensor:
        if self.train:
            seed_process(stream_key(self.seed, "augment", epoch, index))
        return self.transform(read_image(os.fsdecode(self._paths[index])))


class ImageFolder(SplitFamily):
    """Three splits of a folder of images; see `ImageFolderOptions`.

    Attributes:
        classes: names of the class folders, sorted; a label is an index into them.
        protocol: how the splits were made, for tables.
    """

    Options = ImageFolderOptions
    name = "image_folder"

    def __init__(self, options: ImageFolderOptions) -> None:
        super().__init__(options)
        self._place = _place(options.root)
        train = self._place / "train"
        self.classes = sorted(p.name for p in train.iterdir() if p.is_dir())
        if len(self.classes) < 2:
            raise ValueError(f"{train} needs two or more folders of images, not {self.classes}")
        self._label_of = {name: label for label, name in enumerate(self.classes)}
        self._samples, self.protocol = self._make_splits()

    def split(self, name: str) -> ImageSplit:
        """Return the split "train" (augmented), "val" or "test"."""
        return ImageSplit(self._samples[name], self.options, train=name == "train")

    def _make_splits(self) -> tuple[dict[str, list[Sample]], str]:
        train = self._labelled(self._place / "train")
        val = next((self._place / n for n in VALIDATION if (self._place / n).is_dir()), None)
        test = self._place / "test"
        has_test = test.is_dir() and any(p.is_dir() for p in test.iterdir())
        if val is None and not has_test:
            raise FileNotFoundError(
                f"{self._place} has train/ but neither val/ nor test/ with a folder per class: "
                "evaluation needs images that are not in train/"
            )
        if val is not None and has_test:
            splits = {"train": train, "val": self._evaluation(val), "test": self._labelled(test)}
            return splits, "train/, val/ and test/ as they are"
        held_out = self._labelled(test) if has_test else self._evaluation(val)
        share, seed = self.options.val_share, self.options.eval_seed
        train, validation = hold_out(train, share, seed)
        name = "test" if has_test else val.name
        how = f"test is {name}/, validation {share:g} of each class of train/ (seed {seed})"
        return {"train": train, "val": validation, "test": held_out}, how

    def _labelled(self, folder: Path) -> list[Sample]:
        """Images of a folder with one folder per class, by class and path."""
        for child in sorted(p for p in folder.iterdir() if p.is_dir()):
            if child.name not in self._label_of:
                raise ValueError(
                    f"{child} is a class that {self._place / 'train'} does not have "
                    f"({len(self.classes)} classes: {', '.join(self.classes[:5])} …)"
                )
        found = make_dataset(folder, self._label_of, is_valid_file=_is_image, allow_empty=True)
        samples = [Sample(*pair) for pair in found]
        return _not_empty(folder, sorted(samples, key=lambda sample: (sample.label, sample.path)))

    def _evaluation(self, folder: Path) -> list[Sample]:
        """val/ with a folder per class, or flat with Kaggle's table of labels."""
        if any(p.is_dir() for p in folder.iterdir()):
            return self._labelled(folder)
        tables = [place / KAGGLE_LABELS for place in (self.options.root, *self._place.parents)]
        table = next((path for path in tables if path.is_file()), None)
        if table is None:
            raise ValueError(
                f"{folder} has no folder per class, and {self.options.root} has no "
                f"{KAGGLE_LABELS}: sort the images into folders named like those of train/"
            )
        class_of, found = {}, []
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                class_of[row.get("ImageId")] = (row.get("PredictionString") or "").split(" ")[0]
        for path in sorted(filter(_is_image, map(str, folder.iterdir()))):
            name = class_of.get(Path(path).stem)
            if name not in self._label_of:
                raise ValueError(
                    f"{table} gives {path} the class {name!r}, which train/ does not have"
                )
            found.append(Sample(path, self._label_of[name]))
        return _not_empty(folder, found)


def hold_out(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into kept and held out, which get ``share`` of every class of two or more."""
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    kept, held = [], []
    for label, images in by_class.items():
        count = min(max(1, round(share * len(images))), len(images) - 1)
        chosen = set(permutation(stream_key(seed, "validation", label), len(images))[:count])
        for i, image in enumerate(images):
            (held if i in chosen else kept).append(image)
    if not held:
        raise ValueError(
            "no class of train/ has two images, so none can be held out for validation"
        )
    return kept, held


def _place(root: Path) -> Path:
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; set data.root to the folder of the images")
    for place in PLACES:
        if (root / place / "train").is_dir():
            return root / place
    there = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(
        f"{root} has no train/ with one folder per class (nor ILSVRC/Data/CLS-LOC/train); "
        f"it contains {there}"
    )


def _is_image(path: str) -> bool:
    return is_image_file(path) and not os.path.basename(path).startswith(".")


def _not_empty(folder: Path, samples: list[Sample]) -> list[Sample]:
    if not samples:
        raise ValueError(f"{folder} has no images ({', '.join(IMG_EXTENSIONS)})")
    return samples


def _augmentation(options: ImageFolderOptions) -> Callable[[Image.Image], Tensor]:
    """Create timm's augmentation: crop, flip, colours, RandAugment or 3-Augment, erasing."""
    try:
        return create_transform(
            options.image_size,
            is_training=True,
            train_crop_mode=options.crop_mode,
            **{name: getattr(options, name) for name in AUGMENTATION},
        )
    except (AssertionError, KeyError, ValueError) as error:
        raise ValueError(
            f"data.auto_augment={options.auto_augment!r} is not an augmentation of timm ({error}); "
            "accepted e.g. rand-m9-mstd0.5-inc1, 3a, augmix-m5, original"
        ) from error


def _fingerprint(samples: Sequence[Sample], options: ImageFolderOptions) -> str:
    """SHA-256 over the options except the root, and the relative path, size and label of images."""
    state = hashlib.sha256()
    settings = {k: v for k, v in vars(options).items() if k not in ("root", "seed")}
    state.update(repr(sorted(settings.items())).encode())
    for sample in samples:
        place, size = os.path.relpath(sample.path, options.root), os.stat(sample.path).st_size
        state.update(os.fsencode(f"{place}\0{size}\0{sample.label}\n"))
    return state.hexdigest()
