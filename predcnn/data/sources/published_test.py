"""Published test sequences: .npy files (20, N, 64, 64[, 3]), time first, read where they lie."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from predcnn.data.draws import stream_key
from predcnn.data.generated.noise import disturb
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.sequences import SequenceDataset
from predcnn.data.sources.known_files import FileReport, altered, fetch, load_arrays, report
from predcnn.files import digest


@dataclass(frozen=True)
class PublishedTest:
    """A fixed test file.

    Args:
        name: file name.
        folders: folders under the data root to look in; a download goes to the first.
        shape: what the header must announce; -1 for the number of sequences.
        md5: of the file; None: no checksum is published.
        url: where it is; None: it has to be fetched by hand.
    """

    name: str
    folders: tuple[str, ...]
    shape: tuple[int, ...]
    md5: str | None = None
    url: str | None = None

    def locate(self, root: Path) -> Path | None:
        """The file; None when it is not there."""
        paths = (root / folder / self.name for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)

    def fetch(self, root: Path) -> set[Path]:
        """Download the file unless it is there or has no published address and checksum."""
        if self.locate(root) is not None or not self.url or not self.md5:
            return set()
        target = root / self.folders[0] / self.name
        fetch(target, [self.url], self.md5)
        return {target}

    def reports(self, root: Path, verify: bool) -> list[FileReport]:
        """What is there, verified; the place where it belongs when it is not."""
        path = self.locate(root)
        if path is None:
            return [FileReport(root / self.folders[0] / self.name, "missing")]
        self.checksum(path, verify)
        return [report(path, "present", "MD5 of the published file" if verify and self.md5 else "")]

    def open(self, path: Path) -> np.ndarray:
        """Map the file read-only: (20, N, H, W[, 3]), uint8 or float32 in 0..255."""
        frames = load_arrays(path)
        if not isinstance(frames, np.ndarray):
            raise ValueError(f"{path} is no .npy file but an archive of several")
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
    """The first ``length`` sequences of a published test file, (B, T, C, 64, 64) uint8.

    The file is mapped into memory: a batch reads its own bytes and no more.

    Args:
        published: what the file should be.
        path: where it is.
        options: numbers of frames (together at most 20) and sequences, noise, seed, ``verify``.
    """

    protocol = "openstl"

    def __init__(self, published: PublishedTest, path: Path, options: MovingMNISTOptions) -> None:
        self._published, self._path, self._noise = published, path, options.noise
        self._frames: np.ndarray | None = published.open(path)
        frames, length = (options.frames_in, options.frames_out), options.test_sequences
        total, *size = self._frames.shape[1:]
        if length is not None and length > total:
            raise ValueError(f"{path} has {total:,} sequences, {length:,} were asked for")
        self._length = total if length is None else length
        channels = size[2] if len(size) == 3 else 1
        self.in_shape, self.frames_out = (frames[0], channels, *size[:2]), frames[1]
        self._key = stream_key(options.eval_seed, "test", 0)
        self.source = f"{path.name} ({path.parent}, {total:,} published sequences)"
        sha256 = published.checksum(path, options.verify)
        facts = [sha256, frames, self._length, options.noise, options.eval_seed]
        self.fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_frames": None}  # a pickled map would carry the whole file

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """See :meth:`SequenceDataset.batch`; every epoch has the same sequences."""
        indices = self._checked(indices)
        if self._frames is None:
            self._frames = self._published.open(self._path)
        frames = self._frames[: self.in_shape[0] + self.frames_out, indices]  # (T, B, H, W[, 3])
        frames = frames.swapaxes(0, 1)  # (B, T, H, W[, 3])
        frames = np.moveaxis(frames, -1, 2) if frames.ndim == 5 else frames[:, :, None]
        frames = np.ascontiguousarray(self._bytes(frames))
        disturb(self._noise, frames[:, : self.in_shape[0]], self._key, indices)
        return torch.from_numpy(frames)

    def _bytes(self, frames: np.ndarray) -> np.ndarray:
        if frames.dtype == np.uint8:
            return frames
        whole = frames.astype(np.uint8)
        if not np.array_equal(whole, frames):
            raise ValueError(f"{self._path} holds values that are no whole numbers in 0..255")
        return whole
