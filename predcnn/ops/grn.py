"""Global response normalisation: channels compete by their energy over the whole map.

Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR 2023,
section 3.2 and algorithm 1.
"""

import torch
from torch import Tensor, nn


class GRN(nn.Module):
    """Global response normalisation, channels last: (B, H, W, C) -> (B, H, W, C).

    ``x + beta + gamma * x * energy / mean(energy)``, where the energy of a channel is its L2 norm
    over H and W. Starts as the identity (gamma = beta = 0).
    Without beta (None), the bias of the next layer takes its place.
    """

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        # sums of squares overflow in float16 and round off in bfloat16
        wide = torch.promote_types(x.dtype, torch.float32)
        energy = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True, dtype=wide)
        share = energy / (energy.mean(dim=-1, keepdim=True) + self.eps)
        gain = (1 + self.gamma * share).to(x.dtype)
        if self.beta is None:
            return x * gain
        return torch.addcmul(self.beta.to(x.dtype), x, gain)
