"""VMamba block: a selective state space model over four directions of the map (SS2D).

Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, figures 2 to 4; the gated form is in
its first version (arXiv 2401.10166v1, figure 3).
"""

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops import DepthwiseConv2d, DropPath, TokenMlp, init_trunc_normal
from predcnn.ops.scan import DIRECTIONS, cross_merge, cross_scan
from predcnn.ops.selective_ssm import SelectiveSSM
from predcnn.registry import BLOCKS


class SS2D(SelectiveSSM):
    """Selective scan of a map in four directions, channels last: (B, H, W, C) -> (B, H, W, C).

    Args:
        ratio: inner channels, in units of ``dim``.
        gated: the form of the paper's first version: multiply the result by SiLU of a second half
            of the input projection, and give the depthwise convolution a bias.
    """

    def __init__(
        self, dim: int, state: int = 1, ratio: float = 1.0, *, gated: bool = False
    ) -> None:
        inner = int(dim * ratio)
        super().__init__(inner, state, math.ceil(dim / 16), len(DIRECTIONS))
        self.gated = gated
        self.in_proj = nn.Linear(dim, 2 * inner if gated else inner, bias=False)
        self.conv2d = DepthwiseConv2d(inner, 3, bias=gated)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        x = self.in_proj(x)
        if self.gated:
            x, gate = x.chunk(2, dim=-1)
        x = functional.silu(self.conv2d(x.permute(0, 3, 1, 2)))
        y = cross_merge(super().forward(cross_scan(x)), height, width)
        y = self.out_norm(y.permute(0, 2, 3, 1))
        if self.gated:
            y = y * functional.silu(gate)
        return self.out_proj(y)


@BLOCKS.register("vmamba")
class VMambaBlock(nn.Module):
    """One VMamba block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        mlp_ratio: hidden channels of the MLP, in units of ``dim``; 0 for none, as in "v0".
        form: "v05_noz" is the published default, without a gate; "v0" the gated first version.
        state: size N of the state of each channel; None for 1 (16 with "v0").
        ssm_ratio: inner channels of the scan, in units of ``dim``; None for 1 (2 with "v0").
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        form: Literal["v05_noz", "v0"] = "v05_noz",
        state: int | None = None,
        ssm_ratio: float | None = None,
    ) -> None:
        super().__init__()
        if form not in ("v05_noz", "v0"):
            raise ValueError(f"form is 'v05_noz' or 'v0', not {form!r}")
        gated = form == "v0"
        state = (16 if gated else 1) if state is None else state
        ssm_ratio = (2.0 if gated else 1.0) if ssm_ratio is None else ssm_ratio
        self.norm = nn.LayerNorm(dim)
        self.op = SS2D(dim, state, ssm_ratio, gated=gated)
        self.norm2 = nn.LayerNorm(dim) if mlp_ratio else None
        self.mlp = TokenMlp(dim, int(dim * mlp_ratio)) if mlp_ratio else None
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self, kinds=nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = x + self.drop_path(self.op(self.norm(x)))
        if self.mlp is not None:
            x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.permute(0, 3, 1, 2)
