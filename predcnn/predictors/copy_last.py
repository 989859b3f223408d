"""The copy-last baseline of every leaderboard: the future equals the last known frame."""

from torch import Tensor

from predcnn.predictors.protocol import Predictor
from predcnn.registry import PREDICTORS


@PREDICTORS.register("copy_last")
class CopyLast(Predictor):
    """Repeat the last frame, (B, T, C, H, W) -> (B, frames_out, C, H, W); nothing to learn.

    Args:
        in_shape: (T, C, H, W) of the past.
        frames_out: number of future frames; T if None.
        compat: None or "openstl", which are the same here.
    """

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return past[:, -1:].repeat(1, self.frames_out, 1, 1, 1)
