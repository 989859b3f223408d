"""Options of arrays of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from predcnn.data.arrays.layout import check_layout
from predcnn.data.options import check_division, check_options, nearest
from predcnn.data.scale import KINDS

PROTOCOLS = ("auto", "by_sequence", "by_time")


@dataclass(frozen=True)
class ArrayOptions:
    """Options of arrays of numbers with units; ``configs/data/array.yaml`` explains each."""

    root: str | Path
    variables: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    layout: str | None = None
    split: Mapping[str, str | Sequence[str] | None] | None = None
    protocol: str = "auto"
    val_share: float = 0.1
    test_share: float = 0.1
    range: Sequence | None = None
    normalize: str | None = None
    scale: Mapping | None = None
    mask: float | None = None
    metrics: Sequence[str] = ("rmse", "mae")
    thresholds: Sequence[float] = ()
    frames_in: int = 10
    frames_out: int = 10
    frame_step: int = 1
    stride: int | Mapping[str, int | None] | None = 1
    train_sequences: int | None = None
    val_sequences: int | None = None
    test_sequences: int | None = None
    seed: int = 0
    eval_seed: int = 0
    label: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        counts = "frames_in frames_out frame_step train_sequences val_sequences test_sequences"
        check_options(self, counts)
        check_division(self)
        nearest("data.protocol", self.protocol, PROTOCOLS)
        if self.normalize is not None:
            nearest("data.normalize", self.normalize, KINDS)
        if self.normalize not in (None, "range") and self.range is not None:
            raise ValueError("data.range and data.normalize exclude each other: give one of them")
        if self.normalize == "range" and self.range is None:
            raise ValueError("data.normalize=range needs data.range=[low, high]")
        if self.layout is not None:
            check_layout(self.layout)
        for name in ("variables", "targets"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))

    @property
    def span(self) -> int:
        """Frames of a sequence that one window needs."""
        return (self.frames_in + self.frames_out - 1) * self.frame_step + 1
