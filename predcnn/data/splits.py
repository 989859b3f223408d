"""Interfaces of data sets and their three splits, used by the data modules."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Protocol

from predcnn.data.sources.known_files import FileReport

SPLITS = ("train", "val", "test")


class SplitDataset(Protocol):
    """One split; a sample depends only on (epoch, index).

    Attributes:
        source: origin of the samples, for tables.
        fingerprint: SHA-256 over everything that determines the samples.
        finite: every epoch has the same samples, so training shuffles them.
    """

    source: str
    fingerprint: str
    finite: bool

    def __len__(self) -> int: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> object: ...


class SplitFamily(Protocol):
    """A data set of three splits, such as `predcnn.data.generated.moving_mnist.MovingMNIST`.

    Attributes:
        Options: dataclass of the options, with a ``seed``.
        protocol: how the splits were made.
        download: whether ``prepare`` may download files.
    """

    Options: type
    options: object
    name: str
    protocol: str
    download: bool

    def prepare(self) -> list[FileReport]: ...
    def split(self, name: str) -> SplitDataset: ...


class SequenceFamily:
    """Base of data sets of sequences, see `SplitFamily`; nothing is read before ``split``.

    ``facts`` are additional rows of the table at the start of a run, label -> text. The options
    ``label`` and ``origin`` of a preset give its name and say where its files come from.
    """

    Options: ClassVar[type]
    name: ClassVar[str]
    facts: dict[str, str]

    def __init__(self, options: object) -> None:
        self.options = options
        self.name = getattr(options, "label", None) or self.name

    @contextmanager
    def naming_origin(self) -> Iterator[None]:
        """Add to the error for missing files where they come from."""
        try:
            yield
        except FileNotFoundError as error:
            if self.options.origin is None:
                raise
            raise FileNotFoundError(f"{error}; {self.options.origin}") from error

    @property
    def channels(self) -> int:
        return self.options.channels

    @property
    def in_shape(self) -> tuple[int, int, int, int]:
        """(T_in, C, H, W)."""
        return (self.options.frames_in, self.channels, self.options.height, self.options.width)

    @property
    def frames_out(self) -> int:
        return self.options.frames_out

    @property
    def protocol(self) -> str:
        return self.options.protocol
