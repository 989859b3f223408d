"""The base classes of all predictors, and how they pad and tile frames of other sizes."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.costs.measuring import evaluating
from predcnn.data.frames import as_batch
from predcnn.ops.fold import Mergeable
from predcnn.predictors.hub import Publishing
from predcnn.registry import PREDICTORS
from predcnn.translators.weights import TakenWeights


def check_in_shape(in_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Return ``in_shape`` as a tuple; raise ValueError unless it is four positive integers."""
    shape = tuple(in_shape) if isinstance(in_shape, Sequence) else (in_shape,)
    if len(shape) != 4 or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"in_shape is (T, C, H, W), four positive integers, not {in_shape!r}")
    return shape


def check_frames_out(frames_out: int | None, frames_in: int) -> int:
    """Return ``frames_out``, or ``frames_in`` if it is None."""
    count = frames_in if frames_out is None else frames_out
    if type(count) is not int or count < 1:
        raise ValueError(f"a number of future frames is a positive integer, not {frames_out!r}")
    return count


def pad_frames(frames: Tensor, height: int, width: int) -> Tensor:
    """Repeat the lower and right border, (B, T, C, H, W) -> (B, T, C, height, width)."""
    below, right = height - frames.shape[-2], width - frames.shape[-1]
    if below <= 0 and right <= 0:
        return frames
    return functional.pad(frames, (0, right, 0, below, 0, 0), mode="replicate")


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Repeat the lower and right border up to the next sizes that ``multiple`` divides."""
    height, width = (ceil(n / multiple) * multiple for n in frames.shape[-2:])
    return pad_frames(frames, height, width)


Made = Callable[[int], object]
"""``made(count)``: called during a roll-out with the number of frames predicted so far."""


def tiled(run: Callable[[Tensor], Tensor], frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply ``run``, which accepts only frames of ``size`` (H, W), to frames of any size.

    Smaller frames are padded. Larger ones are covered by evenly spaced tiles, whose overlaps are
    averaged.
    """
    height, width = frames.shape[-2:]
    padded = pad_frames(frames, max(height, size[0]), max(width, size[1]))
    rows, columns = _starts(padded.shape[-2], size[0]), _starts(padded.shape[-1], size[1])
    if len(rows) == len(columns) == 1:
        return run(padded)[..., :height, :width]
    total, weight = None, padded.new_zeros(padded.shape[-2:])
    for top in rows:
        for left in columns:
            window = (..., slice(top, top + size[0]), slice(left, left + size[1]))
            tile = run(padded[window])
            if total is None:
                total = tile.new_zeros((*tile.shape[:-2], *padded.shape[-2:]))
            total[window] += tile
            weight[window] += 1
    return (total / weight)[..., :height, :width]


def _starts(length: int, tile: int) -> list[int]:
    """Return where evenly spaced tiles start that cover ``length``."""
    count = ceil(length / tile)
    return torch.linspace(0, length - tile, count).round().int().tolist()


