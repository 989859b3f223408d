"""Options of a folder of clips."""

from collections.abc import Sequence
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
    range: Sequence[float] | None = None
    cuts: str = "keep"
    strict: bool = False
    cache_mb: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("cache_mb", self.cache_mb, 0)
        nearest("data.protocol", self.protocol, ("by_clip", "by_time"))
        nearest("data.fit", self.fit, FITS)
        nearest("data.cuts", self.cuts, ("keep", "skip"))
        bounds = self.range
        if bounds is not None and (len(bounds) != 2 or bounds[0] != 0 or bounds[1] <= 0):
            raise ValueError(
                f"data.range is [0, white] of 16-bit images, e.g. [0,4095], not {bounds}; numbers "
                "of other ranges need data=array"
            )
