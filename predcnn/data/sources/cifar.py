"""CIFAR-10 as Python batches or as one .npz file; batches are read without executing anything.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from einops import rearrange

from predcnn.data.sources import known_files
from predcnn.data.sources.known_files import ImageArchive, KnownFile, PublishedImages
from predcnn.files import digest, replacing

_PIXELS = 3 * 32 * 32


def _latin1(text: str, encoding: str) -> bytes:
    """Encode strings, the form in which pickle protocol 2 stores bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused: it asks for the encoding {encoding!r}")
    return text.encode("latin1")


class NumpyUnpickler(pickle._Unpickler):
    """Unpickles plain containers and numpy arrays; any other class or function is refused.

    The implementation in Python: that in C allocates what a damaged memo index asks for.
    """

    # names of the functions that rebuild arrays, in pickles of all numpy versions
    _admitted: ClassVar[dict[tuple[str, str], object]] = {
        ("_codecs", "encode"): _latin1,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self._admitted:
            raise pickle.UnpicklingError(f"refused: it asks for {module}.{name}")
        return self._admitted[module, name]


def read_batch(path: Path) -> np.ndarray:
    """Read a CIFAR-10 Python batch as uint8 (N, 32, 32, 3), RGB."""
    content = path.read_bytes()
    try:
        batch = NumpyUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(
            f"{path} is not a CIFAR-10 Python batch, or is damaged: {error}"
        ) from error
    data = batch.get("data", batch.get(b"data")) if isinstance(batch, dict) else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (_PIXELS,):
        raise ValueError(f"{path} has no 'data' of type uint8 and shape (N, {_PIXELS})")
    return np.ascontiguousarray(rearrange(data, "n (c h w) -> n h w c", c=3, h=32))


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read train and test images, uint8 (N, 32, 32, 3), from an .npz file.

    ``images`` holds both, ``split`` (N,) marks train with 0 and test with 1.
    """
    arrays = known_files.load_arrays(path)
    if not isinstance(arrays, dict) or not {"images", "split"} <= arrays.keys():
        raise ValueError(f"{path} lacks 'images' and 'split'")
    images, split = arrays["images"], arrays["split"]
    fits = images.dtype == np.uint8 and images.shape == (*split.shape, 32, 32, 3)
    if not fits or not {0, 1} <= set(split.tolist()):
        raise ValueError(
            f"{path}: 'images' is {images.dtype} {images.shape}, 'split' {split.shape}; expected "
            "uint8 (N, 32, 32, 3) and (N,) with images of train (0) and of test (1)"
        )
    return images[split == 0], images[split == 1]


@dataclass(frozen=True)
class CifarSet(PublishedImages):
    """CIFAR-10: 50,000 + 10,000 colour images of 32x32, train and test in one archive."""

    # .npz files under the data root that are accepted instead, see `read_npz`
    arrays: tuple[str, ...]
    train: tuple[KnownFile, ...]
    test: KnownFile
    packed: KnownFile  # the archive to download

    def wanted(self, with_test: bool = True) -> tuple[KnownFile, ...]:
        return (*self.train, self.test)

    def locate(self, root: Path, with_test: bool = True) -> Path | None:
        """Return the folder of batches or the .npz file; None if there is neither."""
        arrays = (root / name for name in self.arrays)
        return super().locate(root) or next((path for path in arrays if path.is_file()), None)

    def expected(self, root: Path, with_test: bool = True) -> str:
        arrays = " or ".join(str(root / name) for name in self.arrays)
        return f"the Python batches in {root / self.folders[0]}, or {arrays}"

    def load(self, place: Path, *, with_test: bool = True, verify: bool = True) -> ImageArchive:
        """Read and verify the images at ``place``, the result of `locate`."""
        if place.suffix == ".npz":
            train, test = read_npz(place)
            origin = f"{self.name} ({place}, {len(train):,}+{len(test):,})"
            return ImageArchive(origin, train, test, paths=[place])
        wanted = self.wanted()
        if not verify:  # some training batches may be missing
            there = [known for known in self.train if (place / known.name).is_file()]
            wanted = (*(there or self.train[:1]), self.test)
        paths = []
        for known in wanted:
            paths.append(self.needed(place, known))
            if verify and (found := digest(paths[-1], "md5")) != known.md5:
                raise known_files.altered(paths[-1], found, known.md5)
        *train, test = map(read_batch, paths)
        checked = "" if verify else ", unverified"
        origin = f"{self.name} ({place}, Python batches{checked})"
        return ImageArchive(origin, np.concatenate(train), test, paths=paths)

    def fetch(self, root: Path, with_test: bool = True) -> set[Path]:
        """Download the archive and unpack missing batches; return their paths."""
        folder = self.locate(root) or root / self.folders[0]
        missing = [known for known in self.wanted() if not (folder / known.name).exists()]
        if folder.suffix == ".npz" or not missing:
            return set()
        archive = root / self.packed.name
        if not archive.exists():
            known_files.fetch(archive, list(self.mirrors), self.packed.md5)
        _unpack(archive, folder, missing)
        return {folder / known.name for known in missing}


def _unpack(archive: Path, folder: Path, files: list[KnownFile]) -> None:
    try:
        with tarfile.open(archive) as tar:
            for known in files:
                member = tar.extractfile(f"cifar-10-batches-py/{known.name}")
                with replacing(folder / known.name) as temporary:
                    temporary.write_bytes(member.read() if member else b"")
    except (tarfile.TarError, EOFError, KeyError, zlib.error) as error:
        raise ValueError(f"{archive} is truncated or damaged ({error}); delete it") from error


_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}

CIFAR10 = CifarSet(
    name="cifar10",
    folders=("cifar-10-batches-py", "cifar10/cifar-10-batches-py"),
    arrays=("cifar10.npz", "cifar10_subset.npz"),
    train=tuple(KnownFile(name, md5) for name, md5 in _MD5.items()),
    test=KnownFile("test_batch", "40351d587109b95175f43aff81a1287e"),
    packed=KnownFile("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
    mirrors=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)
