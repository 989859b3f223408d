"""Moving MNIST drawn a batch at a time against one sequence, one digit, one frame at a time."""

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from torch import Tensor

from predcnn.benchmarks.comparing import Comparison
from predcnn.data.options import MovingMNISTOptions
from predcnn.data.sequences import SETS

BATCH = 16


def _positions(x: float, y: float, theta: float, frames: int, free: int) -> list[tuple[int, int]]:
    """Corners of one sprite, step by step, as the published generator moves it."""
    v_y, v_x = math.sin(theta), math.cos(theta)
    corners = []
    for _ in range(frames):
        y += v_y * 0.1
        x += v_x * 0.1
        if x <= 0:
            x, v_x = 0, -v_x
        if x >= 1:
            x, v_x = 1, -v_x
        if y <= 0:
            y, v_y = 0, -v_y
        if y >= 1:
            y, v_y = 1, -v_y
        corners.append((int(free * y), int(free * x)))
    return corners


def _sequence(dataset: object, draws: object, background: np.ndarray | None, b: int) -> np.ndarray:
    """One sequence (T, C, H, W), every frame of every digit on its own."""
    frames, side = 20, 64
    if background is None:
        canvas = np.zeros((frames, side, side), np.float32)
    else:
        still = dataset._backgrounds[background[b]]
        still = cv2.resize(still, (side, side), interpolation=cv2.INTER_CUBIC)
        canvas = np.stack([still] * frames)
    for d in range(draws.sprite.shape[1]):
        sprite = dataset._sprites[draws.sprite[b, d]]
        size = sprite.shape[0]
        if background is not None:
            sprite = np.stack([sprite] * 3, axis=-1)
        track = (draws.x[b, d], draws.y[b, d], draws.theta[b, d])
        for t, (top, left) in enumerate(_positions(*track, frames, side - size)):
            view = canvas[t, top : top + size, left : left + size]
            canvas[t, top : top + size, left : left + size] = np.maximum(view, sprite)
    canvas = canvas.astype(np.uint8)
    return canvas[:, None] if background is None else canvas.transpose(0, 3, 1, 2)


def _pair(name: str) -> Comparison:
    family = SETS[name](MovingMNISTOptions(source="embedded"))
    dataset = family.split("train")
    indices = np.arange(BATCH)

    def one_by_one() -> Tensor:
        draws, background = dataset.draws(0, indices)
        return np.stack([_sequence(dataset, draws, background, b) for b in range(BATCH)])

    return Comparison(
        f"{name}, batch of {BATCH}",
        lambda: dataset.batch(0, indices).numpy(),
        one_by_one,
        tolerance=0.0,
        note="uint8 on both sides",
    )


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """Moving MNIST and MMNIST-CIFAR from the embedded pictures; equal to the last bit."""
    yield from (_pair(name) for name in ("moving_mnist", "mmnist_cifar") if wanted(name))
