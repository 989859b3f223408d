"""SwinLSTM-D: LSTM layers whose convolutions are Swin blocks, in a U of two resolutions.

Tang et al., "SwinLSTM: Improving Spatiotemporal Prediction Accuracy using Swin Transformer and
LSTM", ICCV 2023, https://arxiv.org/abs/2308.09891 (fig. 2 and 3, eq. 2)
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import linear

from predcnn.blocks.swin import SwinBlock
from predcnn.predictors.unrolling import RecurrentPredictor, note_unused, over_time
from predcnn.registry import PREDICTORS

State = list[tuple[Tensor, Tensor, list[Tensor]]]
"""(hidden, cell, biases of the blocks' windows) of every layer; the first two (B, H, W, C)."""


class FusingSwinBlock(SwinBlock):
    """A Swin block that can take a second map, maps (B, H, W, C) -> (B, H, W, C).

    Shifted windows are masked, unlike those of the published translator. Linear layers start as
    PyTorch's defaults. Every second block never gets a second map, yet the published one has the
    linear layer for it; compat "openstl" keeps it.

    Args:
        index: of the block in its cell; odd ones shift their windows.
    """

    unused_openstl_keys: ClassVar[tuple[str, ...]] = (*SwinBlock.unused_openstl_keys, "red")

    def __init__(
        self, dim: int, heads: int, window: int, index: int, drop_path: float, compat: str | None
    ) -> None:
        odd = index % 2 == 1
        super().__init__(
            dim, drop_path=drop_path, heads=heads, window_size=window, shift=odd, mask_shift=True
        )
        for part in self.modules():
            if isinstance(part, nn.Linear):
                part.reset_parameters()
        if odd:
            note_unused(self, compat, lambda: {"red": nn.Linear(2 * dim, dim)})
        else:
            self.red = nn.Linear(2 * dim, dim)

    def enter(self, x: Tensor) -> Tensor:
        """The part of ``x`` (..., H, W, C) in its mixture with another map; many steps at once."""
        return linear(self.norm1(x), self.red.weight[:, : x.shape[-1]], self.red.bias)

    def forward(
        self, x: Tensor, bias: Tensor, other: Tensor | None = None, entered: Tensor | None = None
    ) -> Tensor:
        """Attend within ``x``, or a mixture of ``x`` and ``other``; the shortcut is ``x``.

        ``bias`` is the `window_bias`, the same at every step; ``entered`` is `enter` of ``x``.
        """
        if other is None:
            y = self.norm1(x)
        else:
            entered = self.enter(x) if entered is None else entered
            y = entered + linear(self.norm1(other), self.red.weight[:, x.shape[-1] :])
        x = x + self.drop_path(self._attend(y, bias))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class SwinLSTMCell(nn.Module):
    """One gate for everything: f = σ(o), c <- f · (c + tanh o), h = f · tanh c, o from Swin blocks.

    One layer over S steps, (S, B, H, W, C) -> hidden states of the same shape.
    """

    openstl_keys: ClassVar[dict[str, str]] = {"blocks": "STBs"}

    def __init__(
        self, dim: int, heads: int, window: int, drop_path: Sequence[float], compat: str | None
    ) -> None:
        super().__init__()
        self.dim = dim
        self.blocks = nn.ModuleList(
            FusingSwinBlock(dim, heads, window, index, rate, compat)
            for index, rate in enumerate(drop_path)
        )

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, biases: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Returns the hidden states (S, B, H, W, C) and the last cell state (B, H, W, C).

        ``biases`` are the `window_bias` of every block.
        """
        hidden = []
        for step, entered in zip(x, self.blocks[0].enter(x), strict=True):
            o = self.blocks[0](step, biases[0], h, entered)
            for index, block in enumerate(self.blocks[1:], start=1):
                o = block(o, biases[index], step if index % 2 == 0 else None)
            forget = torch.sigmoid(o)
            c = forget * (c + torch.tanh(o))
            h = forget * torch.tanh(c)
            hidden.append(h)
        return torch.stack(hidden), c


class PatchEmbedding(nn.Module):
    """Frames (B, C, H, W) -> maps (B, H/2, W/2, dim)."""

    def __init__(self, channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(rearrange(self.proj(x), "b c h w -> b h w c"))


class PatchMerging(nn.Module):
    """Halve the size, double the channels: (B, H, W, dim) -> (B, H/2, W/2, 2*dim).

    The four pixels of a square are stacked column by column, as published.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        squares = rearrange(x, "b (h p1) (w p2) c -> b h w (p2 p1 c)", p1=2, p2=2)
        return self.reduction(self.norm(squares))


class PatchExpanding(nn.Module):
    """Double the size, halve the channels: (B, H, W, dim) -> (B, 2*H, 2*W, dim/2)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(dim // 2)

    def forward(self, x: Tensor) -> Tensor:
        pixels = "b h w (p1 p2 c) -> b (h p1) (w p2) c"
        return self.norm(rearrange(self.expand(x), pixels, p1=2, p2=2))


@PREDICTORS.register("swinlstm")
class SwinLSTM(RecurrentPredictor):
    """SwinLSTM-D, (B, T, C, H, W) -> (B, frames_out, C, H, W) in (0, 1), through a sigmoid.

    H and W are multiples of ``patch_size * 2**layers``; windows that do not fit are padded and
    masked. The published code is reproduced, its defaults included; compat "openstl" only adds its
    unused parameters (a second patch embedding, a linear layer in every second block).

    Args (others: see `Predictor`):
        depths_downsample: Swin blocks of each layer on the way down.
        depths_upsample: Swin blocks of each layer on the way up, listed from fine to coarse.
        num_heads: of the attention, from fine to coarse.
        patch_size: 2; the decoder doubles the size once.
        embed_dim: channels of the finest layer, a multiple of 8; a coarser one has twice as many.
        drop_path: largest probability of skipping a branch; rises linearly with the depth.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "embed": "Downsample.patch_embed",
        "down": "Downsample.layers",
        "shrink": "Downsample.downsample",
        "up": "Upsample.layers",
        "grow": "Upsample.upsample",
        "readout": "Upsample.Unembed.Conv",
        "unused_embed": "Upsample.patch_embed",
    }
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("Upsample.patch_embed",)

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        depths_downsample: Sequence[int] = (2, 6),
        depths_upsample: Sequence[int] = (6, 2),
        num_heads: Sequence[int] = (4, 8),
        patch_size: int = 2,
        window_size: int = 4,
        embed_dim: int = 128,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        layers = len(depths_downsample)
        if not layers or {len(depths_upsample), len(num_heads)} != {layers}:
            raise ValueError(
                f"depths_downsample, depths_upsample and num_heads list the same layers, not "
                f"{tuple(depths_downsample)}, {tuple(depths_upsample)}, {tuple(num_heads)}"
            )
        if patch_size != 2:
            raise ValueError(f"the decoder doubles the size once: patch_size 2, not {patch_size}")
        self.patch_size, self.size_multiple = patch_size, patch_size * 2**layers
        self.check_size(self.in_shape[2:])
        levels, C, dim = range(layers), self.in_shape[1], embed_dim
        down = rising(drop_path, depths_downsample)
        up = [rates[::-1] for rates in rising(drop_path, depths_upsample)]

        def cell(level: int, heads: int, rates: Sequence[float]) -> SwinLSTMCell:
            window = min(window_size, min(self.in_shape[2:]) // patch_size // 2**level)
            return SwinLSTMCell(dim * 2**level, heads, window, rates, compat)

        self.embed = PatchEmbedding(C, dim, patch_size)
        self.down = nn.ModuleList(cell(i, num_heads[i], down[i]) for i in levels)
        self.shrink = nn.ModuleList(PatchMerging(dim * 2**i) for i in levels)
        self.up = nn.ModuleList(cell(i + 1, num_heads[i], up[i]) for i in levels[::-1])
        self.grow = nn.ModuleList(PatchExpanding(dim * 2 ** (i + 1)) for i in levels[::-1])
        self.readout = nn.ConvTranspose2d(dim, C, 3, 2, padding=1, output_padding=1)
        note_unused(self, compat, lambda: {"unused_embed": PatchEmbedding(C, dim, patch_size)})

    def begin(self, first: Tensor, *, collect: bool) -> State:
        B, _, H, W = first.shape
        layers = len(self.down)
        shrunk = [self.patch_size * 2**k for k in (*range(layers), *range(layers, 0, -1))]
        cells = (*self.down, *self.up)
        zeros = [
            first.new_zeros(B, H // n, W // n, cell.dim)
            for n, cell in zip(shrunk, cells, strict=True)
        ]
        return [
            (zero, zero, [block.window_bias(zero) for block in cell.blocks])
            for zero, cell in zip(zeros, cells, strict=True)
        ]

    def advance(self, fed: Tensor, state: State, *, last_only: bool) -> Tensor:
        """S steps, layer by layer: no layer waits for a higher one."""
        x = over_time(self.embed, fed)
        resize = (*self.shrink, *self.grow)
        for layer, cell in enumerate((*self.down, *self.up)):
            x, c = cell(x, *state[layer])
            state[layer] = (x[-1], c, state[layer][2])
            if last_only and layer == len(resize) - 1:
                x = x[-1:]
            x = over_time(resize[layer], x)
        return torch.sigmoid(over_time(self.readout, rearrange(x, "s b h w c -> s b c h w")))


def rising(largest: float, depths: Sequence[int]) -> list[list[float]]:
    """Return probabilities from 0 to ``largest`` over all blocks, split into layers."""
    rates = torch.linspace(0, largest, sum(depths), dtype=torch.float64, device="cpu")
    return [layer.tolist() for layer in rates.split(list(depths))]
