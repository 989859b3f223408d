"""Moving MNIST drawn a batch at a time against one sequence, one digit, one frame at a time.

Once as bytes, which is what our loader delivers, and once to the floats in [0, 1] that a network
reads: ours become them on the device, the published ones are divided by 255 sequence by sequence
and collated.
"""

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from predcnn.benchmarks.comparing import Comparison
from predcnn.data import to_float
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
    """One sequence (T, C, H, W) uint8, every frame of every digit on its own."""
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


def _as_bytes(sequence: np.ndarray) -> Tensor:
    return torch.from_numpy(sequence).contiguous()


def _as_floats(sequence: np.ndarray) -> Tensor:
    return torch.from_numpy(sequence / 255.0).contiguous().float()


def _pair(name: str, case: str, ours: Callable, finish: Callable) -> Comparison:
    """A batch of the data set, ``ours`` of our bytes against ``finish`` of every sequence."""
    dataset = SETS[name](MovingMNISTOptions(source="embedded")).split("train")
    indices = np.arange(BATCH)

    def one_by_one() -> Tensor:
        draws, background = dataset.draws(0, indices)
        return torch.stack([finish(_sequence(dataset, draws, background, b)) for b in indices])

    return Comparison(case, lambda: ours(dataset.batch(0, indices)), one_by_one, tolerance=1e-6)


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """Moving MNIST and MMNIST-CIFAR from the embedded pictures; the same pixels."""
    kinds = {"bytes": (torch.Tensor.contiguous, _as_bytes), "floats": (to_float, _as_floats)}
    for name in ("moving_mnist", "mmnist_cifar"):
        for kind, (ours, finish) in kinds.items():
            case = f"{name}, batch of {BATCH} as {kind}"
            if wanted(case):
                yield _pair(name, case, ours, finish)
