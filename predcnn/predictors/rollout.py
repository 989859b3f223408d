"""Predictions longer than one pass gives, by feeding predictions back."""

from collections.abc import Callable

import torch
from torch import Tensor


def roll_out(step: Callable[[Tensor], Tensor], past: Tensor, horizon: int) -> Tensor:
    """Frames 1..horizon after ``past``, (B, T, C, H, W) -> (B, horizon, C, H, W).

    ``step`` maps the last T known frames to the next n >= 1; its output joins the known frames
    until there are enough, and the surplus is cut. Gradients flow through all passes.
    """
    length = past.shape[1]
    known, pieces, count = past, [], 0
    while count < horizon:
        piece = step(known)
        pieces.append(piece)
        count += piece.shape[1]
        if count < horizon:
            known = torch.cat([known, piece], dim=1)[:, -length:]
    frames = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)
    return frames[:, :horizon]
