"""Writing checkpoints atomically and verified, reading them without running code."""

from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from predcnn.files import check_zip, replacing
from predcnn.weights.files import read_pickle


class SealedCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints to a temporary file, verifies and renames it.

    Lightning's own class needs a copy in memory and a file in the system's temporary folder.
    """

    def save_checkpoint(self, checkpoint: dict, path: str | Path, **_: object) -> None:
        """Write ``checkpoint``; raise OSError and leave the old file if that fails."""
        with replacing(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # torch's error for a failed write
                text = str(error).split("\n", 1)[0]
                raise OSError(f"{path} cannot be written, is the disk full? ({text})") from error
            check_zip(temporary)

    def load_checkpoint(self, path: str | Path, *_: object, **__: object) -> dict:
        """Read a checkpoint to the CPU; raise ValueError if it is damaged or not plain data."""
        return read_pickle(path)
