"""MNIST and Fashion-MNIST as IDX files, plain or gzipped, in the layouts people keep them in.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998;
Xiao, Rasul, Vollgraf, "Fashion-MNIST", https://arxiv.org/abs/1708.07747
"""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from predcnn.data.sources import known_files
from predcnn.data.sources.known_files import FileReport, ImageArchive, KnownFile

_MAGIC = 0x0803  # unsigned bytes, three dimensions
_HEADER = 16  # bytes


@dataclass(frozen=True)
class IdxSet:
    """One published set of 28x28 grey images."""

    name: str
    folders: tuple[str, ...]
    train: KnownFile
    test: KnownFile
    mirrors: tuple[str, ...]

    def wanted(self, with_test: bool) -> tuple[KnownFile, ...]:
        """The files that are needed."""
        return (self.train, self.test) if with_test else (self.train,)

    def locate(self, root: Path, with_test: bool) -> Path | None:
        """The first folder that holds any of the files; None when there is none."""
        wanted, folders = self.wanted(with_test), (root / name for name in self.folders)
        return next((f for f in folders if any(_find(f, known) for known in wanted)), None)

    def expected(self, root: Path, with_test: bool) -> str:
        """Which files belong where, as a clause of an error message."""
        names = " and ".join(f"{known.name}[.gz]" for known in self.wanted(with_test))
        folders = ", ".join(str(root / folder) for folder in self.folders)
        return f"{names} in {root / self.folders[0]} (looked in {folders})"

    def load(self, folder: Path, *, with_test: bool, verify: bool = True) -> ImageArchive:
        """Read and verify the images in ``folder``."""
        wanted = self.wanted(with_test)
        images = [self._read(self._path(folder, known), known, verify) for known in wanted]
        checked = "" if verify else ", unverified"
        origin = f"{self.name} ({folder}, IDX{checked})"
        return ImageArchive(origin, images[0], images[1] if with_test else None)

    def fetch(self, root: Path, with_test: bool) -> set[Path]:
        """Download the files that are missing, next to those that are there; says which."""
        folder = self.locate(root, with_test) or root / self.folders[0]
        return known_files.fetch_all(folder, self.wanted(with_test), self.mirrors)

    def reports(self, folder: Path, *, with_test: bool, verify: bool) -> list[FileReport]:
        """What is in ``folder``, after :meth:`load` has verified it."""
        verified = "MD5 of the published images" if verify else ""
        paths = [self._path(folder, known) for known in self.wanted(with_test)]
        return [known_files.report(path, "present", verified) for path in paths]

    def missing(self, root: Path, with_test: bool) -> list[FileReport]:
        """Where the files belong when none of them is there."""
        folder = root / self.folders[0]
        return [FileReport(folder / known.name, "missing") for known in self.wanted(with_test)]

    def _path(self, folder: Path, known: KnownFile) -> Path:
        path = _find(folder, known)
        if path is None:
            raise FileNotFoundError(
                f"{folder} holds part of {self.name} but neither {known.name} nor {known.packed}; "
                "put the file there, or set data.download=true"
            )
        return path

    def _read(self, path: Path, known: KnownFile, verify: bool) -> np.ndarray:
        content = unpack(path)
        if verify:
            found = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if found != known.md5:
                parse_idx(content, path)  # a truncated file is called truncated
                raise known_files.altered(path, found, known.md5, _whose(found))
        return parse_idx(content, path)


def unpack(path: Path) -> bytes:
    """The bytes of a file, gunzipped if its name ends in .gz; ValueError when it is damaged."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def parse_idx(content: bytes, path: Path) -> np.ndarray:
    """IDX images -> uint8 (N, h, w), read-only; ValueError names ``path`` and what is wrong."""
    if len(content) < _HEADER:
        raise ValueError(f"{path} is truncated: {len(content)} bytes, an IDX header has {_HEADER}")
    magic, count, height, width = struct.unpack(">4i", content[:_HEADER])
    if magic != _MAGIC or min(count, height, width) < 1:
        raise ValueError(
            f"{path} is no IDX file of images: it starts with {content[:_HEADER].hex()}, "
            f"expected {_MAGIC:08x} and three sizes"
        )
    expected = _HEADER + count * height * width
    if len(content) != expected:
        raise ValueError(
            f"{path} is truncated or damaged: {len(content):,} bytes, "
            f"its header announces {expected:,} ({count} images of {height}x{width})"
        )
    return np.frombuffer(content, np.uint8, offset=_HEADER).reshape(count, height, width)


def _find(folder: Path, known: KnownFile) -> Path | None:
    candidates = (folder / known.name, folder / str(known.packed))
    return next((path for path in candidates if path.is_file()), None)


def _whose(md5: str) -> str:
    owners = (s for s in (MNIST, FASHION_MNIST) if md5 in (s.train.md5, s.test.md5))
    found = next(owners, None)
    return f"it is a file of {found.name}, which belongs in {found.folders[0]}/; " if found else ""


def _images(part: str, md5: str, packed_md5: str) -> KnownFile:
    name = f"{part}-images-idx3-ubyte"
    return KnownFile(name, md5, f"{name}.gz", packed_md5)


MNIST = IdxSet(
    name="mnist",
    folders=("mnist", "MNIST/raw", "moving_mnist", "."),
    train=_images("train", "6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    test=_images("t10k", "2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
)
"""60,000 + 10,000 handwritten digits."""

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    folders=("fashion_mnist", "FashionMNIST/raw", "moving_fmnist", "."),
    train=_images("train", "f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    test=_images("t10k", "8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
)
"""60,000 + 10,000 articles of clothing."""
