"""Recurrent networks over frames: on the past alone, or with true frames fed at chosen steps."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn

from predcnn.native import plain
from predcnn.predictors.protocol import Made, Predictor, pad_to_multiple


class RecurrentPredictor(Predictor):
    """A predictor that consumes one frame per step and predicts the next one.

    Step t is fed frame t and predicts frame t + 1. What passes from step to step lives in a state
    made by `begin`; the module keeps nothing between calls. A subclass defines `begin` and
    `advance`, which gets as many steps at once as have known inputs.
    """

    patch_size: int = 1  # side of the squares of pixels that enter as channels

    def begin(self, first: Tensor, *, collect: bool) -> object:
        """Return the state before the first step.

        Args:
            first: the first input of `advance`, (B, C, H, W), for its shape, type and device.
            collect: whether the state should gather what `extras` needs.
        """
        raise NotImplementedError

    def advance(self, fed: Tensor, state: object, *, last_only: bool) -> Tensor:
        """Take S steps, inputs (S, B, C, H, W) from `enter` -> predictions of the same shape.

        ``state`` is changed in place. With ``last_only`` the result is (1, B, C, H, W), the
        prediction of the last step.
        """
        raise NotImplementedError

    def enter(self, frames: Tensor) -> Tensor:
        """Convert frames (B, S, C, H, W) to inputs of the steps (S, B, p*p*C, H/p, W/p)."""
        return to_patches(frames.transpose(0, 1), self.patch_size)

    def leave(self, predictions: Tensor) -> Tensor:
        """Invert `enter`."""
        return from_patches(predictions, self.patch_size).transpose(0, 1)

    def feed_back(self, prediction: Tensor, state: object) -> Tensor:
        """Return the input of a step without a true frame, (B, C, H, W)."""
        return prediction

    def extras(self, state: object, frames: Tensor, predictions: Tensor) -> dict[str, Tensor]:
        """Return what the published loss needs besides predictions (B, T_all - 1, C, H, W)."""
        return {}

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        self.check_size(past.shape[-2:])
        return self._continue(past, self.frames_out)

    def rollout(self, past: Tensor, horizon: int, made: Made = lambda count: None) -> Tensor:
        """Predict ``horizon`` frames of any size, padded to `size_multiple` and cropped."""
        height, width = past.shape[-2:]
        padded = pad_to_multiple(past, self.size_multiple)
        self.check_size(padded.shape[-2:])
        return self._continue(padded, horizon, made)[..., :height, :width]

    def unroll(self, frames: Tensor, use_truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict frames 1..T_all-1 step by step from true frames or own predictions.

        Args:
            frames: (B, T_all, C, H, W) float in [0, 1], T_all >= 2. The last frame is never fed.
            use_truth: (B, T_all - 1) bool, whether step t of sample b is fed the true frame t or
                its prediction. The first column must be True. Kept on the CPU it saves a
                synchronisation.

        Returns:
            predictions (B, T_all - 1, C, H, W), unclipped, and the `extras`.
        """
        self._check_unroll(frames, use_truth)
        truth = self.enter(frames[:, :-1])
        known = use_truth.all(dim=0).tolist()
        pick = use_truth.to(frames.device)[..., None, None, None]
        starts = [0, *(t for t in range(1, len(known)) if not known[t]), len(known)]
        state = self.begin(truth[0], collect=True)
        pieces: list[Tensor] = []
        for start, stop in pairwise(starts):
            fed = truth[start:stop]
            if not known[start]:
                guess = self.feed_back(pieces[-1][-1], state)
                first = torch.where(pick[:, start], truth[start], guess)
                fed = torch.cat([first[None], fed[1:]])
            pieces.append(self.advance(fed, state, last_only=False))
        predictions = self.leave(torch.cat(pieces))
        return predictions, self.extras(state, frames, predictions)

    def published_pass(self, past: Tensor) -> Tensor:
        """Compute what the reference code computes, for counting its cost.

        It also decodes the predictions of the past frames: (B, T - 1 + frames_out, C, H, W).
        """
        B, T = past.shape[:2]
        future = past.new_zeros(B, self.frames_out, *past.shape[2:])
        known = torch.arange(T + self.frames_out - 1) < T
        with plain():
            return self.unroll(torch.cat([past, future], dim=1), known.expand(B, -1))[0]

    def _check_unroll(self, frames: Tensor, use_truth: Tensor) -> None:
        shape, C = tuple(frames.shape), self.in_shape[1]
        if frames.ndim != 5 or shape[1] < 2 or shape[2] != C:
            raise ValueError(f"frames are (B, T_all >= 2, C = {C}, H, W), not {shape}")
        if not frames.is_floating_point():
            raise TypeError(f"frames are floats in [0, 1], not {frames.dtype}: divide bytes by 255")
        self.check_size(frames.shape[-2:])
        given, steps = tuple(use_truth.shape), (shape[0], shape[1] - 1)
        if use_truth.dtype != torch.bool or given != steps:
            raise ValueError(f"use_truth is bool {steps}, not {use_truth.dtype} {given}")
        if not use_truth[:, 0].all():
            raise ValueError("use_truth[:, 0] must be True: there is no prediction of frame 0")

    def _continue(self, past: Tensor, horizon: int, made: Made = lambda count: None) -> Tensor:
        fed = self.enter(past)
        state = self.begin(fed[0], collect=False)
        predictions = [self.advance(fed, state, last_only=True)]
        while len(predictions) < horizon:
            made(len(predictions))
            fed = self.feed_back(predictions[-1][0], state)[None]
            predictions.append(self.advance(fed, state, last_only=True))
        return self.leave(torch.cat(predictions))


