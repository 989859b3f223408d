"""Conversion of stored frames to the floats in [0, 1] of all models and metrics."""

import numpy as np
import torch
from torch import Tensor

from predcnn.native import BYTES, kernels_for

ROUNDING = 1e-3
"""Accepted distance of given frames from [0, 1]: half precision and resizing round by less."""


def to_float(
    frames: Tensor, *, rounding: float = 0.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Convert frames of any shape to floats in [0, 1], on the same device.

    Args:
        frames: uint8, divided by 255; or floating point, finite and in [0, 1].
        rounding: accepted distance of floats from [0, 1].

    Raises:
        ValueError: float frames that are not finite or outside [0, 1].
        TypeError: any other type of number.
    """
    if frames.dtype == torch.uint8:
        return _divided(frames).to(dtype)
    if not frames.is_floating_point():
        raise TypeError(f"frames are uint8 or floating point, not {frames.dtype}")
    check_floats(frames, rounding=rounding)
    return frames.to(dtype)


def transferred_to_float(frames: Tensor) -> Tensor:
    """Convert as `to_float`, but do not check on an accelerator: the step would wait for it."""
    if frames.is_floating_point() and frames.device.type != "cpu":
        return frames.to(torch.float32)
    return to_float(frames)


def check_floats(frames: Tensor, *, rounding: float = 0.0) -> None:
    """Raise ValueError unless all values are finite and lie in [0, 1] up to ``rounding``."""
    if frames.numel() == 0:
        return
    low, high = torch.aminmax(frames)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise ValueError("float frames must be finite: there is a NaN or an Inf in the batch")
    if low < -rounding or high > 1 + rounding:
        raise ValueError(
            f"float frames must lie in [0, 1], these span {low:.4g} to {high:.4g}; "
            "divide 0..255 by 255 or pass uint8"
        )


def as_batch(
    frames: Tensor | np.ndarray, dtype: torch.dtype = torch.float32, *, any_range: bool = False
) -> Tensor:
    """Convert frames of a user to floats (B, T, C, H, W) in [0, 1].

    Args:
        frames: (T, C, H, W) or (B, T, C, H, W); uint8, or floating point in [0, 1] up to rounding.
        any_range: floats may have any finite value.

    Raises:
        TypeError: no array of such numbers. ValueError: other axes, or see `to_float`.
    """
    if isinstance(frames, np.ndarray) and frames.dtype.kind in "uif":
        frames = torch.from_numpy(np.require(frames, requirements="CW"))
    if not isinstance(frames, Tensor):
        kind = getattr(frames, "dtype", type(frames).__name__)
        raise TypeError(f"frames are a tensor or an array of numbers, not {kind}")
    if frames.ndim not in (4, 5):
        raise ValueError(
            f"frames are (T, C, H, W) or (B, T, C, H, W), not {frames.ndim}-D {tuple(frames.shape)}"
        )
    if frames.numel() == 0:
        raise ValueError(f"there are no frames in an array of shape {tuple(frames.shape)}")
    batch = frames if frames.ndim == 5 else frames[None]
    return to_float(batch, rounding=torch.inf if any_range else ROUNDING, dtype=dtype)


def _divided(frames: Tensor) -> Tensor:
    """Divide uint8 by 255, with the kernel in one pass over memory."""
    kernels = kernels_for(frames, types=BYTES) if frames.is_contiguous() else None
    if kernels is None:
        return frames.to(torch.float32).div_(255)
    out = torch.empty_like(frames, dtype=torch.float32)
    kernels("to_float", frames, out, frames.numel())
    return out
