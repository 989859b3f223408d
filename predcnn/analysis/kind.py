"""The interface of all kinds of analysis: numbers and figures of several networks on one input."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from predcnn.analysis.subject import Subject
from predcnn.data.images.image_files import find_images, photographs, read_images


@dataclass(frozen=True)
class Inputs:
    """Clips (N, T, C, H, W) in [0, 1], their origin and ``future`` (N, frames_out, C, H, W)."""

    clips: Tensor
    future: Tensor | None
    names: Sequence[str]
    source: str

    @classmethod
    def of_images(cls, folder: str | None, count: int, size: int, device: str) -> "Inputs":
        """Read images of a folder, or photographs of scikit-image, cropped to a square."""
        if folder is None:
            images, names = photographs(count, size)
        else:
            paths = find_images(folder)[:count]
            images, names = read_images(paths, size), [path.name for path in paths]
        source = f"{folder or 'photographs of scikit-image'}, {size}x{size}"
        return cls(images[:, None].to(device), None, names, source)

    def for_subject(self, subject: Subject) -> tuple[Tensor, Tensor]:
        """Return the clips in the network's input format, and its targets."""
        x = subject.enter(self.clips)
        with torch.no_grad():
            return x, subject.target(x, self.future)


@dataclass
class Figures:
    """Files of the figures of one analysis, <kind>.<format> or <kind>_<name>.<format>."""

    folder: Path
    kind: str
    format: str = "png"
    written: list[str] = field(default_factory=list)

    def path(self, name: str = "") -> Path:
        """Return the path of the next figure and add its name to ``written``."""
        end = f"_{re.sub(r'[^0-9A-Za-z.-]+', '-', name)}" if name else ""
        self.written.append(f"{self.kind}{end}.{self.format}")
        return self.folder / self.written[-1]


class Kind:
    """One kind of analysis; a subclass is a dataclass of its settings and defines

    - ``measure(subject, inputs)``: the result of one network;
    - ``numbers(subject, found)``: that result as plain data;
    - ``draw(figures, inputs, results)``: the figures of all networks' results.
    """

    definition: ClassVar[str]  # of the numbers, one sentence
    needs_clips: ClassVar[bool] = True

    def settings(self) -> dict[str, object]:
        return asdict(self)


def per_output(
    inputs: Inputs, results: Mapping[Subject, object], name: str, curve: Callable
) -> dict[str, dict[str, object]]:
    """Return one diagram per output for `plot_lines`, of ``curve(result, output's index)``."""
    outputs = next(iter(results)).outputs
    titles = [name] if inputs.future is None else [f"{name}, lead time {o}" for o in outputs]
    return {
        title: {subject.name: curve(found, i) for subject, found in results.items()}
        for i, title in enumerate(titles)
    }
