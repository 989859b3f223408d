"""Shape bias: does a classifier follow the shape or the texture when the two disagree?

Geirhos et al., "ImageNet-trained CNNs are biased towards texture; increasing shape bias improves
accuracy and robustness", ICLR 2019, https://arxiv.org/abs/1811.12231. A category's score is the
mean probability of its classes, as the authors recommend now. Their 1,280 images
(github.com/rgeirhos/texture-vs-shape, stimuli/style-transfer-preprocessed-512) are not shipped.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from predcnn.analysis.kind import Figures, Inputs, Kind
from predcnn.analysis.subject import Subject
from predcnn.data.images.image_files import read_images
from predcnn.visual import plot_lines

IMAGENET_CLASSES = 1000
Table = dict[str, dict[str, float | int | None]]
_CUES = re.compile(r"([a-z]+)\d+-([a-z]+)\d+$")


def _indices(text: str) -> tuple[int, ...]:
    """ "8 10-12" -> (8, 10, 11, 12)."""
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


CATEGORIES = {
    name: _indices(text)
    for name, text in {
        "airplane": "404",
        "bear": "294-297",
        "bicycle": "444 671",
        "bird": "8 10-16 18-20 22-24 80-83 87-96 98-100 127-133 135-145",
        "boat": "472 554 625 814 914",
        "bottle": "440 720 737 898 899 901 907",
        "car": "436 511 817",
        "cat": "281-286",
        "chair": "423 559 765 857",
        "clock": "409 530 892",
        "dog": "152-191 193-203 205-226 228-241 243-250 252-257 259 261-263 265-268",
        "elephant": "385 386",
        "keyboard": "508 878",
        "knife": "499",
        "oven": "766",
        "truck": "555 569 656 675 717 734 864 867",
    }.items()
}
"""Category -> classes of ILSVRC-2012 in the usual order (by WordNet id), as its authors list them
in github.com/bethgelab/model-vs-human, ``helper/human_categories.py``."""


class Stimulus(NamedTuple):
    """An image and the categories of its shape and of its texture."""

    path: Path
    shape: str
    texture: str


def find_stimuli(folder: str | Path) -> list[Stimulus]:
    """Find the images named …<shape><n>-<texture><n>.png of two different categories, sorted."""
    folder = Path(folder).expanduser()
    found = []
    for path in sorted(folder.rglob("*.png")):
        match = _CUES.search(path.stem)
        if match and set(match.groups()) <= CATEGORIES.keys() and match[1] != match[2]:
            found.append(Stimulus(path, *match.groups()))
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no cue-conflict images such as cat/cat7-elephant3.png; they are "
            "published in github.com/rgeirhos/texture-vs-shape under stimuli/"
        )
    return found


def category_of(logits: Tensor) -> list[str]:
    """Return the categories of the largest mean probability: (B, 1000) -> B names."""
    if logits.shape[-1] != IMAGENET_CLASSES:
        raise ValueError(
            f"the 16 categories need ImageNet's {IMAGENET_CLASSES} classes; this network has "
            f"{logits.shape[-1]}"
        )
    probabilities = logits.double().softmax(-1)
    scores = [probabilities[:, list(classes)].mean(-1) for classes in CATEGORIES.values()]
    return [list(CATEGORIES)[i] for i in torch.stack(scores, -1).argmax(-1).tolist()]


def shape_bias(stimuli: Sequence[Stimulus], decisions: Iterable[str]) -> Table:
    """Return counts and shape bias of all images ("all") and of those of every shape.

    Each is {"pictures", "shape" and "texture" decisions, "shape_bias": shape / (shape + texture),
    None if neither was chosen}.
    """
    pairs, table = list(zip(stimuli, decisions, strict=True)), {}
    for name in ("all", *sorted({stimulus.shape for stimulus in stimuli})):
        chosen = [pair for pair in pairs if name in ("all", pair[0].shape)]
        shape = sum(stimulus.shape == decision for stimulus, decision in chosen)
        texture = sum(stimulus.texture == decision for stimulus, decision in chosen)
        bias = shape / (shape + texture) if shape + texture else None
        counts = {"pictures": len(chosen), "shape": shape, "texture": texture}
        table[name] = {**counts, "shape_bias": bias}
    return table


@dataclass(frozen=True)
class ShapeBias(Kind):
    """Shape bias by category on the cue-conflict images of its authors."""

    definition = (
        "decisions for the shape / decisions for shape or texture; 16 categories, by the mean "
        "probability of their ImageNet classes"
    )
    needs_clips = False
    stimuli: str | None
    size: int
    batch_size: int
    device: str

    def measure(self, subject: Subject, inputs: Inputs) -> Table:
        if self.stimuli is None:
            raise ValueError("kind=shape_bias needs the folder of cue-conflict images: stimuli=…")
        stimuli = find_stimuli(self.stimuli)
        decisions: list[str] = []
        for start in range(0, len(stimuli), self.batch_size):
            part = stimuli[start : start + self.batch_size]
            images = read_images([stimulus.path for stimulus in part], self.size)
            x = subject.enter(images[:, None].to(self.device))
            with torch.no_grad():
                decisions += category_of(subject.logits(x))
        return shape_bias(stimuli, decisions)

    def numbers(self, subject: Subject, found: Table) -> dict[str, object]:
        return {"shape_bias": found}

    def draw(self, figures: Figures, inputs: Inputs, results: Mapping[Subject, Table]) -> None:
        lines = {}
        for subject, table in results.items():
            known = {k: r["shape_bias"] for k, r in table.items() if r["shape_bias"] is not None}
            lines[subject.name] = (list(known), list(known.values()))
        plot_lines(figures.path(), {"shape bias": lines}, "category of the shape")
