"""Published data files: names, checksums, reports and downloads.

Checksums and mirrors of MNIST, Fashion-MNIST, CIFAR-10 and Moving MNIST are those of torchvision;
the MD5s of unpacked IDX files were computed from copies whose images were compared with others.
"""

import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from predcnn.files import digest, replacing

VERIFIED = "MD5 of the published file"


@dataclass(frozen=True)
class KnownFile:
    """A published file."""

    name: str
    md5: str  # of the file as it is used (unpacked)
    packed: str | None = None  # name of the download; None: the download is the file
    packed_md5: str | None = None  # MD5 of the download


@dataclass(frozen=True)
class FileReport:
    """Status of one data file: "present", "downloaded" or "missing"."""

    path: Path
    status: str
    verified: str = ""
    sha256: str = ""
    size: int = 0

    def __str__(self) -> str:
        if self.status == "missing":
            return f"missing     {self.path}"
        return (
            f"{self.status:<11} {self.path}  {self.size:,} bytes  sha256 {self.sha256}  "
            f"{self.verified or 'not verified'}"
        )


@dataclass(frozen=True)
class ImageArchive:
    """Images to build sequences from, uint8 (N, h, w) or (N, h, w, 3)."""

    origin: str  # source of the images for tables and captions, "mnist (datasets/mnist, IDX)"
    train: np.ndarray
    test: np.ndarray | None = None  # None: not loaded
    val: np.ndarray | None = None  # None: taken from ``train`` when needed
    paths: Sequence[Path] = ()  # files that were read


@dataclass(frozen=True)
class PublishedImages:
    """A published set of images: known files in one of several folders under the data root.

    A subclass defines which files are ``wanted``, how to ``fetch`` and ``load`` them, and what was
    ``expected`` as a clause of an error message.
    """

    name: str  # accepted by ``data.source``
    folders: tuple[str, ...]  # folders under the data root to search; downloads go to the first
    mirrors: tuple[str, ...]  # addresses to download from

    def locate(self, root: Path, with_test: bool = True) -> Path | None:
        """Return the first folder that holds any of the files; None if there is none."""
        wanted, folders = self.wanted(with_test), (root / name for name in self.folders)
        return next((f for f in folders if any(find(f, known) for known in wanted)), None)

    def prepare(
        self, root: Path, *, with_test: bool, download: bool, verify: bool
    ) -> list[FileReport]:
        """Download missing files if asked, verify what is there, and report on every file."""
        fetched = self.fetch(root, with_test) if download else set()
        place = self.locate(root, with_test)
        if place is None:
            folder = root / self.folders[0]
            return [FileReport(folder / known.name, "missing") for known in self.wanted(with_test)]
        paths = self.load(place, with_test=with_test, verify=verify).paths
        verified = VERIFIED if verify and place.is_dir() else ""
        return [report(p, "downloaded" if p in fetched else "present", verified) for p in paths]

    def needed(self, folder: Path, known: KnownFile) -> Path:
        """Return the path of a file in ``folder``; FileNotFoundError if it is missing."""
        path = find(folder, known)
        if path is None:
            raise FileNotFoundError(
                f"{folder} has some files of {self.name} but not {known.name}; put it there or set "
                "data.download=true (data.verify=false uses the training batches that are there)"
            )
        return path


def find(folder: Path, known: KnownFile) -> Path | None:
    """Return the path of a file in ``folder``, unpacked or packed; None if it is missing."""
    candidates = (folder / name for name in (known.name, known.packed) if name)
    return next((path for path in candidates if path.is_file()), None)


def altered(path: Path, found: str, expected: str, hint: str = "") -> ValueError:
    """Return the error for a file whose MD5 is not the published one."""
    return ValueError(
        f"{path} is not the published file: its content has MD5 {found}, expected {expected}; "
        f"{hint}delete it to fetch it again, or set data.verify=false to use it anyway"
    )


def report(path: Path, status: str, verified: str) -> FileReport:
    """Return the report of an existing file, with its SHA-256."""
    return FileReport(path, status, verified, digest(path), path.stat().st_size)


def fetch(target: Path, urls: list[str], md5: str) -> None:
    """Download ``target`` from the first mirror that works, and verify it before the rename."""
    from torchvision.datasets.utils import download_url  # imported here: it costs a second

    failures = []
    for url in urls:
        try:
            with replacing(target) as temporary:
                download_url(url, temporary.parent, temporary.name, md5)
            return
        except PermissionError:
            raise
        # RuntimeError: another MD5; URLError and timeouts are OSErrors
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            failures.append(f"{url} ({error}, expected MD5 {md5})")
    raise ConnectionError(
        f"could not download {target.name}: {'; '.join(failures)}; "
        f"without a network put the file at {target} by hand"
    )


def load_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """Return the array of an .npy file, memory-mapped, or all arrays of an .npz file by name."""
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return {name: np.asarray(content[name]) for name in content.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file raises almost anything
        raise ValueError(
            f"{path} is damaged, truncated or not an .npy file or .npz archive: {error}"
        ) from error
