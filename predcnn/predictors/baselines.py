"""Baselines: every future frame is the last known frame, or the mean training frame."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from predcnn.predictors.protocol import Predictor
from predcnn.registry import PREDICTORS


@PREDICTORS.register("copy_last")
class CopyLast(Predictor):
    """Repeat the last frame, (B, T, C, H, W) -> (B, frames_out, C, H, W), without parameters."""

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return past[:, -1:].repeat(1, self.frames_out, 1, 1, 1)


@PREDICTORS.register("mean_frame")
class MeanFrame(Predictor):
    """The mean training frame, set by `fit`, (B, T, C, H, W) -> (B, frames_out, C, H, W).

    It has the lowest mean squared error of all constant predictions.
    """

    needs_resolution = True

    def __init__(
        self, in_shape: Sequence[int], frames_out: int | None = None, *, compat: str | None = None
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        self.register_buffer("mean", torch.full(self.in_shape[1:], float("nan")))
        self._known = False  # reading the buffer in forward would synchronise with a GPU
        self.register_load_state_dict_post_hook(_look_at_mean)

    @torch.no_grad()
    def fit(self, frames: Iterable[Tensor]) -> "MeanFrame":
        """Set the mean from batches (..., C, H, W): floats in [0, 1], or bytes 0..255."""
        total = torch.zeros(self.in_shape[1:], dtype=torch.float64)
        count = 0
        for batch in frames:
            if tuple(batch.shape[-3:]) != self.in_shape[1:]:
                raise ValueError(f"frames are (..., {self.in_shape[1:]}), not {tuple(batch.shape)}")
            flat = batch.reshape(-1, *self.in_shape[1:]).double().sum(0).cpu()
            total += flat if batch.is_floating_point() else flat / 255
            count += batch[..., 0, 0, 0].numel()
        if count == 0:
            raise ValueError("mean_frame cannot be fitted to no frames")
        self.mean.copy_(total / count)
        self._known = True
        return self

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        if not self._known:
            raise ValueError("mean_frame has no mean yet: call fit(frames) or load a checkpoint")
        self.check_size(past.shape[-2:])
        return self.mean.to(past.dtype).expand(past.shape[0], self.frames_out, -1, -1, -1).clone()


def _look_at_mean(predictor: MeanFrame, keys: object) -> None:
    """Note whether a mean was loaded: unfitted predictors have NaN."""
    predictor._known = not bool(predictor.mean.isnan().any())
