"""Options of a folder of clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from predcnn.data.options import check_division, check_options, nearest, whole
from predcnn.data.shaping import FITS

PROTOCOLS = ("by_clip", "by_time")
CUTS = ("keep", "skip")


@dataclass(frozen=True)
class VideoFolderOptions:
    """Options of a folder of clips; ``configs/data/video_folder.yaml`` explains each."""

    root: str | Path
    split: Mapping[str, str | Sequence[str] | None] | None = None
    protocol: str = "by_clip"
    val_share: float = 0.1
    test_share: float = 0.1
    frames_in: int = 10
    frames_out: int = 10
    frame_step: int = 1
    stride: int | Mapping[str, int | None] | None = 1
    height: int = 64
    width: int | None = None
    channels: int = 3
    fit: str = "crop"
    cuts: str = "keep"
    strict: bool = False
    train_sequences: int | None = None
    val_sequences: int | None = None
    test_sequences: int | None = None
    cache_mb: int = 1024
    seed: int = 0
    eval_seed: int = 0
    label: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        counts = (
            "frames_in frames_out frame_step height width channels train_sequences val_sequences "
            "test_sequences"
        )
        check_options(self, counts, flags="strict")
        check_division(self)
        whole("cache_mb", self.cache_mb, 0)
        for name, accepted in (("protocol", PROTOCOLS), ("fit", FITS), ("cuts", CUTS)):
            nearest(f"data.{name}", getattr(self, name), accepted)

    @property
    def span(self) -> int:
        """Frames of a clip that one window reaches over."""
        return (self.frames_in + self.frames_out - 1) * self.frame_step + 1
