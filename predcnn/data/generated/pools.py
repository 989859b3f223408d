"""Which pictures each split draws from: files or embedded ones, divided by the protocol."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from predcnn.data.generated.photographs import PHOTOGRAPHS, photograph_crops
from predcnn.data.sources.cifar import CifarSet
from predcnn.data.sources.idx import IdxSet
from predcnn.data.sources.known_files import ImageArchive
from predcnn.data.splits import SPLITS

HELD_OUT = 12  # every 12th training picture validates: 5,000 of 60,000, whatever their order
DIGITS_SHA256 = "df6ffbcaccf0816d563112f5fab69d3c781a5b29c4b5946ed3df09764f15be03"


@dataclass(frozen=True)
class Pool:
    """The pictures of one split: uint8 (N, h, w) or (N, h, w, 3), their origin and SHA-256."""

    images: np.ndarray
    origin: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 over shape and bytes."""
        state = hashlib.sha256(repr(self.images.shape).encode())
        state.update(np.ascontiguousarray(self.images))
        return state.hexdigest()


@dataclass(frozen=True)
class PoolSource:
    """Where one kind of picture comes from.

    Args:
        files: the published set.
        embedded: makes the pictures that need no file; None: there are none.
        pools_test: the published protocol draws from the test pictures too (CIFAR backgrounds).
    """

    files: IdxSet | CifarSet
    embedded: Callable[[], ImageArchive] | None
    pools_test: bool = False

    def with_test(self, protocol: str) -> bool:
        """Whether the test pictures are needed at all."""
        return protocol == "isolated" or self.pools_test

    def open(
        self, root: Path, source: tuple[str, ...], protocol: str, verify: bool, command: str
    ) -> ImageArchive:
        """The pictures, from files if they are there, else embedded."""
        with_test = self.with_test(protocol)
        place = self.files.locate(root, with_test)
        if place is not None:
            return self.files.load(place, with_test=with_test, verify=verify)
        if self.embedded is not None and self.files.name not in source:
            return self.embedded()
        raise FileNotFoundError(
            f"{self.files.name} is not there: it needs {self.files.expected(root, with_test)}; "
            f"put the files there or run `{command}`"
        )

    def pool(self, archive: ImageArchive, protocol: str, split: str) -> Pool:
        """The pictures of one split; under "isolated" no picture is in two splits."""
        images = _DIVISIONS[protocol](self, archive, split)
        if not len(images):
            raise ValueError(f"{archive.origin} has too few pictures to give {split} any")
        return Pool(images, archive.origin)


def embedded_digits() -> ImageArchive:
    """2,000 + 500 MNIST digits that come with the package, see assets/README.md."""
    asset = resources.files("predcnn.data.assets") / "mnist_digits.npz"
    with resources.as_file(asset) as path:
        if hashlib.sha256(path.read_bytes()).hexdigest() != DIGITS_SHA256:
            raise ValueError(f"{path} is damaged; install predcnn again")
        with np.load(path, allow_pickle=False) as arrays:
            train, test = arrays["x_train"], arrays["x_test"]
    return ImageArchive("embedded (2,000+500 MNIST digits)", train, test)


def embedded_photographs() -> ImageArchive:
    """Crops of photographs that come with scikit-image, a different photograph for each split."""
    names = ", ".join(name for group in PHOTOGRAPHS.values() for name in group)
    train, val, test = (photograph_crops(split) for split in SPLITS)
    return ImageArchive(f"embedded (crops of {names})", train, test, val)


def _isolated(source: PoolSource, archive: ImageArchive, split: str) -> np.ndarray:
    if split == "test":
        return archive.test
    if archive.val is not None:
        return archive.val if split == "val" else archive.train
    held_out = np.arange(len(archive.train)) % HELD_OUT == HELD_OUT - 1
    return archive.train[held_out if split == "val" else ~held_out]


def _openstl(source: PoolSource, archive: ImageArchive, split: str) -> np.ndarray:
    if not source.pools_test:
        return archive.train
    parts = (archive.train, archive.val, archive.test)
    return np.concatenate([part for part in parts if part is not None])


_DIVISIONS = {"isolated": _isolated, "openstl": _openstl}
