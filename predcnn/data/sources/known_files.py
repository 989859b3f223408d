"""Published data files: names, checksums, reports and downloads.

Checksums and mirrors of MNIST, Fashion-MNIST, CIFAR-10 and Moving MNIST are those of torchvision;
the MD5s of unpacked IDX files were computed from copies whose images were compared with others.
"""

import http.client
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from predcnn.files import digest, replacing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownFile:
    """A published file.

    Args:
        name: file name.
        md5: of the file as it is used (unpacked).
        packed: name of the download, if that differs.
        packed_md5: of the download; None: the download is the file.
        size: bytes of the file as it is used; None: not known.
    """

    name: str
    md5: str
    packed: str | None = None
    packed_md5: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class FileReport:
    """Status of one data file."""

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
    """Images to build sequences from.

    Args:
        origin: where they come from, for tables and captions, e.g. "mnist (datasets/mnist, IDX)".
        train: uint8 (N, h, w) or (N, h, w, 3).
        test: the test images; None: not loaded.
        val: images for validation; None: they are taken from ``train`` when needed.
    """

    origin: str
    train: np.ndarray
    test: np.ndarray | None = None
    val: np.ndarray | None = None


def altered(path: Path, found: str, expected: str, hint: str = "") -> ValueError:
    """Return the error for a file whose MD5 is not the published one."""
    return ValueError(
        f"{path} is not the published file: its content has MD5 {found}, expected {expected}; "
        f"{hint}delete it to fetch it again, or set data.verify=false if you mean this file"
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


def fetch_all(folder: Path, files: tuple[KnownFile, ...], mirrors: tuple[str, ...]) -> set[Path]:
    """Download the files missing in ``folder``, packed as the mirrors have them."""
    fetched = set()
    for known in files:
        packed = known.packed or known.name
        if (folder / known.name).exists() or (folder / packed).exists():
            continue
        log.info("downloading %s to %s", packed, folder)
        urls = [mirror + packed for mirror in mirrors]
        fetch(folder / packed, urls, known.packed_md5 or known.md5)
        fetched.add(folder / packed)
    return fetched


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
            f"{path} is damaged, truncated or no .npy file or .npz archive: {error}"
        ) from error
