"""Write the images of an .npz as a folder of classified images: ``… images.npz FOLDER``.

The file holds ``images`` uint8 (N, H, W, 3), ``labels`` (N,), ``split`` (N,) with 0 for train and
1 for test, and ``class_names``. train/ and val/ get one folder per class, PNG files inside; val/
holds the test images, as in ImageNet.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = {0: "train", 1: "val"}


def write_folder(source: Path, target: Path) -> dict[str, int]:
    """Write ``source`` under ``target``; returns the number of images of each split."""
    with np.load(source, allow_pickle=False) as content:
        images, labels, splits = content["images"], content["labels"], content["split"]
        names = [_text(name) for name in content["class_names"]]
    counts = dict.fromkeys(SPLITS.values(), 0)
    for i, (image, label, split) in enumerate(zip(images, labels, splits, strict=True)):
        folder = target / SPLITS[int(split)] / names[int(label)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:06d}.png")
        counts[SPLITS[int(split)]] += 1
    return counts


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("source", type=Path, help="the .npz file")
    parser.add_argument("target", type=Path, help="the folder to make")
    words = parser.parse_args()
    print(f"{words.target}: {write_folder(words.source, words.target)}")
