"""Normalisation over channels and per-channel scales of residual branches."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LayerNorm2d(nn.LayerNorm):
    """Normalise the channels of every pixel, (B, C, H, W) -> (B, C, H, W), channels-last memory."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__(dim, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """Learned factor per channel of a residual branch (Touvron et al. 2021, arXiv:2103.17239).

    Args:
        channels_last: True for tokens (B, N, C) or maps (B, H, W, C), False for maps (B, C, H, W).
    """

    def __init__(self, dim: int, init_value: float = 1e-5, *, channels_last: bool = False) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.gamma = nn.Parameter(torch.full((dim,), float(init_value)))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.gamma if self.channels_last else self.gamma.view(-1, 1, 1))


class GRN(nn.Module):
    """Global response normalisation, channels last: (B, H, W, C) -> (B, H, W, C).

    ``x + beta + gamma * x * energy / mean(energy)``, where the energy of a channel is its L2 norm
    over H and W. Starts as the identity (gamma = beta = 0). Without beta (None), the bias of the
    next layer takes its place. Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with
    Masked Autoencoders", CVPR 2023, section 3.2 and algorithm 1.
    """

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        # sums of squares overflow in float16 and lose precision in bfloat16
        wide = torch.promote_types(x.dtype, torch.float32)
        energy = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True, dtype=wide)
        share = energy / (energy.mean(dim=-1, keepdim=True) + self.eps)
        gain = (1 + self.gamma * share).to(x.dtype)
        if self.beta is None:
            return x * gain
        return torch.addcmul(self.beta.to(x.dtype), x, gain)
