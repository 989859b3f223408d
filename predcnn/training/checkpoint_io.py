"""Writing checkpoints atomically and verified, reading them without running code."""

from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from predcnn.files import check_zip, replacing
from predcnn.weights.files import read_pickle


class SealedCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints to a temporary file, verifies and renames it.

    Lightning's own class uses a copy in memory and a file in the system's temporary folder.
    """

    def save_checkpoint(
        self, checkpoint: dict, path: str | Path, storage_options: object | None = None
    ) -> None:
        """Write ``checkpoint``; raises OSError and leaves the file before it."""
        with replacing(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # what torch makes of a failed write
                text = str(error).split("\n", 1)[0]
                raise OSError(f"{path} cannot be written, is the disk full? ({text})") from error
            check_zip(temporary)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: object | None = None,
        weights_only: bool | None = None,
    ) -> dict:
        """The content on the CPU; ValueError if it is damaged or more than plain data."""
        return read_pickle(path)
