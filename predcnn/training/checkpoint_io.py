"""How a Trainer writes and reads checkpoints: whole, with a checksum, executing nothing."""

from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from predcnn.files import replacing, seal
from predcnn.weights.files import read_pickle


class SealedCheckpointIO(TorchCheckpointIO):
    """Checkpoints are written beside their place, verified, sealed and renamed.

    Lightning's own goes through a copy in memory and a file in the system's temporary folder.
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
            seal(temporary)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: object | None = None,
        weights_only: bool | None = None,
    ) -> dict:
        """The content on the CPU; ValueError if it is damaged or more than plain data."""
        return read_pickle(path)
