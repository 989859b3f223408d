"""SimVP: a convolutional encoder per frame, one translator over all frames, a decoder per frame.

Gao et al., "SimVP: Simpler yet Better Video Prediction", CVPR 2022,
https://arxiv.org/abs/2206.05099 (fig. 2); Tan et al., "SimVP: Towards Simple yet Powerful
Spatiotemporal Predictive Learning", 2022, https://arxiv.org/abs/2211.12509. Compared with the
published code.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from einops import rearrange, repeat
from torch import Tensor, nn

from predcnn.ops.conv import ConvNormAct
from predcnn.ops.frames import join_frames, split_frames
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.predictors.protocol import Predictor
from predcnn.predictors.rollout import roll_out
from predcnn.predictors.sizes import pad_to_multiple
from predcnn.registry import PREDICTORS
from predcnn.translators import create_translator

HORIZON_HEADS = ("rollout", "direct")


def strides(N_S: int) -> list[bool]:
    """Which of the encoder's layers halve the size: every second one."""
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
class SimVP(Predictor):
    """SimVP, (B, T, C, H, W) -> (B, frames_out, C, H, W), float, unclipped.

    The translator sees all frames at once, (B, T * hid_S, H', W'), and gives T latent frames: fewer
    frames are cut from these, more come from feeding the prediction back. With
    ``horizon_head="direct"`` a 1x1 convolution makes frames_out latent frames of them, and every
    decoder pass sees the skip of the last known frame. Any H and W: what 2^(N_S/2) does not divide
    is padded by repeating the border and cropped again.

    Args (others: see `Predictor`):
        translator: a name of `predcnn.list_translators`, the dotted path of a block's class, or a
            list of block names, one per depth or a shorter pattern that repeats.
        hid_S: channels of encoder and decoder, even.
        hid_T: width of the translator.
        N_S: convolutions of the encoder and of the decoder, half of them strided; even.
        N_T: blocks of the translator (units on each side for "incepu"), at least 2.
        mlp_ratio: hidden channels of the blocks' feed-forward parts, in units of their width.
        drop_path: probability of skipping a residual branch in the last block; the first has 0.01,
            the others lie on the line between.
        translator_options: the block's own options; for a list {block's name: its options}.
        spatio_kernel_enc: kernel size of the encoder, odd.
        spatio_kernel_dec: kernel size of the decoder, odd.
        horizon_head: "rollout" (published) or "direct", see above.
        residual: predict the change from the last known frame instead of the frame. The readout
            begins at zero, so that the untrained network repeats the last frame.
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
        if hid_S < 2 or hid_S % 2:
            raise ValueError(f"hid_S is even (group norm of two groups), not {hid_S}")
        for kernel in (spatio_kernel_enc, spatio_kernel_dec):
            if kernel < 1 or kernel % 2 == 0:
                raise ValueError(f"a kernel of encoder and decoder has an odd size, not {kernel}")
        T, C, H, W = self.in_shape
        self.stride = 2 ** sum(strides(N_S))
        self.encoder = FrameEncoder(C, hid_S, N_S, spatio_kernel_enc)
        self.translator = create_translator(
            translator,
            T * hid_S,
            hid_T,
            N_T,
            resolution=(-(-H // self.stride), -(-W // self.stride)),
            frames=T,
            mlp_ratio=mlp_ratio,
            drop_path=drop_path,
            options=translator_options,
        )
        if horizon_head not in HORIZON_HEADS:
            raise ValueError(f"horizon_head is 'rollout' or 'direct', not {horizon_head!r}")
        self.direct = horizon_head == "direct"
        if self.direct:
            self.horizon = PointwiseConv2d(T * hid_S, self.frames_out * hid_S)
        self.decoder = FrameDecoder(C, hid_S, N_S, spatio_kernel_dec)
        self.residual = residual
        if residual:
            nn.init.zeros_(self.decoder.readout.weight)
            nn.init.zeros_(self.decoder.readout.bias)
        self.needs_resolution = getattr(self.translator, "needs_resolution", False)

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return self.rollout(past, self.frames_out)

    def rollout(self, past: Tensor, horizon: int) -> Tensor:
        """The next ``horizon`` frames; a pass gives T or ``frames_out``, whichever is fewer.

        With the direct head a pass gives ``frames_out``.
        """
        return roll_out(self._one_pass, past, horizon)

    def _one_pass(self, past: Tensor) -> Tensor:
        batch, T, _, height, width = past.shape
        frames = pad_to_multiple(past, self.stride)
        z, skip = self.encoder(rearrange(frames, "b t c h w -> (b t) c h w"))
        z = self.translator(join_frames(z, batch))  # (B, T hid_S, H', W')
        count = T
        if self.direct:
            z, count = self.horizon(z), self.frames_out  # (B, frames_out hid_S, H', W')
            last = rearrange(skip, "(b t) c h w -> b t c h w", b=batch)[:, -1]
            skip = repeat(last, "b c h w -> (b t) c h w", t=count)
        frames = self.decoder(split_frames(z, count), skip)
        future = rearrange(frames, "(b t) c h w -> b t c h w", b=batch)
        future = future[:, : self.frames_out, :, :height, :width]
        return past[:, -1:] + future if self.residual else future
