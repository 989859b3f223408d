"""A translator that factorises space and time: blocks over the pixels of a frame, then over frames.

The factorisation is PredFormer's (Tang et al. 2024, https://arxiv.org/abs/2410.04733), with any
MetaFormer block in place of attention; not published.
"""

from collections.abc import Mapping
from typing import ClassVar

from einops import rearrange
from torch import Tensor, nn

from predcnn.blocks.protocol import create_block
from predcnn.ops.attention import sinusoid_position
from predcnn.ops.frames import join_frames, split_frames
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.registry import TRANSLATORS
from predcnn.translators.meta import chosen_options, drop_path_schedule


@TRANSLATORS.register("spacetime")
class SpaceTimeTranslator(nn.Module):
    """``depth`` blocks along space or time, (B, T * C, H, W) -> (B, T * C, H, W), any H and W.

    A block over space sees maps of single frames; a block over time sees the T values of one pixel
    as a map of T rows and one column. Positions in time are fixed sines.

    Args (others: see `MetaTranslator`):
        hidden: width of a stack of equal cost; the width here is about hidden / sqrt(T).
        frames: T.
        options: ``space`` and ``time``, blocks ("attention" is gatedtransformer); ``order``
            of the blocks, a pattern of s and t that repeats; ``width``, None for the default.
    """

    needs_resolution = False
    defaults: ClassVar[dict[str, object]] = {
        "space": "gsta",
        "time": "attention",
        "order": "st",
        "width": None,
    }

    def __init__(
        self,
        channels: int,
        hidden: int,
        depth: int,
        *,
        frames: int = 1,
        resolution: tuple[int, int],
        mlp_ratio: float = 8.0,
        drop_path: float = 0.0,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        chosen = chosen_options("spacetime", self.defaults, options)
        order = chosen["order"]
        if not order or set(order) - {"s", "t"}:
            raise ValueError(f"order is a pattern of s and t such as 'tsst', not {order!r}")
        width = chosen["width"] or max(8, 8 * round(hidden / frames**0.5 / 8))
        self.frames, self.order = frames, [order[i % len(order)] for i in range(depth)]
        blocks = {"s": (chosen["space"], resolution), "t": (chosen["time"], (frames, 1))}
        self.enter = PointwiseConv2d(channels // frames, width)
        position = sinusoid_position(frames, width)[:, :, None, None]
        self.register_buffer("position", position, persistent=False)
        self.blocks = nn.ModuleList()
        for axis, rate in zip(self.order, drop_path_schedule(depth, drop_path), strict=True):
            name, size = blocks[axis]
            name = "gatedtransformer" if name == "attention" else name
            rates = {"mlp_ratio": mlp_ratio, "drop_path": rate}
            self.blocks.append(create_block(name, width, resolution=size, **rates))
            if axis == "s" and getattr(self.blocks[-1], "needs_resolution", False):
                self.needs_resolution = True
        self.leave = PointwiseConv2d(width, channels // frames)

    def forward(self, x: Tensor) -> Tensor:
        T, (H, W) = self.frames, x.shape[-2:]
        x = self.enter(split_frames(x, T))  # (B T, C, H, W)
        batch = x.shape[0] // T  # len(x) would make a constant of it at export
        x = x + self.position.repeat(batch, 1, 1, 1)
        for axis, block in zip(self.order, self.blocks, strict=True):
            if axis == "s":
                x = block(x)
            else:
                pixels = rearrange(x, "(b t) c h w -> (b h w) t 1 c", t=T).permute(0, 3, 1, 2)
                pixels = block(pixels).permute(0, 2, 3, 1)
                x = rearrange(pixels, "(b h w) t 1 c -> (b t) h w c", h=H, w=W).permute(0, 3, 1, 2)
        return join_frames(self.leave(x), batch)
