"""MNIST and Fashion-MNIST as IDX files, plain or gzipped, in several folder layouts.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998;
Xiao, Rasul, Vollgraf, "Fashion-MNIST", https://arxiv.org/abs/1708.07747
"""

import gzip
import hashlib
import logging
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from predcnn.data.sources.known_files import (
    ImageArchive,
    KnownFile,
    PublishedImages,
    altered,
    fetch,
    find,
)

log = logging.getLogger(__name__)

_MAGIC = 0x0803  # unsigned bytes, three dimensions
_HEADER = 16  # bytes


@dataclass(frozen=True)
class IdxSet(PublishedImages):
    """One published set of 28x28 grey images: a file for training and one for testing."""

    train: KnownFile
    test: KnownFile

    def wanted(self, with_test: bool) -> tuple[KnownFile, ...]:
        return (self.train, self.test) if with_test else (self.train,)

    def expected(self, root: Path, with_test: bool) -> str:
        names = " and ".join(f"{known.name}[.gz]" for known in self.wanted(with_test))
        folders = ", ".join(str(root / folder) for folder in self.folders)
        return f"{names} in {root / self.folders[0]} (looked in {folders})"

    def load(self, folder: Path, *, with_test: bool = True, verify: bool = True) -> ImageArchive:
        """Read and verify the images in ``folder``."""
        wanted = self.wanted(with_test)
        paths = [self.needed(folder, known) for known in wanted]
        images = [_read(*pair, verify) for pair in zip(paths, wanted, strict=True)]
        checked = "" if verify else ", unverified"
        return ImageArchive(f"{self.name} ({folder}, IDX{checked})", *images, paths=paths)

    def fetch(self, root: Path, with_test: bool) -> set[Path]:
        """Download missing files, next to those that are there; return their paths."""
        folder = self.locate(root, with_test) or root / self.folders[0]
        missing = [known for known in self.wanted(with_test) if find(folder, known) is None]
        for known in missing:
            log.info("downloading %s to %s", known.packed, folder)
            urls = [mirror + known.packed for mirror in self.mirrors]
            fetch(folder / known.packed, urls, known.packed_md5)
        return {folder / known.packed for known in missing}


def unpack(path: Path) -> bytes:
    """Read a file, gunzipped if its name ends in .gz; raise ValueError if it is damaged."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def parse_idx(content: bytes, path: Path) -> np.ndarray:
    """Convert IDX images to uint8 (N, h, w), read-only; a ValueError names ``path``."""
    header = content[:_HEADER].ljust(_HEADER, b"\0")
    magic, *shape = struct.unpack(">4i", header)
    if magic != _MAGIC or min(shape) < 1:
        raise ValueError(
            f"{path} is not an IDX file of images: it starts with {header.hex()}, expected "
            f"{_MAGIC:08x} and three sizes"
        )
    expected = _HEADER + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{path} is truncated or damaged: it has {len(content):,} bytes, {expected:,} are "
            f"expected for images of shape {tuple(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=_HEADER).reshape(shape)


def _read(path: Path, known: KnownFile, verify: bool) -> np.ndarray:
    content = unpack(path)
    images = parse_idx(content, path)  # reports a truncated file before its checksum differs
    if verify and (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != known.md5:
        owners = [s for s in (MNIST, FASHION_MNIST) if found in (s.train.md5, s.test.md5)]
        hints = [f"it is a file of {s.name} and belongs in {s.folders[0]}/; " for s in owners]
        raise altered(path, found, known.md5, "".join(hints))
    return images


def _images(part: str, md5: str, packed_md5: str) -> KnownFile:
    name = f"{part}-images-idx3-ubyte"
    return KnownFile(name, md5, f"{name}.gz", packed_md5)


MNIST = IdxSet(
    name="mnist",
    folders=("mnist", "MNIST/raw", "moving_mnist", "."),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    train=_images("train", "6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    test=_images("t10k", "2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
)
"""60,000 + 10,000 handwritten digits."""

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    folders=("fashion_mnist", "FashionMNIST/raw", "moving_fmnist", "."),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    train=_images("train", "f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    test=_images("t10k", "8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
)
"""60,000 + 10,000 articles of clothing."""