class Predictor(Publishing, Mergeable, nn.Module):
    """Past frames (B, T, C, H, W) in [0, 1] -> future frames (B, frames_out, C, H, W), unclipped.

    A subclass is registered in PREDICTORS, calls this constructor first, and defines ``forward``.
    Its constructor takes ``(in_shape, frames_out=None, *, compat=None, <named options>)``, which
    are recorded in ``config``. If its published parameter names differ, it declares
    ``openstl_keys`` (see `predcnn.weights.published`). If it accepts only frames of the size it was
    built for, it sets ``needs_resolution = True``; `predict` then pads and tiles other sizes. Its
    ``size_multiple`` divides the height and width of frames.

    Attributes:
        config: plain dict {"name", "in_shape", "frames_out", "compat", options...} (sequences as
            tuples) that `predcnn.create_predictor` accepts.
        taken_weights: what the translator received from a backbone's checkpoint, printable, or
            None.

    Args:
        in_shape: (T, C, H, W) of the past.
        frames_out: number of future frames; T if None.
        compat: None, or "openstl" for the published form with its unused parameters.
    """

    needs_resolution: bool = False
    size_multiple: int = 1
    config: dict[str, object]
    taken_weights: TakenWeights | None = None

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)

    def __init__(
        self, in_shape: Sequence[int], frames_out: int | None = None, *, compat: str | None = None
    ) -> None:
        super().__init__()
        self.in_shape = check_in_shape(in_shape)
        self.frames_out = check_frames_out(frames_out, self.in_shape[0])
        if compat not in (None, "openstl"):
            raise ValueError(f"{type(self).__name__}: compat is None or 'openstl', not {compat!r}")
        self.compat = compat

    def check_past(self, past: Tensor) -> None:
        """Raise an error unless ``past`` is float (B, T, C, H, W) with this predictor's T and C."""
        T, C = self.in_shape[:2]
        shape = tuple(past.shape)
        if past.ndim != 5:
            raise ValueError(f"frames are (B, T, C, H, W), not {past.ndim}-D {shape}")
        if shape[1:3] != (T, C):
            raise ValueError(f"frames are (B, {T}, {C}, H, W) for this predictor, not {shape}")
        if not past.is_floating_point():
            raise TypeError(f"frames are floats in [0, 1], not {past.dtype}: divide bytes by 255")

    def check_size(self, size: Sequence[int]) -> None:
        """Raise ValueError unless the network accepts frames of this ``size`` (H, W)."""
        own, size, multiple = self.in_shape[2:], tuple(size), self.size_multiple
        if self.needs_resolution and size != own:
            raise ValueError(f"built for frames (H, W) = {own}, not {size}; predict() takes others")
        fit = tuple(ceil(n / multiple) * multiple for n in size)
        if size != fit:
            raise ValueError(
                f"H and W are multiples of {multiple}, such as {fit}, not {size}; predict() pads"
            )

    def rollout(self, past: Tensor, horizon: int, made: Made = lambda count: None) -> Tensor:
        """Predict ``horizon`` frames, differentiably, by feeding back predictions."""
        known, pieces = past, []
        while (count := sum(piece.shape[1] for piece in pieces)) < horizon:
            made(count)
            pieces.append(self._one_pass(known))
            known = torch.cat([known, pieces[-1]], dim=1)[:, -past.shape[1] :]
        return torch.cat(pieces, dim=1)[:, :horizon]

    def _one_pass(self, past: Tensor) -> Tensor:
        """Predict one frame or more."""
        return self(past)

    def predict(
        self,
        frames: Tensor | np.ndarray,
        horizon: int | None = None,
        *,
        any_range: bool = False,
        made: Made = lambda count: None,
    ) -> Tensor:
        """Predict ``horizon`` frames of any size in eval mode without gradients.

        Args:
            frames: the past (B, T, C, H, W), or (T, C, H, W) as a batch of one; a tensor or an
                array on any device, uint8 or floating point in [0, 1].
            horizon: number of frames, at least 1; ``frames_out`` if None.
            any_range: floats may lie outside [0, 1]: they are on the scale of the training data.
            made: called with the number of frames predicted so far, before every pass.

        Returns:
            future frames (B, horizon, C, H, W) of the predictor's type, on its device.

        Raises:
            ValueError: wrong number of axes, frames or channels, NaN, values outside [0, 1], or
                horizon < 1.
            TypeError: frames are not numbers, or integers other than uint8.
        """
        weight = next(self.parameters(), None)
        dtype = torch.float32 if weight is None else weight.dtype
        frames = as_batch(frames, dtype, any_range=any_range)
        frames = frames if weight is None else frames.to(weight.device)
        self.check_past(frames)
        horizon = check_frames_out(horizon, self.frames_out)
        with evaluating(self):
            if self.needs_resolution:
                return tiled(lambda x: self.rollout(x, horizon, made), frames, self.in_shape[2:])
            return self.rollout(frames, horizon, made)


class OnePassPredictor(Predictor):
    """A predictor of several frames a pass, of any H and W; a subclass defines `one_pass`.

    More frames than a pass gives come from feeding the prediction back. H and W that
    ``size_multiple`` does not divide are padded by repeating the border, and cropped again.
    """

    def one_pass(self, frames: Tensor) -> Tensor:
        """Map padded frames (B, T, C, H, W) to the next frames, (B, any number, C, H, W)."""
        raise NotImplementedError

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return self.rollout(past, self.frames_out)

    def _one_pass(self, past: Tensor) -> Tensor:
        height, width = past.shape[-2:]
        future = self.one_pass(pad_to_multiple(past, self.size_multiple))
        return future[:, : self.frames_out, :, :height, :width]


def is_direct(horizon_head: str) -> bool:
    """Return whether a head makes all future frames in one pass; ValueError for no head."""
    if horizon_head not in ("rollout", "direct"):
        raise ValueError(f"horizon_head is 'rollout' or 'direct', not {horizon_head!r}")
    return horizon_head == "direct"


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor record its arguments in ``config``; the outermost class wins."""

    @functools.wraps(init)
    def recorded(self: Predictor, *args: object, **options: object) -> None:
        init(self, *args, **options)
        bound = inspect.signature(init).bind(self, *args, **options)
        bound.apply_defaults()
        given = {key: plain(value) for key, value in list(bound.arguments.items())[1:]}
        cls = type(self)
        dotted = f"{cls.__module__}.{cls.__qualname__}"
        self.config = {
            "name": next((n for n in PREDICTORS.names() if PREDICTORS[n] is cls), dotted),
            **given,
            "in_shape": self.in_shape,
            "frames_out": self.frames_out,
        }

    return recorded


Predictor.__init__ = _recording(Predictor.__init__)


def plain(value: object) -> object:
    """Return an option as plain data (sequences as tuples); raise TypeError if it is not."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return tuple(plain(item) for item in value)
    raise TypeError(f"a predictor's option is plain data, not {type(value).__name__}: {value!r}")
