"""Options of a folder of clips."""

from dataclasses import dataclass
from typing import ClassVar

from predcnn.data.dividing import WindowOptions
from predcnn.data.options import integer, nearest
from predcnn.data.shaping import FITS


@dataclass(frozen=True)
class VideoFolderOptions(WindowOptions):
    """Options of a folder of clips; ``configs/data/video_folder.yaml`` explains each."""

    COUNTS: ClassVar[str] = f"{WindowOptions.COUNTS} height width channels"
    FLAGS: ClassVar[str] = "strict"

    protocol: str = "by_clip"
    height: int = 64
    width: int | None = None
    channels: int = 3
    fit: str = "crop"
    cuts: str = "keep"
    strict: bool = False
    cache_mb: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("cache_mb", self.cache_mb, 0)
        nearest("data.protocol", self.protocol, ("by_clip", "by_time"))
        nearest("data.fit", self.fit, FITS)
        nearest("data.cuts", self.cuts, ("keep", "skip"))