def to_patches(frames: Tensor, patch: int) -> Tensor:
    """Move squares of side p into the channels, (..., C, H, W) -> (..., p*p*C, H/p, W/p).

    The channels are ordered as in the reference code, unlike those of ``pixel_unshuffle``.
    """
    squares = "... c (h p1) (w p2) -> ... (p1 p2 c) h w"
    return frames if patch == 1 else rearrange(frames, squares, p1=patch, p2=patch)


def from_patches(patches: Tensor, patch: int) -> Tensor:
    """Invert `to_patches`: (..., patch*patch*C, H, W) -> (..., C, patch*H, patch*W)."""
    pixels = "... (p1 p2 c) h w -> ... c (h p1) (w p2)"
    return patches if patch == 1 else rearrange(patches, pixels, p1=patch, p2=patch)


def over_time(module: Callable[[Tensor], Tensor], sequence: Tensor) -> Tensor:
    """Apply ``module`` to all steps at once: (S, B, ...) -> (S, B, ...)."""
    if sequence.shape[0] == 1:
        return module(sequence[0]).unsqueeze(0)
    result = module(rearrange(sequence, "s b ... -> (s b) ..."))
    return rearrange(result, "(s b) ... -> s b ...", s=len(sequence))


def mixed(gate: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return gate · one + (1 - gate) · other; ``torch.lerp`` fails under autocast."""
    return torch.addcmul(other, gate, one - other)


def check_gates(filter_size: int, stride: int) -> None:
    """Raise ValueError unless gate convolutions keep the size of the states."""
    if filter_size % 2 == 0 or stride != 1:
        raise ValueError(f"filter_size is odd and stride 1, not {filter_size} and {stride}")


def check_equal_widths(name: str, widths: Sequence[int], least: int) -> None:
    """Raise ValueError unless there are at least ``least`` widths, all equal."""
    if len(widths) < least or len(set(widths)) > 1:
        raise ValueError(f"{name} needs {least} or more equal num_hidden, not {tuple(widths)}")


def note_unused(
    owner: nn.Module, compat: str | None, build: Callable[[], dict[str, nn.Module]]
) -> None:
    """Add parts that the reference code never uses to ``owner`` if compat is "openstl".

    Otherwise count their parameters in ``owner.unused_published_params``.
    """
    if compat == "openstl":
        for name, part in build().items():
            owner.add_module(name, part)
        return
    with torch.device("meta"):
        parts = build().values()
    owner.unused_published_params = sum(p.numel() for part in parts for p in part.parameters())
