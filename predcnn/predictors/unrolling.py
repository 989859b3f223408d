"""Recurrent networks over frames: on the past alone, or with true frames fed at chosen steps."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

import torch
from einops import rearrange
from torch import Tensor, nn

from predcnn.native import plain
from predcnn.predictors.protocol import Predictor
from predcnn.predictors.sizes import pad_to_multiple


class RecurrentPredictor(Predictor):
    """A predictor that consumes one frame per step and predicts the next one.

    Step t is fed frame t and predicts frame t + 1. Everything that passes from step to step lives
    in a state made by `begin` at the start of each call; nothing stays on the module, so any batch
    size works at any time. A subclass defines `begin` and `advance`; `advance` gets as many
    consecutive steps at once as have known inputs, and batches over time what its recurrence
    allows.

    Attributes:
        size_multiple: frame height and width must be multiples of this.
    """

    size_multiple: int = 1

    def begin(self, first: Tensor, *, collect: bool) -> object:
        """The state before the first step.

        Args:
            first: the first input of `advance`, (B, C, H, W), for its shape, type and device.
            collect: whether the state should gather what `extras` needs.
        """
        raise NotImplementedError

    def advance(self, fed: Tensor, state: object, *, last_only: bool) -> Tensor:
        """Take S steps; ``state`` is changed in place.

        Args:
            fed: inputs of the steps, time first, (S, B, C, H, W), as `enter` gives them.
            state: from `begin`, or what the last call left of it.
            last_only: only the prediction of the last step is wanted.

        Returns:
            predictions (S, B, C, H, W), or (1, B, C, H, W) if ``last_only``.
        """
        raise NotImplementedError

    def enter(self, frames: Tensor) -> Tensor:
        """Frames (B, S, C, H, W) in the form that the steps use, time first (S, B, ...)."""
        return frames.transpose(0, 1)

    def leave(self, predictions: Tensor) -> Tensor:
        """The inverse of `enter`."""
        return predictions.transpose(0, 1)

    def feed_back(self, prediction: Tensor, state: object) -> Tensor:
        """The input of a step without a true frame: the ``prediction`` of it, (B, C, H, W)."""
        return prediction

    def extras(self, state: object, frames: Tensor, predictions: Tensor) -> dict[str, Tensor]:
        """Values that the published loss needs besides the predictions (B, T_all - 1, C, H, W)."""
        return {}

    def forward(self, past: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, frames_out, C, H, W): every prediction is fed back."""
        self.check_past(past)
        self.check_size(past.shape[-2:])
        return self._continue(past, self.frames_out)

    def rollout(self, past: Tensor, horizon: int) -> Tensor:
        """The next ``horizon`` frames of any size: padded to `size_multiple`, then cropped."""
        height, width = past.shape[-2:]
        padded = pad_to_multiple(past, self.size_multiple)
        self.check_size(padded.shape[-2:])
        return self._continue(padded, horizon)[..., :height, :width]

    def unroll(self, frames: Tensor, use_truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """One-step predictions of frames 1..T_all-1, fed with true frames or own predictions.

        Args:
            frames: (B, T_all, C, H, W) float in [0, 1], T_all >= 2. The last frame is never fed.
            use_truth: (B, T_all - 1) bool: step t of sample b is fed the true frame t (True) or the
                prediction of frame t (False). The first column must be True. It is read on the
                host, so keep it on the CPU to save a synchronisation.

        Returns:
            predictions (B, T_all - 1, C, H, W), unclipped, and the extras of this model.
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
        """What the published code computes to predict, for counting its cost.

        It decodes the predictions of the past frames as well, (B, T - 1 + frames_out, C, H, W);
        ``forward`` decodes only the future ones.
        """
        B, T = past.shape[:2]
        future = past.new_zeros(B, self.frames_out, *past.shape[2:])
        known = torch.arange(T + self.frames_out - 1) < T
        with plain():
            return self.unroll(torch.cat([past, future], dim=1), known.expand(B, -1))[0]

    def check_size(self, size: Sequence[int]) -> None:
        """ValueError unless the network takes frames of this ``size`` (H, W)."""
        name, size = type(self).__name__, tuple(size)
        if self.needs_resolution and size != self.in_shape[2:]:
            raise ValueError(
                f"{name} has parameters per pixel and was built for frames (H, W) = "
                f"{self.in_shape[2:]}, not {size}: build it for that size, or call predict()"
            )
        fitting = tuple(ceil(n / self.size_multiple) * self.size_multiple for n in size)
        if size != fitting:
            raise ValueError(
                f"{name} takes frames whose height and width are multiples of "
                f"{self.size_multiple}, such as {fitting}, not (H, W) = {size}; predict() pads"
            )

    def _check_unroll(self, frames: Tensor, use_truth: Tensor) -> None:
        if frames.ndim != 5 or frames.shape[1] < 2:
            raise ValueError(f"frames are (B, T_all >= 2, C, H, W), not {tuple(frames.shape)}")
        if frames.shape[2] != self.in_shape[1]:
            raise ValueError(f"built for {self.in_shape[1]} channels, given {frames.shape[2]}")
        if not frames.is_floating_point():
            raise TypeError(f"frames are floats in [0, 1], not {frames.dtype}: divide bytes by 255")
        self.check_size(frames.shape[-2:])
        steps = (frames.shape[0], frames.shape[1] - 1)
        if use_truth.dtype != torch.bool or tuple(use_truth.shape) != steps:
            raise ValueError(
                f"use_truth is bool of shape (B, T_all - 1) = {steps}, "
                f"not {use_truth.dtype} {tuple(use_truth.shape)}"
            )
        if not use_truth[:, 0].all():
            raise ValueError("use_truth[:, 0] must be True: there is no prediction of frame 0")

    def _continue(self, past: Tensor, horizon: int) -> Tensor:
        fed = self.enter(past)
        state = self.begin(fed[0], collect=False)
        predictions = [self.advance(fed, state, last_only=True)]
        while len(predictions) < horizon:
            fed = self.feed_back(predictions[-1][0], state)[None]
            predictions.append(self.advance(fed, state, last_only=True))
        return self.leave(torch.cat(predictions))


def over_time(module: Callable[[Tensor], Tensor], sequence: Tensor) -> Tensor:
    """Apply ``module`` to all steps at once: (S, B, ...) -> (S, B, ...)."""
    if sequence.shape[0] == 1:
        return module(sequence[0]).unsqueeze(0)
    result = module(rearrange(sequence, "s b ... -> (s b) ..."))
    return rearrange(result, "(s b) ... -> s b ...", s=len(sequence))


def mixed(gate: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """gate · one + (1 - gate) · other; unlike ``torch.lerp`` also under autocast."""
    return torch.addcmul(other, gate, one - other)


def check_equal_widths(name: str, widths: Sequence[int], least: int) -> tuple[int, ...]:
    """``widths`` as a tuple if there are at least ``least`` and all equal, else ValueError."""
    if len(widths) < least or len(set(widths)) > 1:
        raise ValueError(
            f"{name} passes one memory through all layers: num_hidden needs {least} or more equal "
            f"widths, not {tuple(widths)}"
        )
    return tuple(widths)


def note_unused(
    owner: nn.Module, compat: str | None, build: Callable[[], dict[str, nn.Module]]
) -> None:
    """Deal with parts that the published code builds but never uses.

    With compat "openstl" they become parts of ``owner``; else they are only counted (as
    ``owner.unused_published_params``), for the published number of parameters.
    """
    if compat == "openstl":
        for name, part in build().items():
            owner.add_module(name, part)
        return
    with torch.device("meta"):
        parts = build().values()
    owner.unused_published_params = sum(p.numel() for part in parts for p in part.parameters())
