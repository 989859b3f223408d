"""Full precision for operators that are inaccurate in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager:
    """Return a context that disables autocast on the device of ``x``."""
    if x.is_meta:
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float32; float64 is kept."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
