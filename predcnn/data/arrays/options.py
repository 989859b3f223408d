"""Options of arrays of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predcnn.checks import one_of
from predcnn.data.arrays.layout import LETTERS
from predcnn.data.dividing import WindowOptions
from predcnn.data.scale import KINDS


@dataclass(frozen=True)
class ArrayOptions(WindowOptions):
    """Options of arrays of numbers with units; ``configs/data/array.yaml`` explains each."""

    protocol: str = "auto"
    variables: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    layout: str | None = None
    range: Sequence | None = None
    normalize: str | None = None
    scale: Mapping | None = None
    mask: float | None = None
    metrics: Sequence[str] = ("rmse", "mae")
    thresholds: Sequence[float] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("data.protocol", self.protocol, ("auto", "by_sequence", "by_time"))
        if self.normalize is not None:
            one_of("data.normalize", self.normalize, KINDS)
        if self.normalize not in (None, "range") and self.range is not None:
            raise ValueError("data.range and data.normalize exclude each other: give one of them")
        if self.normalize == "range" and self.range is None:
            raise ValueError("data.normalize=range needs data.range=[low, high]")
        axes = LETTERS if self.layout is None else self.layout
        if not {*"HW"} <= {*axes} <= {*LETTERS} or len({*axes}) < len(axes):
            raise ValueError(
                f"data.layout={self.layout!r}: one letter per axis, of N (sequences), T (time), C "
                "(channels), H and W, for instance NTCHW, NTHWC or THW"
            )
