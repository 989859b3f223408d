"""Swin: self-attention within windows that shift from block to block.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021,
https://arxiv.org/abs/2103.14030 (fig. 2-4, eq. 4). Compared with OpenSTL's code.
"""

from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.blocks.protocol import check_dim
from predcnn.ops import DropPath, MultiHeadAttention, TokenMlp, init_trunc_normal
from predcnn.ops.windows import join, partition, relative_position_index, separated
from predcnn.registry import BLOCKS


def published_window(resolution: tuple[int, int] | None) -> int:
    """Return the window size of the reference code: 7 if it divides the height, else height / 16.

    height / 16 is clamped to [4, 8], both to the map. Without a resolution it is 4.
    """
    if resolution is None:
        return 4
    size = 7 if resolution[0] % 7 == 0 else min(8, max(4, resolution[0] // 16))
    return min(size, *resolution)


class WindowAttention(MultiHeadAttention):
    """Attention within n windows with a learned bias per offset, (B n, N, C) is kept (eq. 4)."""

    def __init__(self, dim: int, heads: int, window_size: int) -> None:
        super().__init__(dim, heads)
        self.offset_bias = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, heads))
        nn.init.trunc_normal_(self.offset_bias, std=0.02)
        index = relative_position_index(window_size)
        self.register_buffer("offset_index", index, persistent=False)

    def bias(self, blocked: Tensor | None, batch: int) -> Tensor:
        """Return the bias of the logits: (1, heads, N, N), or (batch n, heads, N, N) if masked.

        ``blocked`` (n, N, N) bool marks pairs of pixels that must not see each other.
        """
        bias = rearrange(self.offset_bias[self.offset_index], "n m heads -> 1 heads n m")
        if blocked is not None:
            bias = bias.masked_fill(blocked[:, None], float("-inf")).repeat(batch, 1, 1, 1)
        return bias


@BLOCKS.register("swin")
class SwinBlock(nn.Module):
    """One Swin block, (B, C, H, W) -> (B, C, H, W); pads to full windows and crops the result.

    In a stack every second block shifts its windows.

    Args (others: see `predcnn.blocks.protocol`):
        resolution: (H, W) of the input; only sets the default of ``window_size``.
        window_size: side of a window; None for `published_window`.
        shift: shift the windows by half of their side.
        mask_shift: True separates pixels that the shift brings together from opposite borders, as
            in the paper; False, as in the video prediction code, does not. Padding is always
            separated.
    """

    dim_multiple: ClassVar[int] = 8
    openstl_keys: ClassVar[dict[str, str]] = {
        "attn.offset_bias": "attn.relative_position_bias_table"
    }
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("attn_mask", "attn.relative_position_index")

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        heads: int = 8,
        window_size: int | None = None,
        shift: bool = False,
        mask_shift: bool = False,
    ) -> None:
        super().__init__()
        check_dim("swin", dim, self.dim_multiple)
        self.window_size = window_size or published_window(resolution)
        self.shift = self.window_size // 2 if shift else 0
        self.mask_shift = mask_shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, self.window_size)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = TokenMlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    @staticmethod
    def depth_options(index: int, changes_width: bool) -> dict[str, bool]:
        """Own options of the ``index``-th Swin block of a stack."""
        return {"shift": index % 2 == 1}

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = x + self.drop_path(self._attend(self.norm1(x), self.window_bias(x)))
        return (x + self.drop_path(self.mlp(self.norm2(x)))).permute(0, 3, 1, 2)

    def window_bias(self, x: Tensor) -> Tensor:
        """`WindowAttention.bias` for maps of the shape of ``x`` (B, H, W, C)."""
        (full, shift), inside = self._windows(x), tuple(x.shape[1:3])
        blocked, seam = None, self.mask_shift and shift > 0
        if full != inside or seam:
            blocked = separated(full, inside, self.window_size, shift, x.device, seam=seam)
        return self.attn.bias(blocked, x.shape[0])

    def _windows(self, x: Tensor) -> tuple[tuple[int, int], int]:
        """Return the size of the padded maps and the shift, 0 if one window covers an axis."""
        full = tuple(n + -n % self.window_size for n in x.shape[1:3])
        return full, self.shift if min(full) > self.window_size else 0

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        size, (height, width) = self.window_size, x.shape[1:3]
        full, shift = self._windows(x)
        x = functional.pad(x, (0, 0, 0, full[1] - width, 0, full[0] - height))
        if shift:
            x = x.roll((-shift, -shift), (1, 2))
        x = join(self.attn(partition(x, size), bias), size, *full)
        if shift:
            x = x.roll((shift, shift), (1, 2))
        return x[:, :height, :width]
