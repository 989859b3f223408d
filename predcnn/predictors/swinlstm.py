"""SwinLSTM-D: LSTM layers whose convolutions are Swin blocks, in a U of two resolutions.

Tang et al., "SwinLSTM: Improving Spatiotemporal Prediction Accuracy using Swin Transformer and
LSTM", ICCV 2023, https://arxiv.org/abs/2308.09891 (fig. 2 and 3, eq. 2)
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from predcnn.blocks.swin import SwinBlock
from predcnn.predictors.levels import LevelsPredictor, PatchEmbedding, doubling, rising
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS


class FusingSwinBlock(SwinBlock):
    """A Swin block that can take a second map, maps (B, H, W, C) -> (B, H, W, C).

    Shifted windows are masked, unlike those of the published translator. Linear layers have
    PyTorch's initial weights. Every second block never gets a second map; the reference code has
    the linear layer for it all the same, and so has compat "openstl". Those of odd ``index`` in
    their cell shift their windows.
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
        """Return the part of ``x`` (..., H, W, C) in its mixture with another map."""
        return linear(self.norm1(x), self.red.weight[:, : x.shape[-1]], self.red.bias)

    def forward(
        self, x: Tensor, bias: Tensor, other: Tensor | None = None, entered: Tensor | None = None
    ) -> Tensor:
        """Attend within ``x``, or a mixture of ``x`` and ``other``; the shortcut is ``x``.

        ``bias`` is the `window_bias`; ``entered`` is `enter` of ``x``, computed for many steps.
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

    Inputs of S steps (S, B, H, W, C) -> hidden states of the same shape and the last cell state.
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

    def constants(self, zero: Tensor) -> tuple[list[Tensor]]:
        """Return the `window_bias` of every block for maps like ``zero``."""
        return ([block.window_bias(zero) for block in self.blocks],)

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, biases: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
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


@PREDICTORS.register("swinlstm")
class SwinLSTM(LevelsPredictor):
    """SwinLSTM-D, (B, T, C, H, W) -> (B, frames_out, C, H, W) in (0, 1).

    H and W are multiples of ``patch_size * 2**layers``; windows that do not fit are padded and
    masked. compat "openstl" only adds unused parameters: a second patch embedding, and a linear
    layer in every second block.

    Args (others: see `Predictor`):
        depths_downsample: Swin blocks of each layer on the way down.
        depths_upsample: Swin blocks of each layer on the way up, listed from fine to coarse.
        num_heads: of the attention, from fine to coarse.
        patch_size: 2; the decoder doubles the size once.
        embed_dim: channels of the finest layer, a multiple of 8; a coarser one has twice as many.
        drop_path: largest probability of skipping a branch; rises linearly with the depth.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        **LevelsPredictor.level_keys,
        "readout": "Upsample.Unembed.Conv",
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
            raise ValueError("depths_downsample, depths_upsample and num_heads differ in length")
        if patch_size != 2:
            raise ValueError(f"the decoder doubles the size once: patch_size 2, not {patch_size}")
        self.size_multiple = patch_size * 2**layers
        self.check_size(self.in_shape[2:])
        C, dim = self.in_shape[1], embed_dim
        down, up = rising(drop_path, depths_downsample), rising(drop_path, depths_upsample)

        def cell(layer: int, level: int, rates: Sequence[float]) -> SwinLSTMCell:
            window = min(window_size, min(self.in_shape[2:]) // patch_size // 2**level)
            return SwinLSTMCell(dim * 2**level, num_heads[layer], window, rates, compat)

        self.embed = PatchEmbedding(C, dim, patch_size)
        self.build_levels(dim, cell, down, [rates[::-1] for rates in up])
        self.inflate, self.readout = nn.Identity(), doubling(dim, C)
        note_unused(self, compat, lambda: {"unused_embed": PatchEmbedding(C, dim, patch_size)})
