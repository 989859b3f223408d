"""VMRNN: SwinLSTM's gate and U-shape with VMamba blocks in place of the Swin blocks.

Tang et al., "VMRNN: Integrating Vision Mamba and LSTM for Efficient and Accurate Spatiotemporal
Forecasting", CVPRW 2024, https://arxiv.org/abs/2403.16536 (fig. 2 and 3). Tested against the
reference code in float64, because the network amplifies rounding.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.blocks.vmamba import SS2D
from predcnn.ops.drop_path import DropPath
from predcnn.predictors.levels import LevelsPredictor, PatchEmbedding, doubling, rising
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS


class FusingScanBlock(nn.Module):
    """A gated SS2D, with ``fuses`` of two maps, (B, H, W, dim) -> (B, H, W, dim).

    Only the first block of a cell gets a second map; the reference code has the linear layer for it
    in every block, and so has compat "openstl".
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
    """One gate for everything: f = σ(o), c <- f · (c + tanh o), h = f · tanh c, o from the blocks.

    Inputs of S steps (S, B, H, W, C) -> hidden states of the same shape and the last cell state.
    """

    openstl_keys: ClassVar[dict[str, str]] = {"blocks": "VSBs"}

    def __init__(self, dim: int, drop_path: Sequence[float], compat: str | None) -> None:
        super().__init__()
        self.dim = dim
        self.blocks = nn.ModuleList(
            FusingScanBlock(dim, index == 0, rate, compat) for index, rate in enumerate(drop_path)
        )

    def constants(self, zero: Tensor) -> tuple[()]:
        """Return what the cell precomputes for maps like ``zero``: nothing."""
        return ()

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
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


@PREDICTORS.register("vmrnn")
class VMRNN(LevelsPredictor):
    """VMRNN-B or -D, (B, T, C, H, W) -> (B, frames_out, C, H, W) in (0, 1).

    B has cells of one resolution, D is a U whose every level halves the size. H and W are multiples
    of ``patch_size``, for D of ``patch_size * 2**levels``. compat "openstl" only adds unused
    parameters (a second patch embedding, a linear layer in every block). Both spellings
    of the authors' weights load.

    Args (others: see `Predictor`):
        depths: blocks of each cell of VMRNN-B, or their number in its only cell; None for D.
        depths_downsample: blocks of each cell of VMRNN-D on the way down.
        depths_upsample: blocks of each cell on the way up, listed from fine to coarse.
        patch_size: 2, 4 or 8.
        embed_dim: channels of the finest level, a multiple of 16 if ``patch_size`` is not 2; each
            coarser level has twice as many.
        drop_path: probability of skipping a branch; in D it rises linearly to this value.
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
        single = isinstance(depths, int)
        blocks = (depths,) if single else depths_downsample if depths is None else depths
        if depths is None and len(blocks) != len(depths_upsample):
            raise ValueError("depths_downsample and depths_upsample differ in length")
        if not blocks or min(blocks) < 1:
            raise ValueError(f"VMRNN needs cells of at least one block, not {blocks}")
        if patch_size not in (2, 4, 8):
            raise ValueError(f"the decoder enlarges by 2, 4 or 8: patch_size={patch_size}")
        if patch_size > 2 and embed_dim % 16:
            raise ValueError(f"patch_size {patch_size} needs embed_dim % 16 == 0, not {embed_dim}")
        levels = len(blocks) if depths is None else 0
        self.size_multiple = patch_size * 2**levels
        self.check_size(self.in_shape[2:])
        C, dim = self.in_shape[1], embed_dim
        self.embed = PatchEmbedding(C, dim, patch_size)
        if depths is None:
            rates = (rising(drop_path, blocks), rising(drop_path, depths_upsample))
            self.build_levels(dim, lambda _, i, p: VMRNNCell(dim * 2**i, p, compat), *rates)
            note_unused(self, compat, lambda: {"unused_embed": PatchEmbedding(C, dim, patch_size)})
        else:
            self.down = nn.ModuleList(VMRNNCell(dim, [drop_path] * n, compat) for n in blocks)
            self.shrink = nn.ModuleList(nn.Identity() for _ in blocks)
            self.up = self.grow = nn.ModuleList()
        self.inflate = inflation(dim, patch_size)
        self.readout = doubling(dim, C)
        self._name_keys(levels, single)

    def _name_keys(self, levels: int, single: bool) -> None:
        """Declare the published names, which differ between B and D and between repositories."""
        self.unused_openstl_keys = ("Upsample.patch_embed",) if levels else ()
        if levels:
            unembed = "Upsample.Unembed"
            self.openstl_keys = dict(self.level_keys)
        else:
            unembed, one, many = "ST.patch_inflated", "ST.layer", "ST.layers.0"
            self.openstl_keys = {"embed": "ST.patch_embed", "down": "ST.layers"}
            if single:
                self.openstl_keys["down.0"] = one
            self.openstl_aliases = {many: one} if single else {one: many}
        self.openstl_keys |= {"inflate": f"{unembed}.Conv_", "readout": f"{unembed}.Conv"}
