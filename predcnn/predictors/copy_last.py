"""The copy-last baseline: every future frame is the last known frame."""

from torch import Tensor

from predcnn.predictors.protocol import Predictor
from predcnn.registry import PREDICTORS


@PREDICTORS.register("copy_last")
class CopyLast(Predictor):
    """Repeat the last frame, (B, T, C, H, W) -> (B, frames_out, C, H, W), without parameters."""

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return past[:, -1:].repeat(1, self.frames_out, 1, 1, 1)
