"""Small data files in the published formats."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)


def idx_bytes(images: np.ndarray = IMAGES, magic: int = 0x0803) -> bytes:
    return struct.pack(">4i", magic, *images.shape) + images.tobytes()


def write_mnist(folder: Path, *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        content = idx_bytes(IMAGES if part == "train" else IMAGES[:10] // 2)
        name = f"{part}-images-idx3-ubyte"
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def write_batch(path: Path, count: int = 20, *, keys: type = str, protocol: int = 2) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (count, 3072), dtype=np.uint8)
    data, labels = ("data", "labels") if keys is str else (b"data", b"labels")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({data: rows, labels: [0] * count}, protocol=protocol))
