"""Small folders of labelled images; every class has its own colour, so that it can be learnt."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 40, 220), "green": (40, 220, 40), "red": (220, 40, 40)}


def write_images(folder: Path, counts: dict[str, int], size: int = 40, first: int = 0) -> None:
    """``counts[split]`` images of each class under ``folder``/split/class."""
    for split, count in counts.items():
        for name, colour in COLOURS.items():
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                noise = np.random.default_rng([first, i, len(split), len(name)])
                pixels = np.clip(colour + noise.normal(0, 30, (size, size, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:03d}.png")
