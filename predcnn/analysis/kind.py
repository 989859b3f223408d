"""The interface of all kinds of analysis: numbers and figures of several networks on one input."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from predcnn.analysis.subject import Subject
from predcnn.data import to_float
from predcnn.data.images.image_files import find_images, photographs, read_images


@dataclass(frozen=True)
class Inputs:
    """Clips that all networks see.

    Args:
        clips: (N, T, C, H, W) in [0, 1]; images have T = 1.
        future: true frames (N, frames_out, C, H, W) for predictors.
        source: their origin, printable.
    """

    clips: Tensor
    future: Tensor | None
    names: Sequence[str]
    source: str

    @classmethod
    def of_images(cls, folder: str | None, count: int, size: int, device: str) -> "Inputs":
        """Images of a folder, or photographs of scikit-image, cut to ``size`` x ``size``."""
        if folder is None:
            images, names = photographs(count, size)
        else:
            paths = find_images(folder)[:count]
            images, names = read_images(paths, size), [path.name for path in paths]
        source = f"{folder or 'photographs of scikit-image'}, {size}x{size}"
        return cls(images[:, None].to(device), None, names, source)

    @classmethod
    def of_sequences(
        cls, frames: Tensor, frames_in: int, frames_out: int, source: str, device: str
    ) -> "Inputs":
        """Past and future of sequences (N, T_all, C, H, W)."""
        frames = to_float(frames).to(device)
        past, future, _ = frames.tensor_split((frames_in, frames_in + frames_out), dim=1)
        return cls(past, future, [f"sequence {i}" for i in range(len(frames))], source)

    def for_subject(self, subject: Subject) -> tuple[Tensor, Tensor]:
        """Return the clips as the network reads them, and its targets."""
        x = subject.enter(self.clips)
        with torch.no_grad():
            return x, subject.target(x, self.future)


class Kind:
    """One kind of analysis; a subclass is a dataclass of its settings.

    Attributes:
        name: of its files. definition: of its numbers, one sentence.
        needs_clips: whether it reads `Inputs`.
    """

    name: ClassVar[str]
    definition: ClassVar[str]
    needs_clips: ClassVar[bool] = True

    def settings(self) -> dict[str, object]:
        """Return the settings that decide the numbers."""
        return asdict(self)

    def measure(self, subject: Subject, inputs: Inputs) -> object:
        """Measure one network."""
        raise NotImplementedError

    def numbers(self, subject: Subject, found: object) -> dict[str, object]:
        """Return a result of `measure` as plain data."""
        raise NotImplementedError

    def draw(self, folder: Path, inputs: Inputs, results: Mapping[Subject, object]) -> list[str]:
        """Draw the results of all networks; return the names of the files written."""
        raise NotImplementedError

    def file(self, name: str = "") -> str:
        """Return <kind>.png or <kind>_<name>.png."""
        end = f"_{re.sub(r'[^0-9A-Za-z.-]+', '-', name)}" if name else ""
        return f"{self.name}{end}.png"


def array(values: Tensor) -> np.ndarray:
    """Convert to numpy, for matplotlib."""
    return values.detach().cpu().numpy()


def frame_image(frame: Tensor) -> np.ndarray:
    """Convert a frame (C, H, W) to (H, W) grey or (H, W, 3)."""
    return array(frame[0] if len(frame) == 1 else frame.permute(1, 2, 0))
