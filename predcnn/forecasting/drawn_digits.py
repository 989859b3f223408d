"""Turn a drawing into a moving digit."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from predcnn.data import MovingMNISTOptions, to_float
from predcnn.data.generated.options import SPRITE
from predcnn.data.generated.pools import Pool
from predcnn.data.generated.sequences import GeneratedSequences
from predcnn.data.opencv import opencv

INK = 20  # pixels: MNIST's digits lie in 20x20 of their 28x28


def drawn_digit(drawing: Mapping | None) -> np.ndarray:
    """Return a drawing as (28, 28) uint8, white on black, centred like MNIST's digits.

    ``layers`` of the Gradio sketch are RGBA uint8 (H, W, 4); their alpha is the ink.
    """
    layers = [np.asarray(layer) for layer in (drawing or {}).get("layers", [])]
    inks = [layer[..., 3] for layer in layers if layer.ndim == 3 and layer.shape[2] == 4]
    if not inks or not max(ink.max() for ink in inks):
        raise ValueError("draw a digit first")
    ink = np.maximum.reduce(inks)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = INK / max(ink.shape)
    height, width = (max(1, round(n * factor)) for n in ink.shape)
    cv2 = opencv()
    small = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    digit = np.zeros((SPRITE, SPRITE), np.uint8)
    top, left = (SPRITE - height) // 2, (SPRITE - width) // 2
    digit[top : top + height, left : left + width] = small
    return digit


def moving_digits(digit: np.ndarray, in_shape: Sequence[int], horizon: int, seed: int) -> Tensor:
    """Return the digit bouncing over black, float32 (T + horizon, C, H, W) in [0, 1]."""
    frames_in, channels, height, width = in_shape
    options = MovingMNISTOptions(
        frames_in=frames_in,
        frames_out=horizon,
        digits=1,
        height=height,
        width=width,
        eval_seed=seed,
    )
    data = GeneratedSequences(options, "test", 1, Pool(digit[None], "drawn"), source="drawn")
    return to_float(data.batch(0, [0]))[0].expand(-1, channels, -1, -1)
