"""Multi-head self-attention over tokens or over the pixels of a map."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention, tokens (B, N, C) -> (B, N, C).

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 (sec. 3.2), by torch's fused kernels.

    Args:
        heads: number of heads; must divide ``dim`` unless ``head_dim`` is given.
        head_dim: channels of a head; None for ``dim / heads``.
    """

    def __init__(
        self, dim: int, heads: int = 8, *, qkv_bias: bool = True, head_dim: int | None = None
    ) -> None:
        super().__init__()
        if head_dim is None and dim % heads:
            raise ValueError(f"{dim} channels cannot be divided into {heads} heads")
        self.heads = heads
        inner = dim if head_dim is None else heads * head_dim
        self.qkv = nn.Linear(dim, 3 * inner, bias=qkv_bias)
        self.proj = nn.Linear(inner, dim)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend; ``bias``, broadcast to (B, heads, N, N), is added to the logits."""
        query, key, value = rearrange(
            self.qkv(x), "b n (qkv heads c) -> qkv b heads n c", qkv=3, heads=self.heads
        )
        bias = None if bias is None else bias.to(query.dtype)
        if bias is not None and bias.requires_grad and query.device.type == "cpu":
            # torch has no fused kernel for a learned bias, and its fallback searches for empty rows
            scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + bias
            x = scores.softmax(dim=-1) @ value
        else:
            x = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        x = rearrange(x, "b heads n c -> b n heads c")
        if torch.compiler.is_exporting():  # other runtimes do not keep the kernel's memory layout
            x = x.clone(memory_format=torch.contiguous_format)
        return self.proj(rearrange(x, "b n heads c -> b n (heads c)"))


class MapAttention(MultiHeadAttention):
    """`MultiHeadAttention` over all pixels of a map, (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = super().forward(rearrange(x, "b c h w -> b (h w) c"))
        return rearrange(x, "b (h w) c -> b c h w", h=height, w=width)


def sincos_position_2d(dim: int, height: int, width: int, *, device: torch.device) -> Tensor:
    """Return sines and cosines of rows, then columns, (height * width, dim) in [-1, 1]."""
    if dim % 4:
        raise ValueError(f"2-D sine positions need channels divisible by 4, not {dim}")
    omega = 1.0 / 10000 ** (torch.arange(dim // 4, device=device) / (dim // 4))
    rows = torch.arange(height, device=device).outer(omega)  # (H, dim / 4)
    columns = torch.arange(width, device=device).outer(omega)
    rows = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, width, -1)
    columns = torch.cat([columns.sin(), columns.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], 2).reshape(height * width, dim)


def sinusoid_position(length: int, dim: int, *, device: torch.device | None = None) -> Tensor:
    """Return positions of a sequence as sines and cosines, (length, dim) float32 in [-1, 1].

    Channel i of position k is the sine (even i) or cosine (odd i) of k / 10000^(2 (i // 2) / dim).
    The angle is rounded from float64 to float32 before sine and cosine, as in PredFormer's code.
    """
    pairs = torch.arange(dim, device=device, dtype=torch.float64) // 2
    steps = torch.arange(length, device=device, dtype=torch.float64)
    angle = (steps[:, None] / 10000 ** (2 * pairs / dim)).float()
    even = torch.arange(dim, device=device) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos())
