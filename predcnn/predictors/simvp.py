"""SimVP: a convolutional encoder per frame, one translator over all frames, a decoder per frame.

Gao et al., "SimVP: Simpler yet Better Video Prediction", CVPR 2022,
https://arxiv.org/abs/2206.05099 (fig. 2); Tan et al., "SimVP: Towards Simple yet Powerful
Spatiotemporal Predictive Learning", 2022, https://arxiv.org/abs/2211.12509. Tested against the
reference code.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import ClassVar

from einops import rearrange, repeat
from torch import Tensor, nn

from predcnn.ops.conv import ConvNormAct
from predcnn.ops.frames import join_frames, split_frames
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.predictors.protocol import OnePassPredictor, is_direct
from predcnn.registry import PREDICTORS
from predcnn.translators import create_translator


def strides(N_S: int) -> list[bool]:
    """Return which of the encoder's layers halve the size: every second one."""
    if N_S < 2 or N_S % 2:
        raise ValueError(f"N_S is the number of encoder layers, even and at least 2, not {N_S}")
    return [False, True] * (N_S // 2)


class FrameEncoder(nn.Module):
    """Frames (N, C, H, W) -> latent (N, hid_S, H / 2^(N_S/2), ...) and skip (N, hid_S, H, W)."""

    def __init__(self, channels: int, hid_S: int, N_S: int, kernel_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvNormAct(hid_S if i else channels, hid_S, kernel_size, down=down)
            for i, down in enumerate(strides(N_S))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, *others = self.layers
        skip = z = first(x)
        for layer in others:
            z = layer(z)
        return z, skip


class FrameDecoder(nn.Module):
    """Latent and skip of `FrameEncoder` -> frames (N, C, H, W); the last layer sees their sum."""

    def __init__(self, channels: int, hid_S: int, N_S: int, kernel_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvNormAct(hid_S, hid_S, kernel_size, up=up) for up in reversed(strides(N_S))
        )
        self.readout = PointwiseConv2d(hid_S, channels)

    def forward(self, z: Tensor, skip: Tensor) -> Tensor:
        *others, last = self.layers
        for layer in others:
            z = layer(z)
        return self.readout(last(z + skip))


@PREDICTORS.register("simvp")
class SimVP(OnePassPredictor):
    """SimVP, (B, T, C, H, W) -> (B, frames_out, C, H, W), unclipped, any H and W.

    The translator sees all frames at once, (B, T * hid_S, H', W'). A pass gives T frames. With
    ``horizon_head="direct"`` it gives frames_out: a 1x1 convolution makes as many latent frames,
    all decoded with the skip of the last known frame.

    Args (others: see `Predictor`):
        translator: a name of `predcnn.list_translators`, the dotted path of a block's class, or a
            list of block names, one per depth or a shorter pattern that repeats.
        hid_S: channels of encoder and decoder, even.
        hid_T: width of the translator.
        N_S: convolutions of the encoder and of the decoder, half of them strided; even.
        N_T: blocks of the translator (units on each side for "incepu"), at least 2.
        mlp_ratio: hidden channels of the blocks' feed-forward parts, in units of their width.
        drop_path: probability of skipping a residual branch in the last block; it rises linearly
            from 0.01 in the first.
        translator_options: the block's own options; for a list {block's name: its options}.
        spatio_kernel_enc, spatio_kernel_dec: odd kernel sizes of encoder and decoder.
        horizon_head: "rollout" (published) or "direct", see above.
        residual: predict the change from the last known frame; the untrained network repeats it.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "encoder.layers": "enc.enc",
        "decoder.layers": "dec.dec",
        "decoder.readout": "dec.readout",
        "translator": "hid",
    }

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        translator: str | Sequence[str] = "gsta",
        hid_S: int = 64,
        hid_T: int = 512,
        N_S: int = 4,
        N_T: int = 8,
        mlp_ratio: float = 8.0,
        drop_path: float = 0.0,
        translator_options: Mapping[str, object] | None = None,
        spatio_kernel_enc: int = 3,
        spatio_kernel_dec: int = 3,
        horizon_head: str = "rollout",
        residual: bool = False,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        _check_sizes(hid_S, spatio_kernel_enc, spatio_kernel_dec)
        T, C, H, W = self.in_shape
        self.size_multiple = 2 ** sum(strides(N_S))
        self.encoder = FrameEncoder(C, hid_S, N_S, spatio_kernel_enc)
        latent_size = (ceil(H / self.size_multiple), ceil(W / self.size_multiple))
        shared = {"mlp_ratio": mlp_ratio, "drop_path": drop_path, "options": translator_options}
        self.translator = create_translator(
            translator, T * hid_S, hid_T, N_T, resolution=latent_size, frames=T, **shared
        )
        self.horizon = None
        if is_direct(horizon_head):
            self.horizon = PointwiseConv2d(T * hid_S, self.frames_out * hid_S)
        self.decoder = FrameDecoder(C, hid_S, N_S, spatio_kernel_dec)
        self.residual = residual
        if residual:
            for parameter in self.decoder.readout.parameters():
                nn.init.zeros_(parameter)
        self.needs_resolution = getattr(self.translator, "needs_resolution", False)

    def one_pass(self, frames: Tensor) -> Tensor:
        batch, T = frames.shape[:2]
        z, skip = self.encoder(rearrange(frames, "b t c h w -> (b t) c h w"))
        z = self.translator(join_frames(z, batch))  # (B, T hid_S, H', W')
        count = T
        if self.horizon is not None:
            z, count = self.horizon(z), self.frames_out  # (B, frames_out hid_S, H', W')
            last = rearrange(skip, "(b t) c h w -> b t c h w", b=batch)[:, -1]
            skip = repeat(last, "b c h w -> (b t) c h w", t=count)
        future = self.decoder(split_frames(z, count), skip)
        future = rearrange(future, "(b t) c h w -> b t c h w", b=batch)
        return frames[:, -1:] + future if self.residual else future


def _check_sizes(hid_S: int, *kernels: int) -> None:
    if hid_S < 2 or hid_S % 2:
        raise ValueError(f"hid_S is even (group norm of two groups), not {hid_S}")
    for kernel in kernels:
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"a kernel of encoder and decoder has an odd size, not {kernel}")
