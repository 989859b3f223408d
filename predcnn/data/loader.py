"""A DataLoader that draws whole batches by number and keeps no position of its own."""

import os

import torch
from torch.utils.data import DataLoader

from predcnn.data.sampler import SequenceSampler
from predcnn.data.splits import SplitDataset


class SequenceLoader(DataLoader):
    """A DataLoader whose position is kept by the data module, see :meth:`state_dict`."""

    def state_dict(self) -> dict[str, object]:
        """Nothing: Lightning warns about unfinished epochs unless a loader has this method."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Nothing, see :meth:`state_dict`."""


def load_batches(
    dataset: SplitDataset, sampler: SequenceSampler, num_workers: int, pin_memory: bool
) -> SequenceLoader:
    """The batches that ``sampler`` names, from workers that live as long as the loader."""
    return SequenceLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_unchanged,
        num_workers=num_workers,
        worker_init_fn=_apart,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        # its own, so that a loader draws nothing from the stream of drop-path and dropout
        generator=torch.Generator(),
    )


def _unchanged(batch: object) -> object:
    return batch


def _apart(worker: int) -> None:
    """Ctrl-C is for the process that trains: it stops its workers after its last step."""
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
