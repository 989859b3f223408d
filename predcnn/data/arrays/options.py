"""Options of arrays of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from predcnn.data.arrays.layout import check_layout
from predcnn.data.options import nearest, whole
from predcnn.data.scale import KINDS
from predcnn.data.splits import SPLITS

PROTOCOLS = ("auto", "by_sequence", "by_time")


@dataclass(frozen=True)
class ArrayOptions:
    """Options of arrays of numbers with units.

    Args:
        root: a file (.npy, .npz, .h5, .nc, .zarr, .tif) or a folder of them.
        variables: arrays of the files that become channels; None: the only suitable one.
        targets: names of the channels that are predicted and measured; None: all.
        layout: axes of the arrays, e.g. "NTCHW" or "THW"; None: inferred.
        split: {train, val, test}: patterns of file names ("*1979*"), ranges of the numbers in
            them ("1979-2015"), or arrays, past and future ("X_train+Y_train", or with the name of
            the file "training.h5:IN+OUT").
        protocol: without ``split``: "by_sequence", "by_time" (beginning, middle and end of each)
            or "auto": by sequence if there are three or more.
        val_share: of the sequences, or of their time.
        test_share: likewise.
        range: [low, high], or one such pair per channel: what becomes 0 and 1.
        normalize: see `predcnn.data.scale.KINDS`; None: ``range`` if given, uint8 by 255, else
            "minmax".
        scale: fitted values of an earlier run; None: fit.
        mask: the number that marks missing values besides NaN.
        metrics: of the values in units, see `predcnn.metrics.fields`.
        thresholds: of csi, pod, far, hss and fss, in units.
        frames_in: frames the model sees.
        frames_out: frames it predicts.
        frame_step: take every n-th frame.
        stride: frames between the starts of two windows.
        train_sequences: windows per epoch; None: all.
        val_sequences: at most this many, evenly spread; None: all.
        test_sequences: likewise.
        seed: of the order of training.
        eval_seed: of which sequences are in which split.
    """

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
    stride: int = 1
    train_sequences: int | None = None
    val_sequences: int | None = None
    test_sequences: int | None = None
    seed: int = 0
    eval_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("frames_in", "frames_out", "frame_step", "stride"):
            whole(name, getattr(self, name), 1)
        for name in ("train_sequences", "val_sequences", "test_sequences"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), 1)
        for name in ("seed", "eval_seed"):
            whole(name, getattr(self, name))
        self._check_choices()
        if not 0 < self.val_share < 1 or not 0 < self.test_share < 1 - self.val_share:
            raise ValueError("data.val_share and data.test_share are above 0 and add up to below 1")
        if not isinstance(self.root, str | Path) or not str(self.root):
            raise TypeError(f"data.root is the path of a file or folder, not {self.root!r}")
        object.__setattr__(self, "root", Path(self.root).expanduser())
        for name in ("variables", "targets"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))

    def _check_choices(self) -> None:
        nearest("data.protocol", self.protocol, PROTOCOLS)
        if self.normalize is not None:
            nearest("data.normalize", self.normalize, KINDS)
        if self.normalize not in (None, "range") and self.range is not None:
            raise ValueError("data.range and data.normalize exclude each other: give one of them")
        if self.normalize == "range" and self.range is None:
            raise ValueError("data.normalize=range needs data.range=[low, high]")
        if self.layout is not None:
            check_layout(self.layout)
        for name in self.split or {}:
            nearest("split in data.split", name, SPLITS)
        if self.split is not None and not {"train", "test"} <= set(self.split):
            raise ValueError("data.split needs train and test; val is taken from train if missing")

    @property
    def span(self) -> int:
        """Frames of a sequence that one window needs."""
        return (self.frames_in + self.frames_out - 1) * self.frame_step + 1
