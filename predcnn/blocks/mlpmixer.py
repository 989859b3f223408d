"""MLP-Mixer: alternating MLPs over space and over channels.

Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", NeurIPS 2021,
https://arxiv.org/abs/2105.01601 (fig. 1, eq. 1). Compared with OpenSTL's code.
"""

from math import prod
from typing import ClassVar

from einops import rearrange
from torch import Tensor, nn

from predcnn.ops import DropPath, TokenMlp, init_trunc_normal
from predcnn.registry import BLOCKS


@BLOCKS.register("mlpmixer")
class MixerBlock(nn.Module):
    """One Mixer block over the H * W pixels, (B, C, H, W) -> (B, C, H, W), of a fixed size.

    Args (others: see `predcnn.blocks.protocol`):
        resolution: (H, W) of the input, required: the spatial MLP has H * W inputs.
        token_ratio: hidden units of the spatial MLP, in units of ``dim``.
    """

    needs_resolution: ClassVar[bool] = True
    openstl_keys: ClassVar[dict[str, str]] = {
        "spatial_mlp": "mlp_tokens",
        "channel_mlp": "mlp_channels",
    }

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        token_ratio: float = 0.5,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if resolution is None:
            raise ValueError("mlpmixer depends on the size of its input: give resolution=(H, W)")
        self.resolution = tuple(map(int, resolution))
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.spatial_mlp = TokenMlp(prod(self.resolution), int(dim * token_ratio))
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.channel_mlp = TokenMlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != self.resolution:
            built, given = ("x".join(map(str, size)) for size in (self.resolution, x.shape[2:]))
            raise ValueError(f"mlpmixer was built for maps of {built}, given {given}")
        x = rearrange(x, "b c h w -> b (h w) c")
        y = self.spatial_mlp(rearrange(self.norm1(x), "b n c -> b c n"))
        x = x + self.drop_path(rearrange(y, "b c n -> b n c"))
        x = x + self.drop_path(self.channel_mlp(self.norm2(x)))
        return rearrange(x, "b (h w) c -> b c h w", h=self.resolution[0])
