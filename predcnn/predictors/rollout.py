"""Longer predictions by feeding predictions back."""

from collections.abc import Callable

import torch
from torch import Tensor


def roll_out(step: Callable[[Tensor], Tensor], past: Tensor, horizon: int) -> Tensor:
    """Predict the frames after ``past``, (B, T, C, H, W) -> (B, horizon, C, H, W), differentiably.

    ``step`` maps the last T frames, true or predicted, to the next n >= 1.
    """
    known, pieces = past, []
    while sum(piece.shape[1] for piece in pieces) < horizon:
        pieces.append(step(known))
        known = torch.cat([known, pieces[-1]], dim=1)[:, -past.shape[1] :]
    return torch.cat(pieces, dim=1)[:, :horizon]
