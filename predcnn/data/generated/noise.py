"""Noise of the input frames: perceptual, missing, dynamic (OpenSTL's noisy MNIST).

It changes only the input frames, never the targets, in every split; the published test set was
clean.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from predcnn.data.draws import integers, normals, stream_key, uniforms

NOISES = ("perceptual", "missing", "dynamic")
"""Accepted values of ``noise`` besides None (in a config: null)."""

BLOT = 24  # pixels, side of the black square
MISSING = 0.2  # probability that an input frame is black
JITTER = 0.2  # standard deviation of the velocity, whose length is 1


def velocity_jitter(
    noise: str | None, key: int, indices: np.ndarray, frames: int, sprites: int
) -> np.ndarray | None:
    """Draw ``dynamic`` noise: N(0, 0.2) on sin and cos of the direction, per frame and sprite.

    Returns:
        float64 (frames, 2, B, sprites), the ``jitter`` of `sprites.trajectories`, else None.
    """
    if noise != "dynamic":
        return None
    unit = uniforms(stream_key(key, noise), indices, frames * 2 * sprites * 2)
    return (JITTER * normals(unit)).reshape(len(indices), frames, 2, sprites).transpose(1, 2, 0, 3)


def disturb(noise: str | None, frames: np.ndarray, key: int, indices: np.ndarray) -> None:
    """Apply ``perceptual`` or ``missing`` noise to input frames (B, T_in, C, H, W), in place."""
    change = _ON_FRAMES.get(noise)
    if change is not None:
        change(frames, stream_key(key, noise), indices)


def _blot(frames: np.ndarray, key: int, indices: np.ndarray) -> None:
    batch, count, _, height, width = frames.shape
    unit = uniforms(key, indices, 2 * count).reshape(batch, count, 2)
    top = integers(unit[..., 0], height - BLOT)
    left = integers(unit[..., 1], width - BLOT)
    windows = sliding_window_view(frames, (BLOT, BLOT), axis=(3, 4), writeable=True)
    windows[np.arange(batch)[:, None], np.arange(count), :, top, left] = 0


def _drop(frames: np.ndarray, key: int, indices: np.ndarray) -> None:
    frames[uniforms(key, indices, frames.shape[1]) < MISSING] = 0


_ON_FRAMES = {"perceptual": _blot, "missing": _drop}
