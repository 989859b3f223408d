"""Pre-training of predictors: fill in hidden cells of the past."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from predcnn.data import SequenceDataModule
from predcnn.data.frames import transferred_to_float
from predcnn.predictors.checkpoint import save_predictor
from predcnn.training.masked_images import MaskedImages
from predcnn.training.prediction import VideoPrediction


class MaskedVideo(MaskedImages):
    """`MaskedImages` on the past of frames (B, T_in + T_out, C, H, W), by `MaskedFrames`."""

    task = "masked_frames"
    definition = (
        "squared error of the hidden pixels of past frames, mean over pixels; no measure of "
        "prediction"
    )
    describe = VideoPrediction.describe

    @property
    def network(self) -> nn.Module:
        return self.method.predictor

    def inputs(self, batch: Tensor) -> Tensor:
        return transferred_to_float(batch)[:, : self.method.frames]

    def build_optimizer(self) -> Optimizer:
        return self.make_optimizer(self.method.parameters())

    def drawn(self, datamodule: SequenceDataModule) -> tuple[Tensor, Callable, str]:
        past = self.inputs(datamodule.split("test").batch(0, [0]))
        return past, lambda frames: frames, "past frames of a test sequence"

    def save_weights(self, run_dir: Path, results: dict) -> None:
        """Write predictor.safetensors."""
        path = save_predictor(self.network, run_dir / "predictor.safetensors", self.run_description)
        print(f"pre-trained predictor, for train.py weights=…: {path}", flush=True)
