"""Options of the generated data sets, and their checks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from predcnn.checks import one_of, whole_number
from predcnn.data.generated.noise import NOISES
from predcnn.data.options import ROOT, check_options, number

PROTOCOLS = ("isolated", "openstl")
SPRITE = 28  # pixels, height and width of a digit
MOST_DIGITS = 100


@dataclass(frozen=True)
class MovingMNISTOptions:
    """Options of the Moving MNIST sets; ``configs/data/moving_mnist.yaml`` explains each."""

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
        counts = "frames_in frames_out train_sequences val_sequences test_sequences"
        check_options(self, counts, flags="download verify")
        for name in ("height", "width"):
            whole_number(f"data.{name}", getattr(self, name), SPRITE)
        object.__setattr__(self, "digits", _digit_counts(self.digits))
        number("speed", self.speed, "a positive number", lambda value: 0 < value < math.inf)
        if self.noise is not None:
            one_of("data.noise", self.noise, NOISES)
        one_of("data.protocol", self.protocol, PROTOCOLS)

    @property
    def frames(self) -> int:
        return self.frames_in + self.frames_out

    @property
    def published_motion(self) -> bool:
        """Whether the published test files match these options."""
        return (
            (self.digits, self.height, self.width, self.speed) == ((2,), 64, 64, 0.1)
            and self.frames <= 20
            and self.noise != "dynamic"
        )


def _digit_counts(digits: int | Iterable[int]) -> tuple[int, ...]:
    counts = (digits,) if isinstance(digits, (int, str)) else tuple(digits)
    if not counts:
        raise ValueError("data.digits is empty; give one or several numbers, e.g. [1,2,3]")
    for count in counts:
        whole_number("data.digits", count)
    if max(counts) > MOST_DIGITS:
        raise ValueError(f"data.digits is at most {MOST_DIGITS}, not {max(counts)}")
    return counts
