"""Checks of frames and their conversion to pixels."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def to_unit(frames: Tensor, name: str = "frames") -> np.ndarray:
    """Convert (T, C, H, W), uint8 or float, C 1 or 3, to a float32 array clipped to [0, 1]."""
    if not isinstance(frames, Tensor):
        raise TypeError(f"{name} is a {type(frames).__name__}, expected a tensor (T, C, H, W)")
    shape = tuple(frames.shape)
    if frames.ndim != 4 or frames.numel() == 0:
        raise ValueError(f"{name} has shape {shape}, expected (T, C, H, W)")
    if shape[1] not in (1, 3):
        raise ValueError(f"{name} has {shape[1]} channels; drawn are 1 (grey) or 3 (RGB)")
    frames = frames.detach().cpu()
    if frames.dtype == torch.uint8:
        return frames.numpy().astype(np.float32) / 255
    if not frames.is_floating_point():
        raise TypeError(f"{name} has dtype {frames.dtype}; drawn are uint8 or float in [0, 1]")
    values = frames.float().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or Inf and cannot be drawn")
    return values.clip(0, 1)


def to_rgb(frames: np.ndarray) -> np.ndarray:
    """Convert (T, 1 or 3, H, W) in [0, 1] to (T, H, W, 3) uint8."""
    pixels = np.round(frames * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels


def check_clip(
    past: Tensor, truth: Tensor | None, predictions: Mapping[str, Tensor]
) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    """Convert the parts of a sequence to arrays in [0, 1] of one frame shape and horizon."""
    if not predictions:
        raise ValueError("predictions is empty; give at least one, {name: (T, C, H, W)}")
    inputs = to_unit(past, "past")
    arrays = {name: to_unit(pred, f"prediction {name!r}") for name, pred in predictions.items()}
    future = None if truth is None else to_unit(truth, "truth")
    want = next(iter(arrays.values())).shape if future is None else future.shape
    if inputs.shape[1:] != want[1:]:
        raise ValueError(f"past has frames of {inputs.shape[1:]}, the future of {want[1:]}")
    for name, pred in arrays.items():
        if pred.shape != want:
            raise ValueError(f"prediction {name!r} has shape {pred.shape}, expected {want}")
    return inputs, future, arrays
