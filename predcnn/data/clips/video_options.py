"""Options of a folder of clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from predcnn.checks import one_of, whole_number
from predcnn.data.dividing import WindowOptions
from predcnn.data.grey import COLOURS, GREY, names_with_grey
from predcnn.data.scale import Scale, Units
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
    targets: Sequence[str] | None = None
    fit: str = "crop"
    range: Sequence[float] | None = None
    cuts: str = "keep"
    strict: bool = False
    cache_mb: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("data.cache_mb", self.cache_mb, 0)
        one_of("data.protocol", self.protocol, ("by_clip", "by_time"))
        one_of("data.fit", self.fit, FITS)
        one_of("data.cuts", self.cuts, ("keep", "skip"))
        for target in self.targets or ():
            accepted = (*COLOURS, GREY) if self.channels == len(COLOURS) else self.names
            one_of("channel in data.targets", target, accepted)
            if target not in self.names:
                raise ValueError("data.targets has grey or green, not both: grey replaces green")
        bounds = self.range
        if bounds is not None and (len(bounds) != 2 or bounds[0] != 0 or bounds[1] <= 0):
            raise ValueError(
                f"data.range is [0, white] of 16-bit images, e.g. [0,4095], not {bounds}; numbers "
                "of other ranges need data=array"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels."""
        if self.channels == len(COLOURS):
            return names_with_grey(COLOURS, self.targets)
        return (GREY,) if self.channels == 1 else tuple(f"channel{i}" for i in range(self.channels))

    @property
    def computes_grey(self) -> bool:
        """Whether grey, computed from the colours, replaces green."""
        return self.channels == len(COLOURS) and GREY in self.names

    @property
    def units(self) -> Units | None:
        """The channels that are predicted and measured; None: all."""
        if self.targets is None:
            return None
        names, count = self.names, self.channels
        scale = Scale("range", (0.0,) * count, (1.0,) * count, names, ("",) * count)
        return Units(scale, [names.index(target) for target in self.targets])
