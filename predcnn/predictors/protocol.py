"""The base class of all predictors: past frames in, future frames out."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.costs.measuring import evaluating
from predcnn.data.frames import as_batch
from predcnn.ops.fold import Mergeable
from predcnn.predictors.hub import Publishing
from predcnn.predictors.rollout import roll_out
from predcnn.predictors.sizes import tiled
from predcnn.registry import PREDICTORS
from predcnn.translators.weights import TakenWeights

COMPAT = (None, "openstl")


def check_compat(name: str, compat: str | None) -> str | None:
    """Return ``compat`` if it is None (repaired form) or "openstl" (published form)."""
    if compat not in COMPAT:
        raise ValueError(f"{name}: compat is None or 'openstl', not {compat!r}")
    return compat


def check_in_shape(in_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Return ``in_shape`` as a tuple (T, C, H, W) of positive integers."""
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


class Predictor(Publishing, Mergeable, nn.Module):
    """Past frames (B, T, C, H, W) in [0, 1] -> future frames (B, frames_out, C, H, W), unclipped.

    A subclass is registered in PREDICTORS, calls this constructor first, and defines ``forward``.
    Its constructor takes ``(in_shape, frames_out=None, *, compat=None, <named options>)``; what it
    was called with is recorded in ``config`` without the subclass doing anything.

    A subclass whose published parameter names differ declares ``openstl_keys`` (see
    `predcnn.weights.published`). One that only takes frames of the size it was built for sets
    ``needs_resolution = True`` and gets other sizes in `predict` by padding and tiling.

    Attributes:
        in_shape, frames_out, compat: as given to the constructor.
        config: plain dict {"name", "in_shape", "frames_out", "compat", options...} (sequences as
            tuples) that `predcnn.create_predictor` accepts back.
        taken_weights: what the translator received from a backbone's checkpoint, printable; None
            where nothing was asked for.

    Args:
        in_shape: (T, C, H, W) of the past, four positive integers.
        frames_out: number of future frames; T if None.
        compat: None, or "openstl" for the published form with its unused parameters.
    """

    needs_resolution: bool = False
    config: dict[str, object]
    taken_weights: TakenWeights | None = None

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
    ) -> None:
        super().__init__()
        self.in_shape = check_in_shape(in_shape)
        self.frames_out = check_frames_out(frames_out, self.in_shape[0])
        self.compat = check_compat(type(self).__name__, compat)

    def check_past(self, past: Tensor) -> None:
        """Raise if ``past`` is no float tensor (B, T, C, H, W) with this predictor's T and C."""
        T, C = self.in_shape[:2]
        if past.ndim != 5:
            raise ValueError(f"frames are (B, T, C, H, W), not {past.ndim}-D {tuple(past.shape)}")
        if past.shape[1] != T or past.shape[2] != C:
            raise ValueError(
                f"built for {T} frames of {C} channels, given {past.shape[1]} frames of "
                f"{past.shape[2]} channels: shape (B, T, C, H, W) = {tuple(past.shape)}"
            )
        if not past.is_floating_point():
            raise TypeError(f"frames are floats in [0, 1], not {past.dtype}: divide bytes by 255")

    def rollout(self, past: Tensor, horizon: int) -> Tensor:
        """The next ``horizon`` frames, by feeding predictions back; differentiable.

        Slides over the last T frames; a predictor that can simply run longer overrides this.
        """
        return roll_out(self, past, horizon)

    def predict(
        self,
        frames: Tensor | np.ndarray,
        horizon: int | None = None,
        *,
        any_range: bool = False,
    ) -> Tensor:
        """Predict the next ``horizon`` frames, by default ``frames_out``: (B, horizon, C, H, W).

        Any frame size and any horizon; runs in eval mode without gradients and leaves every
        module's mode as it was.

        Args:
            frames: the past (B, T, C, H, W), or (T, C, H, W) as a batch of one; a tensor or an
                array, uint8 or floating point in [0, 1]. It is converted to the type and moved to
                the device of this predictor.
            horizon: number of frames, at least 1.
            any_range: floats are values on the scale of the training, see data=array.

        Raises:
            ValueError: wrong number of axes, frames or channels, NaN, values outside [0, 1], or
                horizon < 1.
            TypeError: frames are no numbers, or integers other than uint8.
        """
        weight = next(self.parameters(), None)
        dtype = torch.float32 if weight is None else weight.dtype
        frames = as_batch(frames, dtype, any_range=any_range)
        frames = frames if weight is None else frames.to(weight.device)
        self.check_past(frames)
        horizon = check_frames_out(horizon, self.frames_out)
        with evaluating(self):
            if self.needs_resolution:
                size = self.in_shape[2:]
                return tiled(lambda past: self.rollout(past, horizon), frames, size)
            return self.rollout(frames, horizon)


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor leave what it was called with in ``config``; the outermost class wins."""

    @functools.wraps(init)
    def recorded(self: Predictor, *args: object, **options: object) -> None:
        init(self, *args, **options)
        bound = inspect.signature(init).bind(self, *args, **options)
        bound.apply_defaults()
        given = {key: plain(value) for key, value in list(bound.arguments.items())[1:]}
        self.config = {
            "name": _name_of(type(self)),
            **given,
            "in_shape": self.in_shape,
            "frames_out": self.frames_out,
        }

    return recorded


Predictor.__init__ = _recording(Predictor.__init__)


def _name_of(cls: type) -> str:
    """The registered name of a predictor's class, else its dotted path."""
    for name in PREDICTORS.names():
        if PREDICTORS[name] is cls:
            return name
    return f"{cls.__module__}.{cls.__qualname__}"


def plain(value: object) -> object:
    """An option as plain data: numbers, strings, None, tuples and dicts; TypeError for the rest."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return tuple(plain(item) for item in value)
    raise TypeError(f"a predictor's option is plain data, not {type(value).__name__}: {value!r}")
