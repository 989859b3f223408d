"""Interfaces of data sets and their three splits, used by the data modules."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Protocol

from predcnn.data.scale import Units
from predcnn.data.sources.known_files import FileReport

SPLITS = ("train", "val", "test")


class SplitDataset(Protocol):
    """One split; a sample depends only on (epoch, index)."""

    source: str  # origin of the samples, for tables
    fingerprint: str  # SHA-256 over everything that determines the samples
    finite: bool  # every epoch has the same samples, so training shuffles them

    def __len__(self) -> int: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> object: ...


class SplitFamily:
    """A data set of three splits; a subclass has ``Options``, with a ``seed``, and `split`."""

    Options: ClassVar[type]
    name: ClassVar[str]
    protocol: str  # how the splits were made
    download = False  # whether ``prepare`` may download files
    embedded = False  # whether all data come with the package, so that no file of the user is read
    reader: ClassVar[str | None] = None  # decoder of the frames, part of the fingerprint
    found: ClassVar[dict[str, object]] = {}  # options that the files determine, as a fitted scale

    def __init__(self, options: object) -> None:
        self.options = options

    def prepare(self) -> list[FileReport]:
        """Download and verify the files of a published set; report on all files."""
        return []


class SequenceFamily(SplitFamily):
    """Base of data sets of sequences; nothing is read before ``split``.

    ``facts`` are additional rows of the table at the start of a run, label -> text. The options
    ``label`` and ``origin`` of a preset give its name and say where its files come from.
    """

    facts: dict[str, str]
    units: Units | None = None  # scale and scores of numbers with units

    def __init__(self, options: object) -> None:
        super().__init__(options)
        self.name = getattr(options, "label", None) or self.name
        self.frames_out = options.frames_out

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
    def protocol(self) -> str:
        return self.options.protocol
