"""Base class of the splits of sequence data sets: batches by (epoch, index)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from predcnn.data.draws import permutation, stream_key
from predcnn.registry import Registry

SETS = Registry("data set")
"""Data sets of three splits by name: the values of ``data.name``."""

Key = tuple[int, int]
"""(epoch, index) of a sequence."""


class SequenceDataset(Dataset, ABC):
    """One split: sequences (T_in+T_out, C, H, W), see `predcnn.data.splits.SplitDataset`."""

    in_shape: tuple[int, int, int, int]  # (T_in, C, H, W)
    frames_out: int
    source: str
    protocol: str  # how the splits were made, e.g. "isolated"
    fingerprint: str
    finite: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Sequences per epoch."""

    @abstractmethod
    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """Return sequences (B, T_in+T_out, C, H, W), uint8 or float32 in [0, 1]."""

    def __getitem__(self, key: int | Key) -> Tensor:
        """Return one sequence (T_in+T_out, C, H, W); an index alone means epoch 0."""
        epoch, index = (0, key) if isinstance(key, (int, np.integer)) else key
        return self.batch(epoch, [index])[0]

    def __getitems__(self, keys: Sequence[Key]) -> Tensor:
        epochs = {epoch for epoch, _ in keys}
        if len(epochs) == 1:
            return self.batch(epochs.pop(), [index for _, index in keys])
        return torch.stack([self[key] for key in keys])

    def _checked(self, indices: Sequence[int]) -> np.ndarray:
        array = np.asarray(indices, dtype=np.int64).reshape(-1)
        if array.size and (array.min() < 0 or array.max() >= len(self)):
            raise IndexError(f"sequences are 0..{len(self) - 1}, not {array.min()}..{array.max()}")
        return array


def windows_in_rounds(
    seed: int, epoch: int, indices: np.ndarray, length: int, count: int
) -> np.ndarray:
    """Return the window (0 to ``count - 1``) of each training sequence of an epoch.

    Training draws all windows in a new order in every round, independent of ``length``.
    """
    positions = int(epoch) * length + indices
    rounds = {
        int(r): permutation(stream_key(seed, "train", int(r)), count)
        for r in np.unique(positions // count)
    }
    return np.array([rounds[p // count][p % count] for p in positions.tolist()])
