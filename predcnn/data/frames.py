"""The one conversion from stored frames to the float frames every model and metric sees."""

import torch
from torch import Tensor

from predcnn.native import BYTES, kernels_for


def to_float(frames: Tensor) -> Tensor:
    """Frames of any shape -> float32 in [0, 1], on the same device.

    Args:
        frames: uint8 in 0..255, divided by 255; or floating point, which must be finite and lie in
            [0, 1].

    Raises:
        ValueError: float frames that are not finite or leave [0, 1].
        TypeError: any other type of number.
    """
    if frames.dtype == torch.uint8:
        return _divided(frames)
    if not frames.is_floating_point():
        raise TypeError(f"frames are uint8 or floating point, not {frames.dtype}")
    if frames.numel() == 0:
        return frames.to(torch.float32)
    low, high = torch.aminmax(frames)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise ValueError("float frames must be finite: there is a NaN or an Inf in the batch")
    if low < 0 or high > 1:
        raise ValueError(
            f"float frames must lie in [0, 1], these span {low:.4g} to {high:.4g}; "
            "divide 0..255 by 255 or hand over uint8"
        )
    return frames.to(torch.float32)


def _divided(frames: Tensor) -> Tensor:
    """uint8 / 255, by the kernel in one pass over memory."""
    kernels = kernels_for(frames, types=BYTES) if frames.is_contiguous() else None
    if kernels is None:
        return frames.to(torch.float32).div_(255)
    out = torch.empty_like(frames, dtype=torch.float32)
    kernels("to_float", frames, out, frames.numel())
    return out
