"""Where data files lie, how they are verified, and how they are fetched.

Checksums and mirrors of MNIST, Fashion-MNIST, CIFAR-10 and Moving MNIST are those of torchvision;
the MD5s of unpacked IDX files were computed from copies whose images were compared with others.
"""

import hashlib
import http.client
import logging
import struct
import tokenize
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from predcnn.files import CHUNK, digest, replacing

UNREADABLE = (
    ValueError, TypeError, KeyError, OSError, EOFError, MemoryError, OverflowError, SyntaxError,
    NotImplementedError, RuntimeError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What numpy raises for a damaged .npy or .npz file."""

log = logging.getLogger(__name__)

TIMEOUT = 30  # seconds without an answer from a mirror


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
    """What is known about one file after looking for it.

    Args:
        path: where it is, or where it belongs.
        status: "present", "downloaded" or "missing".
        verified: what it was held against, e.g. "MD5 of the published file"; "" when nothing.
        sha256: of the file on disk; "" when missing.
        size: bytes on disk; 0 when missing.
    """

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
    """Pictures to build sequences from.

    Args:
        origin: where they come from, for tables and captions, e.g. "mnist (datasets/mnist, IDX)".
        train: uint8 (N, h, w) or (N, h, w, 3).
        test: the same for the test pictures; None: not loaded.
        val: pictures set apart for validation; None: they are cut from ``train`` when needed.
    """

    origin: str
    train: np.ndarray
    test: np.ndarray | None = None
    val: np.ndarray | None = None


def altered(path: Path, found: str, expected: str, hint: str = "") -> ValueError:
    """The error for a file whose MD5 is not the published one."""
    return ValueError(
        f"{path} is not the published file: its content has MD5 {found}, expected {expected}; "
        f"{hint}delete it to fetch it again, or set data.verify=false if you mean this file"
    )


def report(path: Path, status: str, verified: str) -> FileReport:
    """The report of a file that is there, with its SHA-256."""
    return FileReport(path, status, verified, digest(path), path.stat().st_size)


def fetch(target: Path, urls: list[str], md5: str) -> None:
    """Download ``target`` from the first mirror that delivers it, complete or not at all.

    The bytes are compared with ``md5`` before they get the name.

    Raises:
        ConnectionError: no mirror could be reached, or none delivered the published bytes.
        PermissionError: the folder cannot be written.
    """
    failures = []
    for url in urls:
        try:
            with replacing(target) as temporary:
                found = _copy(url, temporary)
                if found != md5:
                    raise OSError(f"MD5 {found}, expected {md5}")
            return
        except PermissionError:
            raise
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts are OSErrors
            failures.append(f"{url} ({error})")
    raise ConnectionError(
        f"could not download {target.name}: {'; '.join(failures)}; "
        f"without a network put the file at {target} by hand"
    )


def fetch_all(folder: Path, files: tuple[KnownFile, ...], mirrors: tuple[str, ...]) -> set[Path]:
    """Fetch those of ``files`` that ``folder`` lacks, packed as the mirrors have them."""
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


def _copy(url: str, path: Path) -> str:
    state = hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        while piece := answer.read(CHUNK):
            state.update(piece)
            file.write(piece)
    return state.hexdigest()
