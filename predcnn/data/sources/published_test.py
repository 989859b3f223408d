"""Published test sequences: .npy files (20, N, 64, 64[, 3]), time first, memory-mapped."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from predcnn.data.draws import stream_key
from predcnn.data.generated.noise import disturb
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.sequences import SequenceDataset
from predcnn.data.sources.known_files import (
    VERIFIED,
    FileReport,
    altered,
    fetch,
    load_arrays,
    report,
)
from predcnn.files import digest


@dataclass(frozen=True)
class PublishedTest:
    """A fixed test file."""

    name: str
    folders: tuple[str, ...]  # folders under the data root to search; a download goes to the first
    shape: tuple[int, ...]  # of the array; -1 for the number of sequences
    md5: str | None = None  # None: no checksum is published
    url: str | None = None  # address, only together with ``md5``; None: fetch the file by hand

    def locate(self, root: Path) -> Path | None:
        """Return the path of the file; None if it is missing."""
        paths = (root / folder / self.name for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)

    def fetch(self, root: Path) -> set[Path]:
        """Download the file if it is missing and has an address; return its path."""
        if self.locate(root) is not None or not self.url:
            return set()
        target = root / self.folders[0] / self.name
        fetch(target, [self.url], self.md5)
        return {target}

    def prepare(self, root: Path, *, download: bool, verify: bool) -> list[FileReport]:
        """Download the file if asked and missing, verify it, and report on it."""
        fetched = self.fetch(root) if download else set()
        path = self.locate(root)
        if path is None:
            return [FileReport(root / self.folders[0] / self.name, "missing")]
        self.checksum(path, verify)
        status = "downloaded" if path in fetched else "present"
        return [report(path, status, VERIFIED if verify and self.md5 else "")]

    def open(self, path: Path) -> np.ndarray:
        """Map the file read-only: (20, N, H, W[, 3]), uint8 or float32 in 0..255."""
        frames = load_arrays(path)
        if not isinstance(frames, np.ndarray):
            raise ValueError(f"{path} is an .npz archive, expected an .npy file")
        fits = frames.ndim == len(self.shape) and all(
            want in (-1, have) for want, have in zip(self.shape, frames.shape, strict=True)
        )
        if not fits or frames.dtype not in (np.uint8, np.float32) or not frames.shape[1]:
            shape = tuple("N" if size == -1 else size for size in self.shape)
            raise ValueError(
                f"{path} holds {frames.dtype} {frames.shape}, expected uint8 or float32 {shape}"
            )
        return frames

    def checksum(self, path: Path, verify: bool) -> str:
        """Return the SHA-256; raise ValueError if the MD5 is not the published one."""
        if verify and self.md5 and (found := digest(path, "md5")) != self.md5:
            raise altered(path, found, self.md5)
        return digest(path)


class PublishedSequences(SequenceDataset):
    """The first sequences of a published test file, (B, T, C, 64, 64) uint8, memory-mapped."""

    protocol = "openstl"

    def __init__(self, published: PublishedTest, path: Path, options: MovingMNISTOptions) -> None:
        self._published, self._path, self._noise = published, path, options.noise
        self._frames: np.ndarray | None = published.open(path)
        frames, length = (options.frames_in, options.frames_out), options.test_sequences
        total, *size = self._frames.shape[1:]
        if length is not None and length > total:
            raise ValueError(f"{path} has {total:,} sequences, not data.test_sequences={length:,}")
        self._length = total if length is None else length
        channels = size[2] if len(size) == 3 else 1
        self.in_shape, self.frames_out = (frames[0], channels, *size[:2]), frames[1]
        self._key = stream_key(options.eval_seed, "test", 0)
        self.source = f"{path.name} ({path.parent}, {total:,} published sequences)"
        sha256 = published.checksum(path, options.verify)
        facts = [sha256, frames, self._length, options.noise, options.eval_seed]
        self.fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_frames": None}  # a pickled map would contain the complete file

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        indices = self._checked(indices)
        if self._frames is None:
            self._frames = self._published.open(self._path)
        stored = self._frames[: self.in_shape[0] + self.frames_out, indices]
        stored = stored if stored.ndim == 5 else stored[..., None]
        stored = rearrange(stored, "t b h w c -> b t c h w")
        frames = np.ascontiguousarray(stored, np.uint8)
        if not np.array_equal(frames, stored):
            raise ValueError(f"{self._path} holds values that are not whole numbers in 0..255")
        disturb(self._noise, frames[:, : self.in_shape[0]], self._key, indices)
        return torch.from_numpy(frames)
