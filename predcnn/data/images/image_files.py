"""Images for the analysis of networks: files of a folder, or photographs of scikit-image."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from predcnn.data.generated.pools import PHOTOGRAPHS

NAMES = tuple(name for split in PHOTOGRAPHS.values() for name in split)
CORNER = 0.75  # side of a corner's crop, in units of the largest square


def photographs(count: int, size: int) -> tuple[Tensor, list[str]]:
    """Return photographs of scikit-image, RGB (count, 3, size, size) in [0, 1], and their names.

    First the largest central square of each photograph, then its four corners.
    """
    import skimage.data  # imported here: it costs most of a second

    most = len(NAMES) * 5
    if not 1 <= count <= most:
        raise ValueError(f"1 to {most} photographs are available, not {count}; use images=folder")
    images, names = [], []
    for i in range(count):
        name, turn = NAMES[i % len(NAMES)], i // len(NAMES)
        image = Image.fromarray(getattr(skimage.data, name)()[..., :3])
        images.append(_square(image, size, turn))
        names.append(f"{name} {turn}" if turn else name)
    return torch.stack(images), names


def read_image(path: str | Path) -> Image.Image:
    """Read a file as an RGB image; raise ValueError if it is damaged or no image."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{path} cannot be read: it is damaged or no image ({error})") from error


def read_images(paths: list[Path], size: int) -> Tensor:
    """Read the largest central square of images as RGB (N, 3, size, size) in [0, 1]."""
    return torch.stack([_square(read_image(path), size, 0) for path in paths])


def find_images(folder: str | Path) -> list[Path]:
    """Return the paths of all image files below a folder, sorted."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    folder = Path(folder).expanduser()
    found = [p for p in folder.rglob("*") if p.suffix.lower() in IMG_EXTENSIONS]
    if not found:
        raise FileNotFoundError(f"{folder} has no images ({', '.join(IMG_EXTENSIONS)})")
    return sorted(found)


def _square(image: Image.Image, size: int, turn: int) -> Tensor:
    """Crop the central square (turn 0) or a corner of it (turns 1 to 4), and resize it."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    if turn:
        right, down = (turn - 1) % 2, (turn - 1) // 2
        rest = round(side * (1 - CORNER))
        left, top, side = left + right * rest, top + down * rest, side - rest
    box = (left, top, left + side, top + side)
    resized = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).float() / 255
