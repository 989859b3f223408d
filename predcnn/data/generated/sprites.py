"""Sprites that move and bounce by the published Moving MNIST rules, in batches.

Srivastava, Mansimov, Salakhutdinov, "Unsupervised learning of video representations using LSTMs",
ICML 2015; the rules as OpenSTL (Tan et al., NeurIPS 2023) applies them: the step comes before the
frame is drawn, a sprite is clamped at the wall and its direction flips, positions are truncated to
pixels, overlapping sprites are composited by the maximum.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from predcnn.data.draws import elementwise
from predcnn.native import BYTES, kernels_for


@dataclass(frozen=True)
class SpriteDraws:
    """Random choices for B sequences of at most D sprites each."""

    x: np.ndarray  # start positions in [0, 1] of the free width and height, float64 (B, D)
    y: np.ndarray
    theta: np.ndarray  # directions in radians, float64 (B, D); the velocity is (cos, sin) in (x, y)
    sprite: np.ndarray  # indices of the images in the pool, int (B, D)
    # number of sprites that each sequence shows, int (B,); None: all
    count: np.ndarray | None = None


def trajectories(
    x: np.ndarray,
    y: np.ndarray,
    theta: np.ndarray,
    *,
    frames: int,
    speed: float = 0.1,
    jitter: np.ndarray | None = None,
) -> np.ndarray:
    """Compute positions in the unit square over time, bit-identical to the published scalar loop.

    Args:
        x, y: start in [0, 1], float64 of any shape S.
        theta: direction in radians, float64 (S).
        frames: number of frames T; frame 0 has already moved once.
        speed: step per frame in units of the free range.
        jitter: added to the velocity (sin, cos) of the first J frames, float64 (J, 2, S).

    Returns:
        float64 (T, 2, S) in [0, 1]; axis 1 is (y, x).
    """
    position = np.stack([y, x]).astype(np.float64, order="C")
    velocity = np.stack([elementwise(math.sin, theta), elementwise(math.cos, theta)])
    steps = np.broadcast_to(velocity, (frames, *velocity.shape)).copy()
    if jitter is not None:
        steps[: len(jitter)] += jitter[:frames]
    steps *= speed  # a bounce only changes the sign, so the order does not matter
    track = np.empty_like(steps)
    kernels = kernels_for(torch.from_numpy(track))
    if kernels is None:
        _walk(position, steps, track)
    else:
        kernels("walk", position, steps, track, frames, position.size)
    return track


def _walk(position: np.ndarray, steps: np.ndarray, track: np.ndarray) -> None:
    """Move ``position`` by ``steps``, bouncing at 0 and 1, into ``track``; changes all three."""
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
    """Compute top-left corners in pixels, int64 (T, 2, B, D); axis 1 is (top, left)."""
    track = trajectories(draws.x, draws.y, draws.theta, frames=frames, speed=speed, jitter=jitter)
    return (track * np.array(free)[:, None, None]).astype(np.int64)  # astype truncates


def draw(
    frames: np.ndarray,
    sprites: np.ndarray,
    draws: SpriteDraws,
    places: np.ndarray,
    still: np.ndarray | None = None,
) -> None:
    """Draw moving sprites over black or over a still image, by the maximum.

    Args:
        frames: uint8 (B, T, C, H, W), contiguous, overwritten.
        sprites: the pool of images, uint8 (N, h, w) with h <= H and w <= W, contiguous; the same
            in every channel.
        draws: its ``sprite`` and ``count`` are used.
        places: top-left corners, int (T, 2, B, D), from `corners`.
        still: background, uint8 (B, C, H, W), contiguous; None: black.
    """
    batch, steps, channels, *size = frames.shape
    free = np.subtract(size, sprites.shape[1:])[:, None, None]
    fits = (
        len(draws.sprite) == batch
        and places.shape == (steps, 2, *draws.sprite.shape)
        and (still is None or still.shape == (batch, channels, *size))
        and all(a.dtype == np.uint8 and a.flags.c_contiguous for a in (frames, sprites))
        and (still is None or (still.dtype == np.uint8 and still.flags.c_contiguous))
        and ((places >= 0) & (places <= free)).all()
        and ((draws.sprite >= 0) & (draws.sprite < len(sprites))).all()
    )
    if not fits:  # a kernel accesses all of them by address
        raise ValueError("frames, sprites, places and the still image do not fit together")
    kernels = kernels_for(torch.from_numpy(frames), types=BYTES)
    if kernels is None:
        _draw_reference(frames, sprites, draws, places, still)
        return
    which, digits = np.ascontiguousarray(draws.sprite, np.int64), draws.sprite.shape[1]
    counts = None
    if draws.count is not None:
        counts = np.ascontiguousarray(np.minimum(draws.count, digits), np.int64)
    arrays = (frames, still, sprites, which, counts, np.ascontiguousarray(places, np.int64))
    kernels("sprites", *arrays, *frames.shape, digits, *sprites.shape[1:])


def _draw_reference(
    frames: np.ndarray,
    sprites: np.ndarray,
    draws: SpriteDraws,
    places: np.ndarray,
    still: np.ndarray | None,
) -> None:
    """`draw` without a kernel."""
    canvas = np.zeros((*frames.shape[:2], *frames.shape[3:]), np.uint8)
    windows = sliding_window_view(canvas, sprites.shape[1:], axis=(2, 3), writeable=True)
    steps = np.arange(frames.shape[1])
    for d in range(draws.sprite.shape[1]):
        rows = np.arange(len(frames)) if draws.count is None else np.flatnonzero(draws.count > d)
        top, left = places[:, :, rows, d].transpose(1, 2, 0)  # (R, T) each
        index = rows[:, None], steps, top, left
        windows[index] = np.maximum(windows[index], sprites[draws.sprite[rows, d], None])
    if still is None:
        frames[...] = canvas[:, :, None]
    else:  # torch's maximum takes half the time of numpy's when it broadcasts
        layers = torch.from_numpy(still)[:, None], torch.from_numpy(canvas)[:, :, None]
        torch.maximum(*layers, out=torch.from_numpy(frames))
