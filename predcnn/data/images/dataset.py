"""One split of a folder of images: decoded, augmented by timm, reproducible per epoch and index."""

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
from predcnn.data.images.options import ImageFolderOptions
from predcnn.data.images.pictures import read_image
from predcnn.data.sequences import Key
from predcnn.data.streams import seed_process

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
        self,
        samples: Sequence[Sample],
        options: ImageFolderOptions,
        *,
        train: bool,
        source: str,
        fingerprint: str,
    ) -> None:
        # arrays, not lists: loader processes share their memory, ImageNet has a million paths
        self._paths = np.array([os.fsencode(sample.path) for sample in samples])
        self._labels = torch.tensor([sample.label for sample in samples])
        self.train = train
        self.seed = options.seed
        self.source, self.fingerprint = source, fingerprint
        self.transform = training_transform(options) if train else evaluation_transform(options)

    def __len__(self) -> int:
        return len(self._paths)

    def batch(self, epoch: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return images and labels of ``indices`` in ``epoch``."""
        return self.__getitems__([(epoch, index) for index in indices])

    def __getitem__(self, key: int | Key) -> tuple[Tensor, Tensor]:
        """Return one image (3, S, S) and its label; an index alone means epoch 0."""
        images, labels = self.__getitems__([(0, key) if isinstance(key, int) else key])
        return images[0], labels[0]

    def __getitems__(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """Return a batch; torch's loader calls this method."""
        with isolate_rng(include_cuda=False):
            images = torch.stack([self._image(epoch, index) for epoch, index in keys])
        return images, self._labels[[index for _, index in keys]]

    def _image(self, epoch: int, index: int) -> Tensor:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} asked for, there are 0..{len(self) - 1}")
        if self.train:
            seed_process(stream_key(self.seed, "augment", epoch, index))
        return self.transform(read_image(os.fsdecode(self._paths[index])))


def training_transform(options: ImageFolderOptions) -> Callable[[Image.Image], Tensor]:
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
            f"data.auto_augment={options.auto_augment!r} is no augmentation of timm ({error}); "
            "accepted e.g. rand-m9-mstd0.5-inc1, 3a, augmix-m5, original"
        ) from error


def evaluation_transform(options: ImageFolderOptions) -> Callable[[Image.Image], Tensor]:
    """Resize the shorter side to eval_size / crop, then crop the centre."""
    return create_transform(
        options.eval_size,
        is_training=False,
        interpolation=options.eval_interpolation,
        crop_pct=options.crop,
        mean=options.mean,
        std=options.std,
    )
