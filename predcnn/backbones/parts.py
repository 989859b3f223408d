"""Shared parts of the backbones: stems, downsampling, stages, the classifier."""

from collections.abc import Sequence

from torch import Tensor, nn

from predcnn.ops.norm import LayerNorm2d
from predcnn.ops.reparam import ConvBN


def patch_embed(dim: int, out: int, kernel_size: int, stride: int) -> ConvBN:
    """Overlapping patches: a strided convolution and batch norm."""
    return ConvBN(nn.Conv2d(dim, out, kernel_size, stride=stride, padding=kernel_size // 2))


def patch_embed_twice(dim: int, out: int) -> nn.Sequential:
    """Stride 4 by two `patch_embed` with GELU between them."""
    return nn.Sequential(
        patch_embed(dim, out // 2, 3, 2), nn.GELU(), patch_embed(out // 2, out, 3, 2)
    )


def patches(dim: int, out: int, stride: int, eps: float = 1e-6) -> nn.Sequential:
    """Patches without overlap: a convolution of kernel and stride ``stride``, layer norm."""
    return nn.Sequential(nn.Conv2d(dim, out, stride, stride=stride), LayerNorm2d(out, eps))


def conv_norm(dim: int, out: int, *, bias: bool = True, eps: float = 1e-6) -> nn.Sequential:
    """3 x 3 convolution of stride 2 and layer norm."""
    return nn.Sequential(
        nn.Conv2d(dim, out, 3, stride=2, padding=1, bias=bias), LayerNorm2d(out, eps)
    )


def conv_norm_twice(dim: int, out: int, eps: float = 1e-6) -> nn.Sequential:
    """Stride 4 by two `conv_norm` with GELU between them."""
    return nn.Sequential(
        *conv_norm(dim, out // 2, eps=eps), nn.GELU(), *conv_norm(out // 2, out, eps=eps)
    )


class Stage(nn.Module):
    """Downsampling, blocks and norm: (B, C', H', W') -> (B, C, H, W)."""

    def __init__(self, down: nn.Module, blocks: Sequence[nn.Module], norm: nn.Module) -> None:
        super().__init__()
        self.down = down
        self.blocks = nn.Sequential(*blocks)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.down(x)))


class ClassifierHead(nn.Module):
    """Mean over the map and a linear layer: (B, C, H, W) -> (B, num_classes).

    Args:
        dim: input channels of the linear layer.
        num_classes: 0 for the pooled features.
        conv: applied to the map before the mean; gives ``dim`` channels.
        norm: applied after the mean.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        *,
        conv: nn.Module | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 0:
            raise ValueError(f"num_classes is 0 or more, not {num_classes}")
        self.dim = dim
        self.conv = nn.Identity() if conv is None else conv
        self.norm = nn.Identity() if norm is None else norm
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """Create a new linear layer, or none for 0 classes."""
        self.fc = nn.Linear(self.dim, num_classes) if num_classes else nn.Identity()
        if num_classes:
            nn.init.trunc_normal_(self.fc.weight, std=0.02)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.norm(self.conv(x).mean((2, 3)))
        return x if pre_logits else self.fc(x)


def doubling(first: int) -> tuple[int, int, int, int]:
    """Return widths of four stages, each twice the previous."""
    return first, 2 * first, 4 * first, 8 * first
