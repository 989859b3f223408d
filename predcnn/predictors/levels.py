"""Parts of SwinLSTM and VMRNN: cells at several resolutions, over maps (B, H, W, C)."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from predcnn.predictors.unrolling import RecurrentPredictor, over_time

State = list[tuple]
"""(hidden, cell, constants...) of every cell; the first two are (B, H, W, C)."""


class PatchEmbedding(nn.Module):
    """Frames (B, C, H, W) -> maps (B, H/patch, W/patch, dim)."""

    def __init__(self, channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(rearrange(self.proj(x), "b c h w -> b h w c"))


class PatchMerging(nn.Module):
    """Halve the size, double the channels: (B, H, W, dim) -> (B, H/2, W/2, 2*dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # column by column, as in the reference code
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


class LevelsPredictor(RecurrentPredictor):
    """Cells, each with a resizing layer after it; predictions in (0, 1), through a sigmoid.

    A subclass builds ``embed``, the cells ``down`` and ``up``, their resizing layers ``shrink`` and
    ``grow``, and the decoder ``inflate`` and ``readout``. A cell maps (S, B, H, W, C), its hidden
    and cell state and its constants to S hidden states and the last cell state.
    """

    level_keys: ClassVar[dict[str, str]] = {
        "embed": "Downsample.patch_embed",
        "down": "Downsample.layers",
        "shrink": "Downsample.downsample",
        "up": "Upsample.layers",
        "grow": "Upsample.upsample",
        "unused_embed": "Upsample.patch_embed",
    }

    def build_levels(
        self, dim: int, cell: Callable[..., nn.Module], down: list[list[float]], up: list
    ) -> None:
        """Build a U of ``cell(layer, level, rates)``; rates are given from fine to coarse."""
        levels = range(len(down))
        self.down = nn.ModuleList(cell(i, i, down[i]) for i in levels)
        self.shrink = nn.ModuleList(PatchMerging(dim * 2**i) for i in levels)
        self.up = nn.ModuleList(cell(i, i + 1, up[i]) for i in levels[::-1])
        self.grow = nn.ModuleList(PatchExpanding(dim * 2 ** (i + 1)) for i in levels[::-1])

    def layers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return (cell, resizing layer) in the order of computation."""
        return [*zip(self.down, self.shrink, strict=True), *zip(self.up, self.grow, strict=True)]

    def begin(self, first: Tensor, *, collect: bool) -> State:
        B, _, H, W = first.shape
        states, scale = [], self.embed.proj.stride[0]
        for cell, resize in self.layers():
            zero = first.new_zeros(B, H // scale, W // scale, cell.dim)
            states.append((zero, zero, *cell.constants(zero)))
            if isinstance(resize, PatchMerging):
                scale *= 2
            elif isinstance(resize, PatchExpanding):
                scale //= 2
        return states

    def advance(self, fed: Tensor, state: State, *, last_only: bool) -> Tensor:
        """Take S steps, cell by cell: no cell waits for a later one."""
        x = over_time(self.embed, fed)
        for index, (cell, resize) in enumerate(self.layers()):
            x, c = cell(x, *state[index])
            state[index] = (x[-1], c, *state[index][2:])
            if last_only and index == len(state) - 1:
                x = x[-1:]
            x = over_time(resize, x)
        x = over_time(self.inflate, rearrange(x, "s b h w c -> s b c h w"))
        return torch.sigmoid(over_time(self.readout, x))


def doubling(dim_in: int, dim_out: int) -> nn.ConvTranspose2d:
    """Build a transposed convolution that doubles H and W."""
    return nn.ConvTranspose2d(dim_in, dim_out, 3, 2, padding=1, output_padding=1)


def rising(largest: float, depths: Sequence[int]) -> list[list[float]]:
    """Return probabilities from 0 to ``largest`` over all blocks, split into layers."""
    rates = torch.linspace(0, largest, sum(depths), dtype=torch.float64, device="cpu")
    return [layer.tolist() for layer in rates.split(list(depths))]
