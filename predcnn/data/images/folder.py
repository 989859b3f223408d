"""Classified images on disk: one folder per class, or ImageNet as its users have it.

A split is a list of (path, class). Without a labelled test/ the val/ of the folder is the test set,
opened once, and validation is a share of every class of train/: the choice of a checkpoint never
sees what the result is measured on.
"""

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from predcnn.data.draws import permutation, stream_key
from predcnn.data.images.dataset import ImageSplit, Sample
from predcnn.data.images.options import ImageFolderOptions
from predcnn.data.sources.known_files import FileReport

PLACES = (".", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
"""Where train/ and val/ lie under the root; the last two are Kaggle's ImageNet."""
VALIDATION = ("val", "validation", "valid")
KAGGLE_LABELS = "LOC_val_solution.csv"


class ImageFolder:
    """Three splits of a folder of images; see :class:`ImageFolderOptions`.

    Attributes:
        classes: names of the class folders, sorted; a label is an index into them.
        protocol: how the splits were made, in words.
    """

    Options = ImageFolderOptions
    name = "image_folder"
    download = False

    def __init__(self, options: ImageFolderOptions) -> None:
        self.options = options
        self.root = options.root
        self._place = _place(options.root)
        self.classes = _classes(self._place / "train")
        self._samples, self.protocol = self._make_splits()

    @property
    def source(self) -> str:
        """The folder."""
        return str(self.root)

    def prepare(self) -> list[FileReport]:
        """Nothing: the images are the user's."""
        return []

    def split(self, name: str) -> ImageSplit:
        """The split "train" (augmented), "val" or "test"."""
        samples = self._samples[name]
        return ImageSplit(
            samples,
            self.options,
            train=name == "train",
            source=self.source,
            fingerprint=_fingerprint(self.root, samples, self.options),
        )

    def _make_splits(self) -> tuple[dict[str, list[Sample]], str]:
        train = self._labelled(self._place / "train")
        val = next((self._place / n for n in VALIDATION if (self._place / n).is_dir()), None)
        test = self._place / "test"
        has_test = test.is_dir() and any(p.is_dir() for p in test.iterdir())
        if val is None and not has_test:
            raise FileNotFoundError(
                f"{self._place} has train/ but neither val/ nor test/ with a folder per class: "
                "the result needs images that training never sees"
            )
        if val is not None and has_test:
            splits = {"train": train, "val": self._evaluation(val), "test": self._labelled(test)}
            return splits, "train/, val/ and test/ as they are"
        held = self._labelled(test) if has_test else self._evaluation(val)
        kept, held_out = hold_out(train, self.options.val_share, self.options.eval_seed)
        name = "test" if has_test else val.name
        share, seed = self.options.val_share, self.options.eval_seed
        how = f"test is {name}/, validation {share:g} of each class of train/ (seed {seed})"
        return {"train": kept, "val": held_out, "test": held}, how

    def _labelled(self, folder: Path) -> list[Sample]:
        """Images of a folder with one folder per class, in the order of their paths."""
        label_of = {name: label for label, name in enumerate(self.classes)}
        found = []
        for child in sorted(p for p in folder.iterdir() if p.is_dir()):
            if child.name not in label_of:
                raise ValueError(
                    f"{child} is a class that {self._place / 'train'} does not have "
                    f"({len(self.classes)} classes: {', '.join(self.classes[:5])} …)"
                )
            found += [Sample(path, label_of[child.name]) for path in _images(child)]
        if not found:
            raise ValueError(f"{folder} has no images ({', '.join(IMG_EXTENSIONS)}) in its folders")
        return found

    def _evaluation(self, folder: Path) -> list[Sample]:
        """val/ with a folder per class, or flat with Kaggle's table of labels."""
        if any(p.is_dir() for p in folder.iterdir()):
            return self._labelled(folder)
        tables = [place / KAGGLE_LABELS for place in (self.root, *self._place.parents)]
        table = next((path for path in tables if path.is_file()), None)
        if table is None:
            raise ValueError(
                f"{folder} has no folder per class, and {KAGGLE_LABELS} does not lie in "
                f"{self.root}: sort its images into folders named like those of train/"
            )
        return _from_table(folder, table, self.classes)


def hold_out(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Keep and hold out: of every class ``share`` of its images, at least one of two or more."""
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
        raise ValueError("no class of train/ has two images: none can be held out for validation")
    return kept, held


def _place(root: Path) -> Path:
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; say where the images are with data.root=…")
    for place in PLACES:
        if (root / place / "train").is_dir():
            return root / place
    there = sorted(p.name for p in root.iterdir())[:8]
    raise FileNotFoundError(
        f"{root} has no train/ with one folder per class (nor ILSVRC/Data/CLS-LOC/train); "
        f"it holds {', '.join(there) or 'nothing'}"
    )


def _classes(train: Path) -> list[str]:
    names = sorted(p.name for p in train.iterdir() if p.is_dir())
    if len(names) < 2:
        raise ValueError(f"{train} needs two or more folders of images, one per class: {names}")
    return names


def _images(folder: Path) -> list[str]:
    found = []
    for place, _, names in os.walk(folder):
        found += [os.path.join(place, name) for name in names if _is_image(name)]
    return sorted(found)


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMG_EXTENSIONS and not name.startswith(".")


def _from_table(folder: Path, table: Path, classes: Sequence[str]) -> list[Sample]:
    label_of = {name: label for label, name in enumerate(classes)}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"ImageId", "PredictionString"} <= rows[0].keys():
        raise ValueError(f"{table} has no columns ImageId and PredictionString")
    class_of = {row["ImageId"]: row["PredictionString"].split(" ", 1)[0] for row in rows}
    found = []
    for path in _images(folder):
        stem = Path(path).stem
        if stem not in class_of:
            raise ValueError(f"{table} says nothing about {path}")
        name = class_of[stem]
        if name not in label_of:
            raise ValueError(f"{table} gives {path} the class {name!r}, which train/ does not have")
        found.append(Sample(path, label_of[name]))
    if not found:
        raise ValueError(f"{folder} has no images ({', '.join(IMG_EXTENSIONS)})")
    return found


def _fingerprint(root: Path, samples: Sequence[Sample], options: ImageFolderOptions) -> str:
    """SHA-256 over the options but their root, and every image's place, size and label."""
    state = hashlib.sha256()
    settings: Mapping = {k: v for k, v in vars(options).items() if k not in ("root", "seed")}
    state.update(repr(sorted(settings.items())).encode())
    for sample in samples:
        place, size = os.path.relpath(sample.path, root), os.stat(sample.path).st_size
        state.update(os.fsencode(f"{place}\0{size}\0{sample.label}\n"))
    return state.hexdigest()
