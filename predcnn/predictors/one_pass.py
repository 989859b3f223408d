"""Networks that see all past frames at once and predict several frames in one pass."""

from torch import Tensor

from predcnn.predictors.protocol import Predictor
from predcnn.predictors.sizes import pad_to_multiple

HORIZON_HEADS = ("rollout", "direct")


class OnePassPredictor(Predictor):
    """A predictor of several frames a pass, of any H and W; a subclass defines `one_pass`.

    More frames than a pass gives come from feeding the prediction back. H and W that
    ``size_multiple`` does not divide are padded by repeating the border, and cropped again.
    """

    def one_pass(self, frames: Tensor) -> Tensor:
        """Map padded frames (B, T, C, H, W) to the next frames, (B, any number, C, H, W)."""
        raise NotImplementedError

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return self.rollout(past, self.frames_out)

    def _one_pass(self, past: Tensor) -> Tensor:
        height, width = past.shape[-2:]
        future = self.one_pass(pad_to_multiple(past, self.size_multiple))
        return future[:, : self.frames_out, :, :height, :width]


def is_direct(horizon_head: str) -> bool:
    """Return whether a head makes all future frames in one pass; ValueError for no head."""
    if horizon_head not in HORIZON_HEADS:
        raise ValueError(f"horizon_head is 'rollout' or 'direct', not {horizon_head!r}")
    return horizon_head == "direct"
