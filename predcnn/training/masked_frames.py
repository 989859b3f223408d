"""The LightningModule that lets a predictor fill in hidden cells of its past."""

from torch import Tensor, nn

from predcnn.data import to_float
from predcnn.training.masked_images import MaskedImages
from predcnn.training.optim import scheduled

TASK = "masked_frames"
DEFINITIONS = {
    "loss": "squared error of the hidden pixels of past frames, mean over pixels; says nothing of "
    "prediction"
}


class MaskedVideo(MaskedImages):
    """`MaskedImages` on the past of batches of frames (B, T_in + T_out, C, H, W).

    Its method is a `predcnn.pretraining.masked_frames.MaskedFrames`.
    """

    task = TASK

    @property
    def network(self) -> nn.Module:
        """The predictor that is wanted in the end."""
        return self.method.predictor

    def inputs(self, batch: Tensor) -> Tensor:
        """The past of a batch, in [0, 1]."""
        return to_float(batch)[:, : self.method.frames]

    def configure_optimizers(self) -> dict:
        """One group of parameters, as prediction has it."""
        optimizer = self.make_optimizer(self.method.parameters())
        return scheduled(optimizer, self.make_scheduler, self.trainer)
