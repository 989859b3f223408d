"""One split of a folder of images: decoded, augmented by timm, reproducible per epoch and index."""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import Dataset

from predcnn.data.draws import stream_key
from predcnn.data.images.image_files import read_image
from predcnn.data.images.options import ImageFolderOptions
from predcnn.data.processes import seed_process
from predcnn.data.sequences import Key

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
