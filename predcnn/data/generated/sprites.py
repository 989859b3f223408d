"""Sprites that cross a canvas and bounce: the published Moving MNIST rules, for whole batches.

Srivastava, Mansimov, Salakhutdinov, "Unsupervised learning of video representations using LSTMs",
ICML 2015; the rules as OpenSTL (Tan et al., NeurIPS 2023) applies them: the step comes before the
frame is drawn, a sprite is clamped at the wall and its direction flips, positions are truncated to
pixels, overlapping sprites are composited by the maximum.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided

from predcnn.data.draws import elementwise
from predcnn.native import BYTES, kernels_for

CHUNK = 16  # sequences composited at once without kernels: they stay in the processor's cache


@dataclass(frozen=True)
class SpriteDraws:
    """What chance decides about the sprites of B sequences with at most D sprites each.

    Args:
        x: start positions in [0, 1] of the free width, float64 (B, D).
        y: start positions in [0, 1] of the free height, float64 (B, D).
        theta: directions in radians, float64 (B, D); the velocity is (cos, sin) in (x, y).
        sprite: which image of the pool, int (B, D).
        count: how many of the D sprites a sequence shows, int (B,); None: all.
    """

    x: np.ndarray
    y: np.ndarray
    theta: np.ndarray
    sprite: np.ndarray
    count: np.ndarray | None = None

    def part(self, rows: slice) -> "SpriteDraws":
        """The draws of some of the sequences."""
        count = None if self.count is None else self.count[rows]
        return SpriteDraws(self.x[rows], self.y[rows], self.theta[rows], self.sprite[rows], count)


def trajectories(
    x: np.ndarray,
    y: np.ndarray,
    theta: np.ndarray,
    *,
    frames: int,
    speed: float = 0.1,
    jitter: np.ndarray | None = None,
) -> np.ndarray:
    """Positions in the unit square over time, bit for bit those of the published scalar loop.

    Args:
        x: start in [0, 1], float64 of any shape S.
        y: start in [0, 1], float64 (S).
        theta: direction in radians, float64 (S).
        frames: number of frames T; frame 0 has already moved once.
        speed: step per frame in units of the free range.
        jitter: added to the velocity (sin, cos) of the first J frames, float64 (J, 2, S).

    Returns:
        float64 (T, 2, S); axis 1 is (y, x); within [0, 1].
    """
    position = np.stack([y, x]).astype(np.float64, order="C")
    velocity = np.stack([elementwise(math.sin, theta), elementwise(math.cos, theta)])
    steps = np.broadcast_to(velocity, (frames, *velocity.shape)).copy()
    if jitter is not None:
        steps[: len(jitter)] += jitter[:frames]
    steps *= speed  # turning round is a change of sign, exact in either order
    track = np.empty_like(steps)
    kernels = kernels_for(torch.from_numpy(track))
    if kernels is None:
        _walk(position, steps, track)
    else:
        kernels("walk", position, steps, track, frames, position.size)
    return track


def _walk(position: np.ndarray, steps: np.ndarray, track: np.ndarray) -> None:
    """From ``position`` in ``steps``, turning at 0 and 1, into ``track``; changes all three."""
    heading = np.ones_like(position)
    for step, now in zip(steps, track, strict=True):
        step *= heading
        position += step
        at_wall = position <= 0.0
        at_wall |= position >= 1.0
        np.maximum(position, 0.0, out=position)
        np.minimum(position, 1.0, out=position)
        np.negative(heading, out=heading, where=at_wall)
        now[...] = position


def corners(
    draws: SpriteDraws,
    free: tuple[int, int],
    *,
    frames: int,
    speed: float = 0.1,
    jitter: np.ndarray | None = None,
) -> np.ndarray:
    """Top-left corners in pixels, int64 (T, 2, B, D); axis 1 is (top, left)."""
    track = trajectories(draws.x, draws.y, draws.theta, frames=frames, speed=speed, jitter=jitter)
    return (track * np.array(free)[:, None, None]).astype(np.int64)  # astype truncates


def draw(
    frames: np.ndarray,
    sprites: np.ndarray,
    draws: SpriteDraws,
    places: np.ndarray,
    still: np.ndarray | None = None,
) -> None:
    """Draw moving sprites over black or over a still picture, by the maximum.

    Args:
        frames: uint8 (B, T, C, H, W), contiguous, overwritten.
        sprites: the pool of images, uint8 (N, h, w) with h <= H and w <= W, contiguous; the same
            in every channel.
        draws: which image of the pool every sprite is, those that are not shown as well, and how
            many are shown.
        places: top-left corners, int (T, 2, B, D), from :func:`corners`.
        still: the picture behind them, uint8 (B, C, H, W), contiguous; None: black.
    """
    _check(frames, sprites, draws, places, still)
    kernels = kernels_for(torch.from_numpy(frames), types=BYTES)
    if kernels is None:
        _draw_plainly(frames, sprites, draws, places, still)
        return
    which, digits = np.ascontiguousarray(draws.sprite, np.int64), draws.sprite.shape[1]
    counts = None
    if draws.count is not None:
        counts = np.ascontiguousarray(np.minimum(draws.count, digits), np.int64)
    arrays = (frames, still, sprites, which, counts, np.ascontiguousarray(places, np.int64))
    kernels("sprites", *arrays, *frames.shape, digits, *sprites.shape[1:])


def _check(
    frames: np.ndarray,
    sprites: np.ndarray,
    draws: SpriteDraws,
    places: np.ndarray,
    still: np.ndarray | None,
) -> None:
    """What a kernel reads and writes by address is there."""
    batch, steps, channels, height, width = frames.shape
    wanted = (steps, 2, *draws.sprite.shape)
    if places.shape != wanted or len(draws.sprite) != batch:
        raise ValueError(f"places are {places.shape}, for {batch} sequences they are {wanted}")
    if still is not None and still.shape != (batch, channels, height, width):
        raise ValueError(f"still is {still.shape}, not {(batch, channels, height, width)}")
    for part in (frames, sprites, still):
        if part is not None and (part.dtype != np.uint8 or not part.flags.c_contiguous):
            raise ValueError("frames, sprites and still pictures are contiguous arrays of uint8")
    if not draws.sprite.size:
        return
    if draws.sprite.min() < 0 or draws.sprite.max() >= len(sprites):
        raise IndexError(f"sprites are numbers from 0 to {len(sprites) - 1}")
    free = np.array([height, width]) - sprites.shape[1:]
    if places.min() < 0 or (places.max((0, 2, 3)) > free).any():
        raise IndexError(f"sprites of {sprites.shape[1:]} stick out of {(height, width)}")


def _draw_plainly(
    frames: np.ndarray,
    sprites: np.ndarray,
    draws: SpriteDraws,
    places: np.ndarray,
    still: np.ndarray | None,
) -> None:
    """`draw` without a kernel."""
    for first in range(0, len(frames), CHUNK):
        part = slice(first, first + CHUNK)
        shown, some = frames[part], draws.part(part)
        canvas = np.zeros((*shown.shape[:2], *shown.shape[3:]), np.uint8)
        for d in range(some.sprite.shape[1]):
            rows = np.arange(len(canvas))
            if some.count is not None:
                rows = np.flatnonzero(some.count > d)
            top, left = (places[:, axis, part][:, rows, d].T for axis in (0, 1))
            _paste(canvas, rows, sprites[some.sprite[rows, d]], top, left, blank=d == 0)
        if still is None:
            shown[...] = canvas[:, :, None]
        else:  # torch's maximum takes half the time of numpy's when it broadcasts
            layers = torch.from_numpy(still[part])[:, None], torch.from_numpy(canvas)[:, :, None]
            torch.maximum(*layers, out=torch.from_numpy(shown))


def _paste(
    canvas: np.ndarray,
    rows: np.ndarray,
    sprites: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    *,
    blank: bool = False,
) -> None:
    """Lay one sprite over every frame of the sequences ``rows``, by the maximum, in place.

    A sprite becomes one strip of (h-1)·W+w bytes, zero between its rows, so that a frame costs one
    contiguous run of memory instead of h short ones.

    Args:
        canvas: uint8 (B, T, H, W), contiguous.
        rows: the sequences to draw on, each once, int (R,).
        sprites: their images, uint8 (R, h, w).
        top: upper edge in pixels, int (R, T), 0..H-h.
        left: left edge in pixels, int (R, T), 0..W-w.
        blank: the canvas is known to be zero there, so that writing does for the maximum.
    """
    frames, height, width = canvas.shape[1:]
    sprite_height, sprite_width = sprites.shape[1:]
    wide = np.zeros((len(rows), sprite_height, width), np.uint8)
    wide[:, :, :sprite_width] = sprites
    length = (sprite_height - 1) * width + sprite_width
    strips = wide.reshape(len(rows), 1, sprite_height * width)[:, :, :length]

    flat = canvas.reshape(-1)
    windows = as_strided(flat, (flat.size - length + 1, length), (1, 1))
    frame = rows[:, None] * frames + np.arange(frames)
    start = frame * (height * width) + top * width + left  # (R, T)
    if blank:
        windows[start] = strips
    else:
        below = windows[start]  # (R, T, length)
        windows[start] = np.maximum(below, strips, out=below)
