"""UniFormer: convolutions as local attention in the first and last layers, self-attention between.

Li et al., "UniFormer: Unifying Convolution and Self-attention for Visual Recognition", 2022,
https://arxiv.org/abs/2201.09450 (fig. 3, eq. 1-7). Compared with OpenSTL's code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.blocks.protocol import check_dim
from predcnn.ops import ConvMlp, DepthwiseConv2d, DropPath, LayerNorm2d, LayerScale, PointwiseConv2d
from predcnn.ops.attention import MapAttention
from predcnn.ops.fold import fold_norm_into_next
from predcnn.ops.init import init_fan_out, init_trunc_normal
from predcnn.registry import BLOCKS


def local_attention(dim: int) -> nn.Sequential:
    """Build the paper's local affinity of 5x5 pixels, (B, C, H, W) is kept (eq. 4)."""
    return nn.Sequential(
        PointwiseConv2d(dim, dim), DepthwiseConv2d(dim, 5), PointwiseConv2d(dim, dim)
    )


@BLOCKS.register("uniformer")
class UniFormerBlock(nn.Module):
    """One UniFormer block, (B, C, H, W) -> (B, C, H, W): position, attention, MLP.

    In a stack the first block and those that change the number of channels are local.

    Args (others: see `predcnn.blocks.protocol`):
        local: True for convolutions with batch norm, False for self-attention with layer norm.
        layer_scale: initial factor of both branches of a global block, None for no factor.
        norm_eps: of the layer norms of a global block.
    """

    dim_multiple: ClassVar[int] = 8

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        local: bool = False,
        heads: int = 8,
        layer_scale: float | None = 1e-6,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_dim("uniformer", dim, self.dim_multiple)
        scaled = layer_scale is not None and not local
        self.local = local
        self.position = DepthwiseConv2d(dim, 3)
        self.norm1 = nn.BatchNorm2d(dim) if local else LayerNorm2d(dim, norm_eps)
        self.attn = local_attention(dim) if local else MapAttention(dim, heads)
        self.scale1 = LayerScale(dim, layer_scale) if scaled else nn.Identity()
        self.norm2 = nn.BatchNorm2d(dim) if local else LayerNorm2d(dim, norm_eps)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio))
        self.scale2 = LayerScale(dim, layer_scale) if scaled else nn.Identity()
        self.drop_path = DropPath(drop_path)
        self.openstl_keys = {"position": "pos_embed"}
        if local:
            self.openstl_keys |= {"attn.0": "conv1", "attn.1": "attn", "attn.2": "conv2"}
            init_fan_out(self)
        else:
            self.openstl_keys |= {"scale1.gamma": "gamma_1", "scale2.gamma": "gamma_2"}
            self.openstl_ndim = {"mlp.fc1.weight": 2, "mlp.fc2.weight": 2}
            # the position's convolution keeps torch's default, as in the reference code
            init_trunc_normal(self.attn)
            init_trunc_normal(self.mlp)

    @staticmethod
    def depth_options(index: int, changes_width: bool) -> dict[str, bool]:
        """Return the own options of the ``index``-th UniFormer block of a stack."""
        return {"local": index == 0 or changes_width}

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        x = x + self.drop_path(self.scale1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))

    def merge_(self) -> None:
        """Fold the batch norms into the 1x1 convolutions after them, in place."""
        if self.local:
            self.norm1 = fold_norm_into_next(self.norm1, self.attn[0])
            self.norm2 = fold_norm_into_next(self.norm2, self.mlp.fc1)
