"""The published rules of Moving MNIST: one sequence, one digit, one frame at a time."""

import math

import cv2
import numpy as np


def positions(x, y, theta, frames, speed=0.1, jitter=None, free=(36, 36)):
    """Top-left corners in pixels; ``jitter`` (J, 2) is added to (sin, cos) of the first frames."""
    flip_x = flip_y = 1
    corners = []
    for t in range(frames):
        v_y, v_x = math.sin(theta), math.cos(theta)
        if jitter is not None and t < len(jitter):
            v_y, v_x = v_y + jitter[t][0], v_x + jitter[t][1]
        y += flip_y * v_y * speed
        x += flip_x * v_x * speed
        if x <= 0:
            x, flip_x = 0, -flip_x
        if x >= 1:
            x, flip_x = 1, -flip_x
        if y <= 0:
            y, flip_y = 0, -flip_y
        if y >= 1:
            y, flip_y = 1, -flip_y
        corners.append((int(free[0] * y), int(free[1] * x)))
    return corners


def grey_sequence(sprites, draws, frames=20, size=(64, 64), speed=0.1):
    """``draws``: a list of (x, y, theta, sprite) -> uint8 (frames, 1, H, W)."""
    canvas = np.zeros((frames, 1, *size), np.float32)
    h, w = sprites.shape[1:]
    for x, y, theta, sprite in draws:
        corners = positions(x, y, theta, frames, speed, free=(size[0] - h, size[1] - w))
        for t, (top, left) in enumerate(corners):
            view = canvas[t, 0, top : top + h, left : left + w]
            view[...] = np.maximum(view, sprites[sprite])
    return canvas.astype(np.uint8)


def colour_sequence(sprites, background, draws, frames=20, size=(64, 64), speed=0.1):
    """A still background (h, w, 3) and opaque digits -> uint8 (frames, 3, H, W)."""
    still = cv2.resize(background, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    canvas = np.stack([still] * frames)
    h, w = sprites.shape[1:]
    for x, y, theta, sprite in draws:
        digit = sprites[sprite].copy()
        digit[digit > 1] = 255
        digit = np.stack([digit] * 3, axis=-1)
        corners = positions(x, y, theta, frames, speed, free=(size[0] - h, size[1] - w))
        for t, (top, left) in enumerate(corners):
            view = canvas[t, top : top + h, left : left + w]
            view[...] = np.maximum(view, digit)
    return canvas.transpose(0, 3, 1, 2)


def published_draws(random, pool, digits=2):
    """The draws of one sequence in the published order from a ``random.Random``."""
    random.choice([digits])
    out = []
    for _ in range(digits):
        x, y, theta = random.random(), random.random(), random.random() * 2 * math.pi
        out.append((x, y, theta, random.randint(0, pool - 1)))
    return out
