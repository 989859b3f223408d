"""PredNet: each layer predicts the layer below, and only what it got wrong goes up.

Lotter et al., "Deep Predictive Coding Networks for Video Prediction and Unsupervised Learning",
2017, https://arxiv.org/abs/1605.08104 (eq. 1-4, algorithm 1, fig. 1). There is no reference output:
tests compare with a reference implementation of the equations and the published parameter count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.predictors.unrolling import RecurrentPredictor
from predcnn.registry import PREDICTORS

GATES = ("i", "f", "o", "c")


@dataclass
class PredNetState:
    """State from step to step, one value per layer unless noted."""

    r: list[Tensor]  # hidden and cell states of R
    c: list[Tensor]
    gates: list[tuple[Tensor, Tensor]]  # weights and biases of the four gates, joined
    # predictions of the layer's input; the lowest is the predicted frame
    ahat: list[Tensor] = field(default_factory=list)
    earlier: Tensor | None = None  # the predicted frame before that
    # mean errors (B, layers) of the frames fed so far
    errors: list[Tensor] = field(default_factory=list)


@PREDICTORS.register("prednet")
class PredNet(RecurrentPredictor):
    """Predictive coding, (B, T, C, H, W) -> (B, frames_out, C, H, W) in [0, pixel_max].

    H and W are multiples of 2^(layers - 1). A step compares its frame with the prediction, passes
    the errors up, updates the states from the top down, and predicts the next frame. `unroll` gives
    ``extras["layer_errors"]``, (B, T_all - 1, layers): the mean error of each layer at frames
    1..T_all-1, of the lowest layer against the true frame.

    compat "openstl" keeps two faults of the reference code: at test time it feeds back the
    prediction before the last, which is one frame late; in training it feeds the true frame at
    every step, whatever ``use_truth`` is.

    Args (others: see `Predictor`):
        stack_sizes: channels of each layer's input; the first is C. None: C, 32, 64, 128, 256.
        R_stack_sizes: channels of each layer's states; as ``stack_sizes`` if None.
        A_filt_sizes: odd kernel sizes towards the next layer, one less than layers; 3 if None.
        Ahat_filt_sizes: odd kernel sizes of the predictions; 3 if None.
        R_filt_sizes: odd kernel sizes of the states' gates; 3 if None.
        pixel_max: upper bound of a predicted pixel.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        stack_sizes: Sequence[int] | None = None,
        R_stack_sizes: Sequence[int] | None = None,
        A_filt_sizes: Sequence[int] | None = None,
        Ahat_filt_sizes: Sequence[int] | None = None,
        R_filt_sizes: Sequence[int] | None = None,
        pixel_max: float = 1.0,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        C, H, W = self.in_shape[1:]
        stack = tuple(stack_sizes or (C, 32, 64, 128, 256))
        if stack[0] != C:
            raise ValueError(f"stack_sizes starts with the {C} channels of a frame, not {stack[0]}")
        layers = len(stack)
        self.stack = stack
        self.r_stack = _per_layer("R_stack_sizes", R_stack_sizes, stack)
        self.pixel_max = pixel_max
        self.size_multiple = 2 ** (layers - 1)
        self.check_size((H, W))
        a_kernels = _per_layer("A_filt_sizes", A_filt_sizes, (3,) * (layers - 1), odd=True)
        ahat_kernels = _per_layer("Ahat_filt_sizes", Ahat_filt_sizes, (3,) * layers, odd=True)
        r_kernels = _per_layer("R_filt_sizes", R_filt_sizes, (3,) * layers, odd=True)
        self.A = _convolutions([2 * n for n in stack[:-1]], stack[1:], a_kernels)
        self.Ahat = _convolutions(self.r_stack, stack, ahat_kernels)
        above = (*self.r_stack[1:], 0)
        inputs = [r + 2 * a + up for r, a, up in zip(self.r_stack, stack, above, strict=True)]
        for gate in GATES:
            self.add_module(gate, _convolutions(inputs, self.r_stack, r_kernels))
        self.openstl_keys = {
            f"{name}.{layer}": f"{name}.{2 * layer}"
            for name in ("A", "Ahat")
            for layer in range(len(getattr(self, name)))
        }

    def begin(self, first: Tensor, *, collect: bool) -> PredNetState:
        B, _, H, W = first.shape
        zeros = [first.new_zeros(B, n, H >> k, W >> k) for k, n in enumerate(self.r_stack)]
        parts = [[getattr(self, gate)[k] for gate in GATES] for k in range(len(self.stack))]
        gates = [
            (torch.cat([g.weight for g in four]), torch.cat([g.bias for g in four]))
            for four in parts
        ]
        state = PredNetState(zeros, list(zeros), gates)
        errors = [first.new_zeros(B, 2 * n, H >> k, W >> k) for k, n in enumerate(self.stack)]
        self._predict_down(errors, state)
        return state

    def advance(self, fed: Tensor, state: PredNetState, *, last_only: bool) -> Tensor:
        predictions = []
        for frame in fed:
            errors = self._compare_up(frame, state)
            state.errors.append(_means(errors))
            state.earlier = state.ahat[0]
            self._predict_down(errors, state)
            predictions.append(state.ahat[0])
        return torch.stack(predictions[-1:] if last_only else predictions)

    def feed_back(self, prediction: Tensor, state: PredNetState) -> Tensor:
        return state.earlier if self.compat == "openstl" else prediction

    def unroll(self, frames: Tensor, use_truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if self.compat == "openstl":
            use_truth = torch.ones_like(use_truth)
        return super().unroll(frames, use_truth)

    def extras(self, state: PredNetState, frames: Tensor, predictions: Tensor) -> dict[str, Tensor]:
        last = _means(self._compare_up(frames[:, -1], state))
        errors = torch.stack([*state.errors[1:], last], dim=1)
        pixels = (predictions - frames[:, 1:]).abs().mean(dim=(2, 3, 4)) / 2
        return {"layer_errors": torch.cat([pixels[..., None], errors[..., 1:]], dim=-1)}

    def _compare_up(self, frame: Tensor, state: PredNetState) -> list[Tensor]:
        """Return the errors E of all layers, [too high, too low] along the channels."""
        errors, target = [], frame
        for layer, ahat in enumerate(state.ahat):
            difference = ahat - target
            errors.append(torch.cat([difference, -difference], dim=1).relu())
            if layer < len(self.A):
                target = functional.max_pool2d(self.A[layer](errors[-1]).relu(), 2)
        return errors

    def _predict_down(self, errors: list[Tensor], state: PredNetState) -> None:
        """Update R from the top down, then predict every layer's input from it."""
        for layer in reversed(range(len(self.stack))):
            parts = [state.r[layer], errors[layer]]
            if layer < len(self.stack) - 1:
                parts.append(functional.interpolate(state.r[layer + 1], scale_factor=2.0))
            weight, bias = state.gates[layer]
            joined, padding = torch.cat(parts, dim=1), weight.shape[-1] // 2
            gates = functional.conv2d(joined, weight, bias, padding=padding)
            n = self.r_stack[layer]
            i, f, o = (gates[:, : 3 * n] * 0.2 + 0.5).clamp(0, 1).chunk(3, dim=1)
            state.c[layer] = torch.addcmul(f * state.c[layer], i, torch.tanh(gates[:, 3 * n :]))
            state.r[layer] = o * torch.tanh(state.c[layer])
        state.ahat = [conv(r).relu() for conv, r in zip(self.Ahat, state.r, strict=True)]
        state.ahat[0] = state.ahat[0].clamp(max=self.pixel_max)


def _convolutions(
    dims_in: Sequence[int], dims_out: Sequence[int], kernels: Sequence[int]
) -> nn.ModuleList:
    """Build one size-keeping convolution per layer; biases are initially 0."""
    layers = nn.ModuleList()
    for dim_in, dim_out, kernel in zip(dims_in, dims_out, kernels, strict=True):
        layers.append(nn.Conv2d(dim_in, dim_out, kernel, padding=kernel // 2))
        nn.init.zeros_(layers[-1].bias)
    return layers


def _means(errors: list[Tensor]) -> Tensor:
    """Return the mean error of each layer, (B, layers)."""
    return torch.stack([error.mean(dim=(1, 2, 3)) for error in errors], dim=1)


def _per_layer(
    name: str, given: Sequence[int] | None, default: tuple[int, ...], *, odd: bool = False
) -> tuple[int, ...]:
    values = default if given is None else tuple(given)
    if len(values) != len(default) or (odd and not all(n % 2 for n in values)):
        kind = "odd numbers" if odd else "numbers"
        raise ValueError(f"{name} needs {len(default)} {kind}, not {values}")
    return values
