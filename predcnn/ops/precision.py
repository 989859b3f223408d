"""Where half precision must not reach: transforms and scans that lose too much in it."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager:
    """A context on the device of ``x`` in which operators run in the precision of their inputs."""
    if x.is_meta:
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def widened(x: Tensor) -> Tensor:
    """``x`` in float32, or as it is in float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
