"""Labelled images on disk: one folder per class, or ImageNet in Kaggle's layout.

A split is a list of (path, class). Without a labelled test/, val/ is the test set and validation is
a share of every class of train/, so that a checkpoint is never chosen on test images.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS, is_image_file, make_dataset

from predcnn.data.draws import permutation, stream_key
from predcnn.data.images.dataset import ImageSplit, Sample
from predcnn.data.images.options import ImageFolderOptions
from predcnn.data.splits import SplitFamily

PLACES = (".", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
"""Folders under the root that may contain train/ and val/; the last two are Kaggle's."""
VALIDATION = ("val", "validation", "valid")
KAGGLE_LABELS = "LOC_val_solution.csv"


class ImageFolder(SplitFamily):
    """Three splits of a folder of images; see `ImageFolderOptions`.

    Attributes:
        classes: names of the class folders, sorted; a label is an index into them.
        protocol: how the splits were made, for tables.
    """

    Options = ImageFolderOptions
    name = "image_folder"

    def __init__(self, options: ImageFolderOptions) -> None:
        super().__init__(options)
        self._place = _place(options.root)
        train = self._place / "train"
        self.classes = sorted(p.name for p in train.iterdir() if p.is_dir())
        if len(self.classes) < 2:
            raise ValueError(f"{train} needs two or more folders of images, not {self.classes}")
        self._label_of = {name: label for label, name in enumerate(self.classes)}
        self._samples, self.protocol = self._make_splits()

    def split(self, name: str) -> ImageSplit:
        """Return the split "train" (augmented), "val" or "test"."""
        return ImageSplit(self._samples[name], self.options, train=name == "train")

    def _make_splits(self) -> tuple[dict[str, list[Sample]], str]:
        train = self._labelled(self._place / "train")
        val = next((self._place / n for n in VALIDATION if (self._place / n).is_dir()), None)
        test = self._place / "test"
        has_test = test.is_dir() and any(p.is_dir() for p in test.iterdir())
        if val is None and not has_test:
            raise FileNotFoundError(
                f"{self._place} has train/ but neither val/ nor test/ with a folder per class: "
                "evaluation needs images that are not in train/"
            )
        if val is not None and has_test:
            splits = {"train": train, "val": self._evaluation(val), "test": self._labelled(test)}
            return splits, "train/, val/ and test/ as they are"
        held_out = self._labelled(test) if has_test else self._evaluation(val)
        share, seed = self.options.val_share, self.options.eval_seed
        train, validation = hold_out(train, share, seed)
        name = "test" if has_test else val.name
        how = f"test is {name}/, validation {share:g} of each class of train/ (seed {seed})"
        return {"train": train, "val": validation, "test": held_out}, how

    def _labelled(self, folder: Path) -> list[Sample]:
        """Images of a folder with one folder per class, by class and path."""
        for child in sorted(p for p in folder.iterdir() if p.is_dir()):
            if child.name not in self._label_of:
                raise ValueError(
                    f"{child} is a class that {self._place / 'train'} does not have "
                    f"({len(self.classes)} classes: {', '.join(self.classes[:5])} …)"
                )
        found = make_dataset(folder, self._label_of, is_valid_file=_is_image, allow_empty=True)
        samples = [Sample(*pair) for pair in found]
        return _not_empty(folder, sorted(samples, key=lambda sample: (sample.label, sample.path)))

    def _evaluation(self, folder: Path) -> list[Sample]:
        """val/ with a folder per class, or flat with Kaggle's table of labels."""
        if any(p.is_dir() for p in folder.iterdir()):
            return self._labelled(folder)
        tables = [place / KAGGLE_LABELS for place in (self.options.root, *self._place.parents)]
        table = next((path for path in tables if path.is_file()), None)
        if table is None:
            raise ValueError(
                f"{folder} has no folder per class, and {self.options.root} has no "
                f"{KAGGLE_LABELS}: sort the images into folders named like those of train/"
            )
        class_of, found = {}, []
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                class_of[row.get("ImageId")] = (row.get("PredictionString") or "").split(" ")[0]
        for path in sorted(filter(_is_image, map(str, folder.iterdir()))):
            name = class_of.get(Path(path).stem)
            if name not in self._label_of:
                raise ValueError(
                    f"{table} gives {path} the class {name!r}, which train/ does not have"
                )
            found.append(Sample(path, self._label_of[name]))
        return _not_empty(folder, found)


def hold_out(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into kept and held out, which get ``share`` of every class of two or more."""
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    kept, held = [], []
    for label, images in by_class.items():
        count = min(max(1, round(share * len(images))), len(images) - 1)
        chosen = set(permutation(stream_key(seed, "validation", label), len(images))[:count])
        for i, image in enumerate(images):
            (held if i in chosen else kept).append(image)
    if not held:
        raise ValueError(
            "no class of train/ has two images, so none can be held out for validation"
        )
    return kept, held


def _place(root: Path) -> Path:
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; set data.root to the folder of the images")
    for place in PLACES:
        if (root / place / "train").is_dir():
            return root / place
    there = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(
        f"{root} has no train/ with one folder per class (nor ILSVRC/Data/CLS-LOC/train); "
        f"it contains {there}"
    )


def _is_image(path: str) -> bool:
    return is_image_file(path) and not os.path.basename(path).startswith(".")


def _not_empty(folder: Path, samples: list[Sample]) -> list[Sample]:
    if not samples:
        raise ValueError(f"{folder} has no images ({', '.join(IMG_EXTENSIONS)})")
    return samples
