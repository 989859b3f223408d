"""MAU: a motion-aware unit that attends over the last tau steps of each layer.

Chang et al., "MAU: A Motion-Aware Unit for Video Prediction and Beyond", NeurIPS 2021,
https://openreview.net/forum?id=qwtfY-3ibt7 (eq. 1-5, fig. 1)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.predictors.unrolling import (
    RecurrentPredictor,
    check_equal_widths,
    check_gates,
    mixed,
    note_unused,
    over_time,
)
from predcnn.registry import PREDICTORS


class MAUCell(nn.Module):
    """Fuse motion (T, from the last ``tau`` steps) with appearance (S, from the layer below).

    Both have ``dim`` channels and the ``size`` (H, W) that the LayerNorms fix.
    """

    def __init__(self, dim: int, kernel: int, size: tuple[int, int], residual: bool) -> None:
        super().__init__()
        self.residual = residual

        def gates(count: int) -> nn.Sequential:
            conv = nn.Conv2d(dim, count * dim, kernel, padding=kernel // 2)
            return nn.Sequential(conv, nn.LayerNorm([count * dim, *size]))

        self.conv_t = gates(3)
        self.conv_t_next = gates(1)
        self.conv_s = gates(3)
        self.conv_s_next = gates(1)

    def forward(self, s: Tensor, t: list[Tensor], past_s: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Take S steps of one layer.

        Args:
            s: inputs (S, B, dim, H, W).
            t: the last tau states T, each (B, dim, H, W).
            past_s: the last tau inputs (tau, B, dim, H, W).

        Returns:
            outputs (S, B, dim, H, W) and all tau + S states T.
        """
        tau, scale = len(t), s[0, 0].numel() ** -0.5
        known = torch.cat([past_s, s])
        s_next, s_gates = self._from_below(s)
        out, t = [], list(t)
        for i in range(len(s)):
            scores = (known[i : i + tau] * s_next[i]).sum(dim=(2, 3, 4)) * scale  # (tau, B)
            weights = torch.softmax(scores, dim=0)[..., None, None, None]
            trend = (weights * torch.stack(t[-tau:])).sum(dim=0)
            fused = mixed(torch.sigmoid(self.conv_t_next(t[-1])), t[-1], trend)
            t_g, t_t, t_s = self.conv_t(fused).chunk(3, dim=1)
            s_g, s_t, s_s = s_gates[i].chunk(3, dim=1)
            t.append(mixed(torch.sigmoid(t_g), t_t, s_t))
            new_s = mixed(torch.sigmoid(s_g), s_s, t_s)
            out.append(new_s + s[i] if self.residual else new_s)
        return torch.stack(out), t

    def _from_below(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``conv_s_next`` and ``conv_s`` of all steps, by one convolution."""
        parts = (self.conv_s_next, self.conv_s)
        weight = torch.cat([part[0].weight for part in parts])
        bias = torch.cat([part[0].bias for part in parts])
        padding, dim = weight.shape[-1] // 2, s.shape[2]
        gates = functional.conv2d(s.flatten(0, 1), weight, bias, padding=padding)
        normed = (part[1](g) for part, g in zip(parts, gates.split([dim, 3 * dim], 1), strict=True))
        s_next, s_gates = (gates.unflatten(0, s.shape[:2]) for gates in normed)
        return s_next, s_gates


@dataclass
class MAUState:
    """The last tau states T and the last tau inputs S of every layer."""

    t: list[list[Tensor]]
    s: list[Tensor]


@PREDICTORS.register("mau")
class MAU(RecurrentPredictor):
    """Motion-aware units between an encoder and a decoder, (B, T, C, H, W) -> (B, frames_out, ...).

    LayerNorms over (C, H, W) fix H and W. All layers have the same width. compat "openstl" adds two
    unused convolutions. In the reference training the probability of feeding the truth is not kept
    from step to step: it stays near 1 for 50 000 steps and then drops to 0. Here it decays.

    Args (others: see `Predictor`):
        num_hidden: channels of each layer, bottom up.
        filter_size: odd kernel size of the cells.
        stride: 1, as in published configurations.
        patch_size: side of the patches that enter the encoder.
        sr_size: the encoder shrinks by this power of two.
        tau: steps that the attention looks back.
        cell_mode: "normal", or "residual" to add every cell's input to its output.
        model_mode: "normal", or "recall" to add the encoder's maps to the decoder's.
    """

    needs_resolution = True
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("merge", "conv_last_sr")

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        num_hidden: Sequence[int] = (64, 64, 64, 64),
        filter_size: int = 5,
        stride: int = 1,
        patch_size: int = 1,
        sr_size: int = 4,
        tau: int = 5,
        cell_mode: str = "normal",
        model_mode: str = "normal",
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        check_gates(filter_size, stride)
        _check_options(sr_size, tau, cell_mode, model_mode)
        check_equal_widths("MAU", num_hidden, least=1)
        dim = num_hidden[0]
        _, C, H, W = self.in_shape
        self.dim, self.tau, self.patch_size, self.sr_size = dim, tau, patch_size, sr_size
        self.size_multiple = patch_size * sr_size
        self.recall = model_mode == "recall"
        self.check_size((H, W))
        size = (H // self.size_multiple, W // self.size_multiple)
        self.cell_list = nn.ModuleList(
            MAUCell(dim, filter_size, size, cell_mode == "residual") for _ in num_hidden
        )
        channels = C * patch_size**2
        self._build_coders(channels, dim, sr_size.bit_length() - 1)
        note_unused(
            self,
            compat,
            lambda: {
                "unused_merge": nn.Conv2d(2 * dim, dim, 1),
                "conv_last_sr": nn.Conv2d(2 * channels, channels, 1),
            },
        )

    def _build_coders(self, channels: int, dim: int, halvings: int) -> None:
        widen = nn.Conv2d(channels, dim, 1)
        self.encoders = nn.ModuleList([nn.Sequential(widen, nn.LeakyReLU(0.2))])
        self.decoders = nn.ModuleList()
        self.openstl_keys = {"encoders.0.0": "encoders.0.encoder_t_conv-1", "unused_merge": "merge"}
        for i in range(halvings):
            down = nn.Conv2d(dim, dim, 3, 2, padding=1)
            self.encoders.append(nn.Sequential(down, nn.LeakyReLU(0.2)))
            up = nn.ConvTranspose2d(dim, dim, 3, 2, padding=1, output_padding=1)
            act = nn.Identity() if i == halvings - 1 else nn.LeakyReLU(0.2)
            self.decoders.append(nn.Sequential(up, act))
            self.openstl_keys[f"encoders.{i + 1}.0"] = f"encoders.{i + 1}.encoder_t{i}"
            self.openstl_keys[f"decoders.{i}.0"] = f"decoders.{i}.c_decoder{i}"
        self.srcnn = nn.Sequential(nn.Conv2d(dim, channels, 1))

    def begin(self, first: Tensor, *, collect: bool) -> MAUState:
        B, _, H, W = first.shape
        zero = first.new_zeros(B, self.dim, H // self.sr_size, W // self.sr_size)
        zeros = zero.expand(self.tau, *zero.shape)
        layers = len(self.cell_list)
        return MAUState([[zero] * self.tau for _ in range(layers)], [zeros] * layers)

    def advance(self, fed: Tensor, state: MAUState, *, last_only: bool) -> Tensor:
        """Take S steps, layer by layer: no layer waits for a higher one."""
        x, encoded = fed, []
        for encoder in self.encoders:
            x = over_time(encoder, x)
            encoded.append(x[-1:] if last_only else x)
        for layer, cell in enumerate(self.cell_list):
            past = state.s[layer]
            state.s[layer] = torch.cat([past, x])[-self.tau :]
            x, states = cell(x, state.t[layer], past)
            state.t[layer] = states[-self.tau :]
        x = x[-1:] if last_only else x
        for i, decoder in enumerate(self.decoders):
            x = over_time(decoder, x)
            if self.recall:
                x = x + encoded[-2 - i]
        return over_time(self.srcnn, x)


def _check_options(sr_size: int, tau: int, cell_mode: str, model_mode: str) -> None:
    if sr_size < 1 or sr_size & (sr_size - 1):
        raise ValueError(f"sr_size is a power of two, not {sr_size}")
    if tau < 1:
        raise ValueError(f"tau is 1 or more, not {tau}")
    if cell_mode not in ("normal", "residual"):
        raise ValueError(f"cell_mode is 'normal' or 'residual', not {cell_mode!r}")
    if model_mode not in ("normal", "recall"):
        raise ValueError(f"model_mode is 'normal' or 'recall', not {model_mode!r}")
