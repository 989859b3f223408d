"""Predictors of colour videos that were trained on some of their channels."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from predcnn.data.clips.video_options import VideoFolderOptions
from predcnn.data.grey import GREY, with_grey


def targets_of(about: Mapping[str, object]) -> tuple[str, ...]:
    """Return ``data.targets`` of a checkpoint from its description; (): all channels."""
    return tuple(about.get("run", {}).get("data", {}).get("targets") or ())


def sees_grey(about: Mapping[str, object]) -> bool:
    """Return whether a checkpoint was trained with grey, computed from colours, as a target."""
    variables = about.get("run", {}).get("data", {}).get("variables") or ()
    return GREY in targets_of(about) and GREY not in variables


class ChosenChannels:
    """A predictor of frames (B, T, C, H, W) whose ``predict`` gives ``targets`` alone; (): all."""

    def __init__(self, predictor: nn.Module, targets: Sequence[str] = ()) -> None:
        self.predictor = predictor
        self.in_shape, self.frames_out = predictor.in_shape, predictor.frames_out
        options = VideoFolderOptions(".", channels=self.in_shape[1], targets=targets or None)
        self.units, self.grey = options.units, options.computes_grey

    def predict(self, frames: Tensor, horizon: int | None = None) -> Tensor:
        """Predict (B, T, targets, H, W) from frames (B, T, C, H, W)."""
        if self.units is None:
            return self.predictor.predict(frames, horizon=horizon)
        self.units.check_horizon(horizon or self.frames_out, self.frames_out)
        return self._chosen(self.predictor.predict(self._seen(frames), horizon=horizon))

    def shown(self, frames: Tensor) -> Tensor:
        """Return the target channels of frames (..., C, H, W)."""
        return frames if self.units is None else self._chosen(self._seen(frames))

    def _seen(self, frames: Tensor) -> Tensor:
        return torch.from_numpy(with_grey(frames.cpu().numpy())) if self.grey else frames

    def _chosen(self, frames: Tensor) -> Tensor:
        return frames[..., list(self.units.targets), :, :]
