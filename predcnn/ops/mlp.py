"""Two-layer MLPs, on maps (1x1 convolutions) or on tokens (linear layers)."""

from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.pointwise import PointwiseConv2d


class ConvMlp(nn.Module):
    """MLP of every pixel, (B, C, H, W) -> (B, C, H, W).

    Args:
        depthwise: odd kernel size of a depthwise convolution before the activation, or None.
        middle: a module applied to the hidden map after the activation, or None.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        depthwise: int | None = None,
        middle: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.fc1 = PointwiseConv2d(dim, hidden)
        self.depthwise = DepthwiseConv2d(hidden, depthwise) if depthwise else nn.Identity()
        self.act = nn.GELU()
        self.middle = middle if middle is not None else nn.Identity()
        self.fc2 = PointwiseConv2d(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.middle(self.act(self.depthwise(self.fc1(x)))))


class TokenMlp(nn.Module):
    """MLP over the last axis, (..., C) -> (..., C)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class SwiGLU(nn.Module):
    """Gated MLP over the last axis, out(SiLU(gate(x)) * value(x)): (..., C) -> (..., C)."""

    def __init__(self, dim: int, hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden)
        self.value = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.out(self.dropout(functional.silu(self.gate(x)) * self.value(x))))
