"""Options of a folder of labelled images, and their checks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from predcnn.checks import one_of
from predcnn.data.options import ROOT, SHARE, check_options, number

INTERPOLATIONS = ("random", "bilinear", "bicubic")
CROP_MODES = ("rrc", "rkrc", "rkrr")
ERASING = ("const", "rand", "pixel")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageFolderOptions:
    """Options of a folder of images; ``configs/data/image_folder.yaml`` explains each."""

    root: str | Path = ROOT
    image_size: int = 224
    eval_size: int | None = None
    crop: float = 0.875
    val_share: float = 0.1
    crop_mode: str = "rrc"
    scale: Sequence[float] = (0.08, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)
    hflip: float = 0.5
    color_jitter: float | None = 0.4
    auto_augment: str | None = None
    interpolation: str = "random"
    eval_interpolation: str = "bicubic"
    re_prob: float = 0.0
    re_mode: str = "pixel"
    re_count: int = 1
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    seed: int = 0
    eval_seed: int = 0

    def __post_init__(self) -> None:
        eval_size = self.image_size if self.eval_size is None else self.eval_size
        object.__setattr__(self, "eval_size", eval_size)
        check_options(self, "image_size eval_size re_count")
        for name in ("hflip", "re_prob"):
            number(name, getattr(self, name), "a number from 0 to 1", lambda value: 0 <= value <= 1)
        number("crop", self.crop, "a number above 0, at most 1", lambda value: 0 < value <= 1)
        number("val_share", self.val_share, *SHARE)
        if self.color_jitter is not None:
            number("color_jitter", self.color_jitter, "a number, 0 or more", lambda v: v >= 0)
        for name, length in (("scale", 2), ("ratio", 2), ("mean", 3), ("std", 3)):
            _numbers(self, name, length)
        one_of("data.crop_mode", self.crop_mode, CROP_MODES)
        one_of("data.re_mode", self.re_mode, ERASING)
        one_of("data.interpolation", self.interpolation, INTERPOLATIONS)
        one_of("data.eval_interpolation", self.eval_interpolation, INTERPOLATIONS[1:])


def _numbers(options: ImageFolderOptions, name: str, length: int) -> None:
    """Convert an option to a tuple of ``length`` positive numbers, rising if there are two."""
    given = getattr(options, name)
    values = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
    positive = all(isinstance(v, int | float) and 0 < v < math.inf for v in values)
    if len(values) != length or not positive or (length == 2 and values[0] > values[1]):
        order = "rising " if length == 2 else ""
        raise ValueError(f"data.{name} is {length} {order}positive numbers, not {given!r}")
    object.__setattr__(options, name, values)
