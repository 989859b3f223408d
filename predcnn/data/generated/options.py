"""Options of the generated data sets, and their checks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from predcnn.data.generated.noise import NOISES
from predcnn.data.options import ROOT, boolean, nearest, whole

PROTOCOLS = ("isolated", "openstl")
SPRITE = 28  # pixels, height and width of a digit
MOST_DIGITS = 100


@dataclass(frozen=True)
class MovingMNISTOptions:
    """Options of Moving MNIST, MMNIST-CIFAR and Moving Fashion-MNIST.

    Args:
        root: folder of the data files, relative to where the user stands.
        source: "auto" (files if they are there, else embedded), "embedded", or the sets whose
            absence is an error, joined by "+": "mnist", "cifar10", "mnist+cifar10",
            "fashion_mnist".
        protocol: "isolated" (no digit or background in two splits) or "openstl" (the published
            pools and, where the file is there, the published test sequences).
        download: fetch missing files from the mirrors torchvision knows.
        verify: hold the files against the published checksums.
        frames_in: frames the model sees.
        frames_out: frames it predicts.
        digits: sprites per sequence; a list means one of its numbers, drawn for each sequence.
        height: of the canvas in pixels, at least 28.
        width: of the canvas in pixels; None: as the height.
        speed: step per frame in units of the free range (canvas less sprite), above 0.
        noise: None or "perceptual", "missing", "dynamic": on the input frames of every split.
        train_sequences: sequences per epoch; every epoch has new ones.
        val_sequences: sequences of validation, the same every time.
        test_sequences: sequences of the test; None: all of a published file, else 1,000.
        seed: of the training stream.
        eval_seed: of validation and test, so that runs with different seeds are comparable.
    """

    root: str | Path = ROOT
    source: str = "auto"
    protocol: str = "isolated"
    download: bool = False
    verify: bool = True
    frames_in: int = 10
    frames_out: int = 10
    digits: int | Iterable[int] = 2
    height: int = 64
    width: int | None = None
    speed: float = 0.1
    noise: str | None = None
    train_sequences: int = 10_000
    val_sequences: int = 200
    test_sequences: int | None = None
    seed: int = 0
    eval_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("frames_in", "frames_out", "train_sequences", "val_sequences"):
            whole(name, getattr(self, name), 1)
        if self.test_sequences is not None:
            whole("test_sequences", self.test_sequences, 1)
        for name in ("seed", "eval_seed"):
            whole(name, getattr(self, name))
        for name in ("download", "verify"):
            boolean(name, getattr(self, name))
        object.__setattr__(self, "width", self.height if self.width is None else self.width)
        for name in ("height", "width"):
            whole(name, getattr(self, name), SPRITE)
        object.__setattr__(self, "digits", _digit_counts(self.digits))
        if not isinstance(self.root, str | Path):
            raise TypeError(f"data.root is the path of a folder, not {self.root!r}")
        object.__setattr__(self, "root", Path(self.root).expanduser())
        if not isinstance(self.speed, (int, float)) or not 0 < self.speed < math.inf:
            raise ValueError(f"data.speed is a positive number, not {self.speed!r}")
        if self.noise is not None:
            nearest("data.noise", self.noise, NOISES)
        nearest("data.protocol", self.protocol, PROTOCOLS)

    @property
    def frames(self) -> int:
        """T_in + T_out."""
        return self.frames_in + self.frames_out

    @property
    def published_motion(self) -> bool:
        """Whether the published test files show this very task."""
        return (
            (self.digits, self.height, self.width, self.speed) == ((2,), 64, 64, 0.1)
            and self.frames <= 20
            and self.noise != "dynamic"
        )


def _digit_counts(digits: int | Iterable[int]) -> tuple[int, ...]:
    counts = (digits,) if isinstance(digits, (int, str)) else tuple(digits)
    if not counts:
        raise ValueError("data.digits is an empty list; give a number or several, e.g. [1,2,3]")
    for count in counts:
        whole("digits", count, 1)
    if max(counts) > MOST_DIGITS:
        raise ValueError(f"data.digits={max(counts)}: at most {MOST_DIGITS} fit the generator")
    return counts
