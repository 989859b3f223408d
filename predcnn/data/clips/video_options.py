"""Options of a folder of clips."""

from dataclasses import dataclass
from pathlib import Path

from predcnn.data.options import boolean, nearest, whole
from predcnn.data.shaping import FITS

PROTOCOLS = ("by_clip", "by_time")
CUTS = ("keep", "skip")


@dataclass(frozen=True)
class VideoFolderOptions:
    """Options of a folder of clips; ``configs/data/video_folder.yaml`` explains each."""

    root: str | Path
    protocol: str = "by_clip"
    val_share: float = 0.1
    test_share: float = 0.1
    frames_in: int = 10
    frames_out: int = 10
    frame_step: int = 1
    stride: int = 1
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.height if self.width is None else self.width)
        counts = "frames_in frames_out frame_step stride height width channels"
        for name in counts.split():
            whole(name, getattr(self, name), 1)
        for name in ("train_sequences", "val_sequences", "test_sequences"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), 1)
        whole("cache_mb", self.cache_mb, 0)
        for name in ("seed", "eval_seed"):
            whole(name, getattr(self, name))
        boolean("strict", self.strict)
        for name, accepted in (("protocol", PROTOCOLS), ("fit", FITS), ("cuts", CUTS)):
            nearest(f"data.{name}", getattr(self, name), accepted)
        for name in ("val_share", "test_share"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
                raise ValueError(f"data.{name} lies between 0 and 1, not {share!r}")
        if self.val_share + self.test_share >= 1:
            raise ValueError("data.val_share and data.test_share leave nothing to train on")
        if not isinstance(self.root, str | Path) or not str(self.root):
            raise TypeError(f"data.root is the path of a folder or clip, not {self.root!r}")
        object.__setattr__(self, "root", Path(self.root).expanduser())

    @property
    def span(self) -> int:
        """Frames of a clip that one window reaches over."""
        return (self.frames_in + self.frames_out - 1) * self.frame_step + 1
