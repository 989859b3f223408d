"""PhyDNet: a physical branch constrained to partial derivatives, and a residual ConvLSTM branch.

Le Guen and Thome, "Disentangling Physical Dynamics from Unknown Factors for Unsupervised Video
Prediction", 2020, https://arxiv.org/abs/2003.01460 (fig. 2, eq. 4-9); the constraint is that of
Long et al., "PDE-Net 2.0", 2018, https://arxiv.org/abs/1812.04426
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.unrolling import RecurrentPredictor, mixed, over_time
from predcnn.registry import PREDICTORS

LATENT = 64
ORDER = 7
"""Side of the physical filters, and number of derivative orders along each axis."""


def moments(filters: Tensor) -> Tensor:
    """Return the moment matrix of each filter F: (..., k, k) -> (..., k, k).

    Entry (i, j) is Σ_uv u^i v^j F_uv / (i! j!), u and v counted from the centre: the weight of
    the partial derivative of order i downwards and j to the right.
    """
    size = filters.shape[-1]
    at = torch.arange(size, dtype=filters.dtype, device=filters.device) - size // 2
    powers = torch.stack([at**i / factorial(i) for i in range(size)])
    # sums rather than matrix products, which autocast would round
    rows = (filters[..., None, :, :] * powers[:, :, None]).sum(dim=-2)  # (..., i, v)
    return (rows[..., None, :] * powers).sum(dim=-1)  # (..., i, j)


def moment_loss(weight: Tensor) -> Tensor:
    """Return the distance of filters (k*k, C, k, k) from pure partial derivatives, a scalar.

    Filter n should have moment 1 at (n // k, n % k) and 0 elsewhere. The squared distance is
    averaged over filters and moments, but summed over channels, as in the reference code.
    """
    size = weight.shape[-1]
    target = torch.eye(size * size, dtype=weight.dtype, device=weight.device)
    distance = moments(weight) - target.reshape(size * size, 1, size, size)
    return distance.square().mean(dim=(0, 2, 3)).sum()


class PhyCell(nn.Module):
    """Physical prediction, then correction with a Kalman gain: x, h -> new h, all (B, 64, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.F = nn.Sequential()  # the paper's operator Φ: 49 derivatives, mixed
        self.F.add_module("conv1", nn.Conv2d(LATENT, ORDER * ORDER, ORDER, padding=ORDER // 2))
        self.F.add_module("bn1", nn.GroupNorm(ORDER, ORDER * ORDER))
        self.F.add_module("conv2", nn.Conv2d(ORDER * ORDER, LATENT, 1))
        self.convgate = nn.Conv2d(2 * LATENT, LATENT, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        gain = torch.sigmoid(self.convgate(torch.cat([x, h], dim=1)))
        return mixed(gain, x, h + self.F(h))


class ResidualCell(nn.Module):
    """ConvLSTM with biases over [x, h], gates i, f, o, g: x, h, c -> new h, c (B, dim, H, W)."""

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.conv = nn.Conv2d(dim_in + dim, 4 * dim, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.conv(torch.cat([x, h], dim=1))
        i, f, o = torch.sigmoid(gates[:, : 3 * self.dim]).chunk(3, dim=1)
        c = torch.addcmul(f * c, i, torch.tanh(gates[:, 3 * self.dim :]))
        return o * torch.tanh(c), c


def encoding(dim_in: int, dim: int, stride: int = 1) -> nn.Sequential:
    """Build a 3x3 convolution, GroupNorm and LeakyReLU."""
    conv = nn.Conv2d(dim_in, dim, 3, stride, padding=1)
    return nn.Sequential(conv, nn.GroupNorm(16, dim), nn.LeakyReLU(0.2))


def decoding(dim_in: int, dim: int, stride: int = 1) -> nn.Sequential:
    """Build a 3x3 transposed convolution, GroupNorm and LeakyReLU."""
    conv = nn.ConvTranspose2d(dim_in, dim, 3, stride, padding=1, output_padding=stride - 1)
    return nn.Sequential(conv, nn.GroupNorm(16, dim), nn.LeakyReLU(0.2))


@dataclass
class PhyDNetState:
    """The physical state, and (h, c) of the residual layers."""

    physical: Tensor
    residual: list[tuple[Tensor, Tensor]]


@PREDICTORS.register("phydnet")
class PhyDNet(RecurrentPredictor):
    """Physical and residual dynamics of one latent, (B, T, C, H, W) -> (B, frames_out, C, H, W).

    H and W are multiples of 4. Outputs are in (0, 1), through a sigmoid. `unroll` gives
    `moment_loss` as ``extras["moments"]``, to be added to the loss. (The reference training
    broadcasts the total loss against the target frames and minimises their MSE.)

    Args (others: see `Predictor`):
        patch_size: 4, the factor of the encoder, as in published configurations.
        convlstm_hidden: channels of the residual layers; the last is 64, as in the physical branch.
    """

    size_multiple = 4
    openstl_keys: ClassVar[dict[str, str]] = {
        "phycell": "phycell.cell_list.0",
        "convcell": "convcell.cell_list",
        **{f"encode.{i}": f"encoder.encoder_E.c{i + 1}.main" for i in range(3)},
        **{f"encode_physical.{i}": f"encoder.encoder_Ep.c{i + 1}.main" for i in range(2)},
        **{f"encode_residual.{i}": f"encoder.encoder_Er.c{i + 1}.main" for i in range(2)},
        **{f"decode_physical.{i}": f"encoder.decoder_Dp.upc{i + 1}.main" for i in range(2)},
        **{f"decode_residual.{i}": f"encoder.decoder_Dr.upc{i + 1}.main" for i in range(2)},
        **{f"decode.{i}": f"encoder.decoder_D.upc{i + 1}.main" for i in range(2)},
        "decode.2": "encoder.decoder_D.upc3",
    }
    openstl_repeats: ClassVar[dict[str, str]] = {
        "encoder.phycell.cell_list.0": "phycell",
        "encoder.convcell.cell_list": "convcell",
    }
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("k2m",)

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        patch_size: int = 4,
        convlstm_hidden: Sequence[int] = (128, 128, LATENT),
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        if patch_size != self.size_multiple:
            raise ValueError(f"PhyDNet's encoder shrinks by 4: patch_size is 4, not {patch_size}")
        if not convlstm_hidden or convlstm_hidden[-1] != LATENT:
            raise ValueError(f"convlstm_hidden ends with {LATENT}, not {tuple(convlstm_hidden)}")
        C = self.in_shape[1]
        half = LATENT // 2
        self.check_size(self.in_shape[2:])
        self.encode = nn.Sequential(
            encoding(C, half, 2), encoding(half, half), encoding(half, LATENT, 2)
        )
        self.encode_physical = nn.Sequential(encoding(LATENT, LATENT), encoding(LATENT, LATENT))
        self.encode_residual = nn.Sequential(encoding(LATENT, LATENT), encoding(LATENT, LATENT))
        self.phycell = PhyCell()
        widths = (LATENT, *convlstm_hidden)
        self.convcell = nn.ModuleList(
            ResidualCell(*dims) for dims in zip(widths, convlstm_hidden, strict=False)
        )
        self.decode_physical = nn.Sequential(decoding(LATENT, LATENT), decoding(LATENT, LATENT))
        self.decode_residual = nn.Sequential(decoding(LATENT, LATENT), decoding(LATENT, LATENT))
        last = nn.ConvTranspose2d(half, C, 3, 2, padding=1, output_padding=1)
        self.decode = nn.Sequential(decoding(LATENT, half, 2), decoding(half, half), last)

    def begin(self, first: Tensor, *, collect: bool) -> PhyDNetState:
        B, _, H, W = first.shape
        size = (H // self.size_multiple, W // self.size_multiple)
        zeros = [first.new_zeros(B, cell.dim, *size) for cell in self.convcell]
        return PhyDNetState(first.new_zeros(B, LATENT, *size), [(zero, zero) for zero in zeros])

    def advance(self, fed: Tensor, state: PhyDNetState, *, last_only: bool) -> Tensor:
        encoded = over_time(self.encode, fed)
        physical = []
        for step in over_time(self.encode_physical, encoded):
            state.physical = self.phycell(step, state.physical)
            physical.append(state.physical)
        residual = over_time(self.encode_residual, encoded).unbind(0)
        for layer, cell in enumerate(self.convcell):
            (h, c), residual, steps = state.residual[layer], [], residual
            for step in steps:
                h, c = cell(step, h, c)
                residual.append(h)
            state.residual[layer] = (h, c)
        wanted = slice(-1, None) if last_only else slice(None)
        physical = over_time(self.decode_physical, torch.stack(physical[wanted]))
        residual = over_time(self.decode_residual, torch.stack(residual[wanted]))
        return torch.sigmoid(over_time(self.decode, physical + residual))

    def extras(self, state: PhyDNetState, frames: Tensor, predictions: Tensor) -> dict[str, Tensor]:
        return {"moments": moment_loss(self.phycell.F.conv1.weight)}
