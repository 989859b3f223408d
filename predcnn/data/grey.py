"""Colour in, grey out: grey in the place of green, from which the network can infer green."""

from collections.abc import Sequence

import numpy as np

GREY = "grey"
COLOURS = ("red", "green", "blue")
SHARES = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, ITU-R BT.601."""


def names_with_grey(names: Sequence[str], targets: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the channels: the second of three is grey where that is a target."""
    wanted = GREY in (targets or ()) and GREY not in names and len(names) == len(COLOURS)
    return (names[0], GREY, names[2]) if wanted else tuple(names)


def with_grey(frames: np.ndarray) -> np.ndarray:
    """Replace green of frames (..., 3, H, W) by grey; uint8 is rounded, else float32."""
    in_bytes = frames.dtype == np.uint8
    found = frames.copy() if in_bytes else frames.astype(np.float32)
    grey = sum(share * frames[..., i, :, :].astype(np.float32) for i, share in enumerate(SHARES))
    found[..., 1, :, :] = np.rint(grey) if in_bytes else grey
    return found
