"""Stems and downsampling, as the families share them."""

from torch import nn

from predcnn.ops.norm import LayerNorm2d
from predcnn.ops.reparam import ConvBN


def patch_embed(dim: int, out: int, kernel_size: int, stride: int) -> ConvBN:
    """Patches that overlap: a strided convolution and its batch norm."""
    return ConvBN(nn.Conv2d(dim, out, kernel_size, stride=stride, padding=kernel_size // 2))


def patch_embed_twice(dim: int, out: int) -> nn.Sequential:
    """Stride 4 in two steps of `patch_embed` with GELU between them."""
    return nn.Sequential(
        patch_embed(dim, out // 2, 3, 2), nn.GELU(), patch_embed(out // 2, out, 3, 2)
    )


def patches(dim: int, out: int, stride: int, eps: float = 1e-6) -> nn.Sequential:
    """Patches that do not overlap: a convolution of kernel and stride ``stride``, layer norm."""
    return nn.Sequential(nn.Conv2d(dim, out, stride, stride=stride), LayerNorm2d(out, eps))


def norm_patches(dim: int, out: int) -> nn.Sequential:
    """ConvNeXt's downsampling: layer norm, then patches of 2 x 2."""
    return nn.Sequential(LayerNorm2d(dim), nn.Conv2d(dim, out, 2, stride=2))


def conv_norm(dim: int, out: int, *, bias: bool = True, eps: float = 1e-6) -> nn.Sequential:
    """A 3 x 3 convolution of stride 2 and layer norm."""
    return nn.Sequential(
        nn.Conv2d(dim, out, 3, stride=2, padding=1, bias=bias), LayerNorm2d(out, eps)
    )


def conv_norm_twice(dim: int, out: int, eps: float = 1e-6) -> nn.Sequential:
    """Stride 4 in two steps of `conv_norm` with GELU between them."""
    return nn.Sequential(
        *conv_norm(dim, out // 2, eps=eps), nn.GELU(), *conv_norm(out // 2, out, eps=eps)
    )
