"""Cells stacked on patches: the base of ConvLSTM, the PredRNN family, MIM and E3D-LSTM."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.native import plain_wanted
from predcnn.predictors.patches import PatchedPredictor
from predcnn.predictors.unrolling import over_time


@dataclass(frozen=True)
class StackShape:
    """The sizes of a stack of cells.

    Attributes:
        channels: of a frame after space-to-depth.
        hidden: channels of each layer's state.
        kernel: size of the square convolutions of the gates.
        size: (H, W) of the states.
        layer_norm: whether every gate convolution is followed by LayerNorm over (C, H, W).
        compat: None or "openstl".
    """

    channels: int
    hidden: tuple[int, ...]
    kernel: int
    size: tuple[int, int]
    layer_norm: bool
    compat: str | None

    def layers(self) -> list[tuple[int, int]]:
        """(input channels, state channels) of every layer from the bottom up."""
        return list(zip((self.channels, *self.hidden), self.hidden, strict=False))

    def gates(self, dim_in: int, dim_out: int) -> "GateConv":
        """A gate convolution of this stack."""
        return GateConv(dim_in, dim_out, self.kernel, self.size if self.layer_norm else None)


class GateConv(nn.Sequential):
    """All gates that one state feeds: a bias-free convolution, then perhaps LayerNorm.

    (B, dim_in, H, W) -> (B, dim_out, H, W).

    Args:
        norm_size: (H, W) of a LayerNorm over (C, H, W); None for no norm, then any H, W.
    """

    def __init__(
        self, dim_in: int, dim_out: int, kernel: int, norm_size: tuple[int, int] | None
    ) -> None:
        parts: list[nn.Module] = [
            nn.Conv2d(dim_in, dim_out, kernel, padding=kernel // 2, bias=False)
        ]
        if norm_size is not None:
            parts.append(nn.LayerNorm([dim_out, *norm_size]))
        super().__init__(*parts)

    @property
    def joinable(self) -> bool:
        """Whether it may become part of a `joined` convolution: no norm behind it, not `plain`."""
        return len(self) == 1 and not plain_wanted()


def joined(*weights: Tensor) -> Tensor:
    """The weight of one convolution over several maps, the sum of those over each of them.

    One convolution over all channels is up to 1.7 times as fast as several whose results are added.
    """
    return torch.cat(weights, dim=1)


def convolve(weight: Tensor, *maps: Tensor) -> Tensor:
    """The convolution of ``maps``, stacked along the channels, by a `joined` weight, size kept."""
    return functional.conv2d(torch.cat(maps, dim=1), weight, padding=weight.shape[-1] // 2)


def gated_update(gates: Tensor, state: Tensor, forget_bias: float = 0.0) -> tuple[Tensor, Tensor]:
    """σ(f + forget_bias) · state + σ(i) · tanh(g), with i, f, g stacked along the channels.

    Returns:
        the new state, and what was added to it, σ(i) · tanh(g).
    """
    i, f, g = gates.chunk(3, dim=1)
    if forget_bias:
        f = f + forget_bias
    increment = torch.sigmoid(i) * torch.tanh(g)
    return torch.addcmul(increment, torch.sigmoid(f), state), increment


class StackedPredictor(PatchedPredictor):
    """Cells stacked on space-to-depth patches; a subclass defines `build`, `begin` and `step`.

    (B, T, C, H, W) -> (B, frames_out, C, H, W), H and W multiples of ``patch_size``. The parameters
    start as PyTorch's defaults, as published.

    Args (others: see `Predictor`):
        num_hidden: state channels of each layer, bottom up.
        filter_size: odd kernel size of the gates.
        stride: 1; the key exists because published configurations write it.
        patch_size: frames are folded into patches of this size.
        layer_norm: LayerNorm over (C, H, W) after every gate convolution; it fixes the frame size.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        num_hidden: Sequence[int] = (128, 128, 128, 128),
        filter_size: int = 5,
        stride: int = 1,
        patch_size: int = 4,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        if filter_size % 2 == 0 or stride != 1:
            raise ValueError(
                f"the gates must keep the size of the states: filter_size odd and stride 1, "
                f"not {filter_size} and {stride}"
            )
        if not num_hidden:
            raise ValueError("num_hidden needs at least one layer")
        self.size_multiple = self.patch_size = patch_size
        self.needs_resolution = self.needs_resolution or bool(layer_norm)
        _, C, H, W = self.in_shape
        self.check_size((H, W))
        size = (H // patch_size, W // patch_size)
        self.shape = StackShape(
            C * patch_size**2, tuple(num_hidden), filter_size, size, bool(layer_norm), compat
        )
        self.build(self.shape)

    def build(self, shape: StackShape) -> None:
        """Create the cells and the readout."""
        raise NotImplementedError

    def step(self, x: Tensor, state: object) -> Tensor:
        """Take one step, input (B, C, H, W) -> the top hidden state; ``state`` changes in place."""
        raise NotImplementedError

    def advance(self, fed: Tensor, state: object, *, last_only: bool) -> Tensor:
        """S steps; the readout runs on all of them at once."""
        top = [self.step(x, state) for x in fed]
        return over_time(self.conv_last, torch.stack(top[-1:] if last_only else top))
