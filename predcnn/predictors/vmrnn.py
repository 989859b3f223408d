"""VMRNN: SwinLSTM's gate and U-shape with VMamba blocks in place of the Swin blocks.

Tang et al., "VMRNN: Integrating Vision Mamba and LSTM for Efficient and Accurate Spatiotemporal
Forecasting", CVPRW 2024, https://arxiv.org/abs/2403.16536 (fig. 2 and 3). Compared with the
published code in float64: the network amplifies rounding.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.blocks.vmamba import SS2D
from predcnn.ops.drop_path import DropPath
from predcnn.predictors.swinlstm import PatchEmbedding, PatchExpanding, PatchMerging, rising
from predcnn.predictors.unrolling import RecurrentPredictor, note_unused, over_time
from predcnn.registry import PREDICTORS

State = list[tuple[Tensor, Tensor]]
"""(hidden, cell) of every cell, both (B, H, W, C)."""


class FusingScanBlock(nn.Module):
    """A gated SS2D that can take a second map, maps (B, H, W, C) -> (B, H, W, C).

    Only the first block of a cell gets a second map, yet the published code gives every block the
    linear layer for it; compat "openstl" keeps it.

    Args:
        dim: channels C.
        fuses: whether there is a second map; one LayerNorm serves both maps.
        drop_path: probability of skipping the residual branch of a sample.
        compat: None or "openstl".
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "norm": "ln_1",
        "fuse": "linear",
        "op": "self_attention",
    }
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("linear",)

    def __init__(self, dim: int, fuses: bool, drop_path: float, compat: str | None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        if fuses:
            self.fuse = nn.Linear(2 * dim, dim)
        else:
            note_unused(self, compat, lambda: {"fuse": nn.Linear(2 * dim, dim)})
        self.op = SS2D(dim, state=16, ratio=2.0, gated=True)
        self.op.scan.uncounted_by_fvcore = True
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Scan ``x``, or a mixture of ``x`` and ``other``; the shortcut is ``x``."""
        y = self.norm(x)
        if other is not None:
            y = self.fuse(torch.cat([y, self.norm(other)], dim=-1))
        return x + self.drop_path(self.op(y))


class VMRNNCell(nn.Module):
    """One gate for everything: f = σ(o), c <- f · (c + tanh o), h = f · tanh c.

    o comes from a row of `FusingScanBlock`. One cell over S steps, (S, B, H, W, C) -> hidden states
    of the same shape.

    Args:
        dim: channels C.
        drop_path: of every block.
        compat: None or "openstl".
    """

    openstl_keys: ClassVar[dict[str, str]] = {"blocks": "VSBs"}

    def __init__(self, dim: int, drop_path: Sequence[float], compat: str | None) -> None:
        super().__init__()
        self.dim = dim
        self.blocks = nn.ModuleList(
            FusingScanBlock(dim, index == 0, rate, compat) for index, rate in enumerate(drop_path)
        )

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden states (S, B, H, W, C) and the last cell state (B, H, W, C)."""
        first, *others = self.blocks
        hidden = []
        for step in x:
            o = first(step, h)
            for block in others:
                o = block(o)
            forget = torch.sigmoid(o)
            c = forget * (c + torch.tanh(o))
            h = forget * torch.tanh(c)
            hidden.append(h)
        return torch.stack(hidden), c


def inflation(dim: int, patch_size: int) -> nn.Sequential:
    """Build the layers that undo ``patch_size`` but for a factor of 2, on (B, dim, H, W)."""
    layers: list[nn.Module] = []
    for _ in range(patch_size // 4):
        layers += [doubling(dim, dim), nn.GroupNorm(16, dim), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def doubling(dim_in: int, dim_out: int) -> nn.ConvTranspose2d:
    """Build a transposed convolution that doubles H and W."""
    return nn.ConvTranspose2d(dim_in, dim_out, 3, 2, padding=1, output_padding=1)


@PREDICTORS.register("vmrnn")
class VMRNN(RecurrentPredictor):
    """VMRNN-B or -D, (B, T, C, H, W) -> (B, frames_out, C, H, W) in (0, 1), through a sigmoid.

    B has cells of one resolution, D is a U whose every level halves the size. H and W are multiples
    of ``patch_size``, for D of ``patch_size * 2**levels``, and need not be equal. The published
    code is reproduced; compat "openstl" only adds its unused parameters (a second patch embedding,
    a linear layer in every block). Weights of both published code lines load.

    Args:
        in_shape: (T, C, H, W) of the past.
        frames_out: number of future frames; T if None.
        compat: None, or "openstl" for the published form with its unused parameters.
        depths: blocks of each cell of VMRNN-B, or their number in its only cell; None for D.
        depths_downsample: blocks of each cell of VMRNN-D on the way down.
        depths_upsample: blocks of each cell on the way up, listed from fine to coarse.
        patch_size: 2, 4 or 8.
        embed_dim: channels of the finest level, a multiple of 16 if ``patch_size`` is not 2; each
            coarser level has twice as many.
        drop_path: probability of skipping a branch: of every block of B, the largest of D, where it
            rises linearly with the depth.

    Raises:
        ValueError: no cell, depths of different lengths, or sizes that do not fit.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        depths: int | Sequence[int] | None = None,
        depths_downsample: Sequence[int] = (2, 6),
        depths_upsample: Sequence[int] = (6, 2),
        patch_size: int = 2,
        embed_dim: int = 128,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        if patch_size not in (2, 4, 8):
            raise ValueError(f"the decoder enlarges by 2, 4 or 8: patch_size={patch_size}")
        if patch_size > 2 and embed_dim % 16:
            raise ValueError(f"patch_size {patch_size} needs embed_dim % 16 == 0, not {embed_dim}")
        if depths is None and len(depths_downsample) != len(depths_upsample):
            raise ValueError(
                f"depths_downsample and depths_upsample list the same levels, not "
                f"{tuple(depths_downsample)} and {tuple(depths_upsample)}"
            )
        single = isinstance(depths, int)
        blocks = (depths,) if single else depths_downsample if depths is None else depths
        if not blocks or min(blocks) < 1:
            raise ValueError(f"VMRNN needs cells of at least one block, not {blocks}")
        self.patch_size = patch_size
        levels = len(blocks) if depths is None else 0
        self.size_multiple = patch_size * 2**levels
        self.check_size(self.in_shape[2:])
        C, dim = self.in_shape[1], embed_dim
        self.embed = PatchEmbedding(C, dim, patch_size)
        if depths is None:
            self._build_levels(dim, rising(drop_path, blocks), rising(drop_path, depths_upsample))
            note_unused(self, compat, lambda: {"unused_embed": PatchEmbedding(C, dim, patch_size)})
        else:
            self.down = nn.ModuleList(VMRNNCell(dim, [drop_path] * n, compat) for n in blocks)
            self.shrink = nn.ModuleList(nn.Identity() for _ in blocks)
            self.up = self.grow = nn.ModuleList()
        self.inflate = inflation(dim, patch_size)
        self.readout = doubling(dim, C)
        self._name_keys(levels, single)

    def _build_levels(
        self, dim: int, down: Sequence[Sequence[float]], up: Sequence[Sequence[float]]
    ) -> None:
        """Create the cells of VMRNN-D from the rates of their blocks."""
        levels = range(len(down))
        self.down = nn.ModuleList(VMRNNCell(dim * 2**i, down[i], self.compat) for i in levels)
        self.shrink = nn.ModuleList(PatchMerging(dim * 2**i) for i in levels)
        coarse = levels[::-1]
        self.up = nn.ModuleList(VMRNNCell(dim * 2 ** (i + 1), up[i], self.compat) for i in coarse)
        self.grow = nn.ModuleList(PatchExpanding(dim * 2 ** (i + 1)) for i in coarse)

    def _name_keys(self, levels: int, single: bool) -> None:
        """Declare the published names, which differ between B and D and between the code lines."""
        self.unused_openstl_keys = ("Upsample.patch_embed",) if levels else ()
        if levels:
            unembed = "Upsample.Unembed"
            self.openstl_keys = {
                "embed": "Downsample.patch_embed",
                "down": "Downsample.layers",
                "shrink": "Downsample.downsample",
                "up": "Upsample.layers",
                "grow": "Upsample.upsample",
                "unused_embed": "Upsample.patch_embed",
            }
        else:
            unembed, one, many = "ST.patch_inflated", "ST.layer", "ST.layers.0"
            self.openstl_keys = {"embed": "ST.patch_embed", "down": "ST.layers"}
            if single:
                self.openstl_keys["down.0"] = one
            self.openstl_aliases = {many: one} if single else {one: many}
        self.openstl_keys |= {"inflate": f"{unembed}.Conv_", "readout": f"{unembed}.Conv"}

    def begin(self, first: Tensor, *, collect: bool) -> State:
        """All states zero."""
        B, _, H, W = first.shape
        states, scale = [], self.patch_size
        for cell, resize in zip((*self.down, *self.up), (*self.shrink, *self.grow), strict=True):
            zero = first.new_zeros(B, H // scale, W // scale, cell.dim)
            states.append((zero, zero))
            if isinstance(resize, PatchMerging):
                scale *= 2
            elif isinstance(resize, PatchExpanding):
                scale //= 2
        return states

    def advance(self, fed: Tensor, state: State, *, last_only: bool) -> Tensor:
        """Take S steps, cell by cell: no cell waits for a later one."""
        x = over_time(self.embed, fed)
        resize = (*self.shrink, *self.grow)
        for index, cell in enumerate((*self.down, *self.up)):
            x, c = cell(x, *state[index])
            state[index] = (x[-1], c)
            if last_only and index == len(resize) - 1:
                x = x[-1:]
            x = over_time(resize[index], x)
        x = over_time(self.inflate, x.permute(0, 1, 4, 2, 3))
        return torch.sigmoid(over_time(self.readout, x))
