"""PredFormer's gated transformer block: pre-norm self-attention, then a SwiGLU MLP.

Tang et al., "PredFormer: Transformers Are Effective Spatial-Temporal Predictive Learners", 2024,
https://arxiv.org/abs/2410.04733 (fig. 2c); SwiGLU: Shazeer, "GLU Variants Improve Transformer",
2020, https://arxiv.org/abs/2002.05202 (eq. 6). The predictor `predformer` uses the same layers.
"""

from typing import ClassVar

from einops import rearrange
from torch import Tensor, nn

from predcnn.blocks.protocol import check_dim
from predcnn.ops import DropPath, MultiHeadAttention, init_trunc_normal
from predcnn.ops.mlp import SwiGLU
from predcnn.registry import BLOCKS


class GatedTransformerLayer(nn.Module):
    """x + Attention(LN(x)), then x + SwiGLU(LN(x)), on tokens (B, N, C) -> (B, N, C).

    A single head of ``dim`` channels has no output projection, as in the reference code.

    Args:
        head_dim: channels of a head; ``heads * head_dim`` need not be ``dim``.
        dropout: after the gate and after the last linear layer of the SwiGLU.
        attn_dropout: after the output projection of the attention.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "norm1": "0.norm",
        "attn.qkv": "0.fn.to_qkv",
        "attn.proj": "0.fn.to_out.0",
        "norm2": "1.norm",
        "mlp.gate": "1.fn.fc1_g",
        "mlp.value": "1.fn.fc1_x",
        "mlp.out": "1.fn.fc2",
    }

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        heads: int,
        head_dim: int,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads, head_dim=head_dim, qkv_bias=False)
        self.attn_dropout = nn.Dropout(attn_dropout)
        if heads == 1 and head_dim == dim:
            self.attn.proj = self.attn_dropout = nn.Identity()
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = SwiGLU(dim, hidden, dropout=dropout)
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn_dropout(self.attn(self.norm1(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


@BLOCKS.register("gatedtransformer")
class GatedTransformerBlock(GatedTransformerLayer):
    """One gated transformer layer over the H * W pixels, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        head_dim: channels of a head; None for ``dim // heads``.
        dropout, attn_dropout: see `GatedTransformerLayer`.
    """

    dim_multiple: ClassVar[int] = 8

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        heads: int = 8,
        head_dim: int | None = None,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
    ) -> None:
        check_dim("gatedtransformer", dim, self.dim_multiple)
        super().__init__(
            dim,
            int(dim * mlp_ratio),
            heads=heads,
            head_dim=dim // heads if head_dim is None else head_dim,
            drop_path=drop_path,
            dropout=dropout,
            attn_dropout=attn_dropout,
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = super().forward(rearrange(x, "b c h w -> b (h w) c"))
        return rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[2])
