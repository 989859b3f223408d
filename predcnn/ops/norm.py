"""Normalisation over channels and per-channel scales of residual branches."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LayerNorm2d(nn.LayerNorm):
    """Normalise the channels of every pixel, (B, C, H, W) -> (B, C, H, W).

    The result lies in memory with channels last, which the 1x1 convolutions that follow prefer.
    """

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__(dim, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch (Touvron et al. 2021, arXiv:2103.17239).

    Args:
        init_value: the factor at the start; small values make deep stacks start near identity.
        channels_last: True for tokens (B, N, C) or maps (B, H, W, C), False for maps (B, C, H, W).
    """

    def __init__(self, dim: int, init_value: float = 1e-5, *, channels_last: bool = False) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.gamma = nn.Parameter(torch.full((dim,), float(init_value)))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.gamma if self.channels_last else self.gamma.view(-1, 1, 1))
