"""What a data set offers its data module, whatever a sample is: three splits that name batches."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from predcnn.data.sources.known_files import FileReport

SPLITS = ("train", "val", "test")


class SplitDataset(Protocol):
    """One split: samples that are pure functions of (epoch, index).

    ``finite``: the same samples come every epoch, so training shuffles them. ``source`` says in
    words where they come from; ``fingerprint`` is a SHA-256 over all that decides them.
    """

    source: str
    fingerprint: str
    finite: bool

    def __len__(self) -> int: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> object: ...


class SplitFamily(Protocol):
    """A data set: see :class:`predcnn.data.generated.moving_mnist.MovingMNIST`.

    ``Options`` is its dataclass of options, ``options`` the ones it was made with; they have a
    ``seed``. ``protocol`` says how the splits were made. ``download``: ``prepare`` fetches files.
    """

    Options: type
    options: object
    name: str
    protocol: str
    download: bool

    def prepare(self) -> list[FileReport]: ...
    def split(self, name: str) -> SplitDataset: ...


class SequenceFamily:
    """Base of the data sets of sequences, see `SplitFamily`; nothing is read before `split`.

    ``facts`` are rows of its own for the table at the start of a run, label -> text.
    """

    Options: ClassVar[type]
    name: ClassVar[str]
    facts: dict[str, str]

    def __init__(self, options: object) -> None:
        self.options = options

    @property
    def channels(self) -> int:
        """C."""
        return self.options.channels

    @property
    def in_shape(self) -> tuple[int, int, int, int]:
        """(T_in, C, H, W)."""
        return (self.options.frames_in, self.channels, self.options.height, self.options.width)

    @property
    def frames_out(self) -> int:
        """T_out."""
        return self.options.frames_out

    @property
    def protocol(self) -> str:
        """How the splits are made."""
        return self.options.protocol
