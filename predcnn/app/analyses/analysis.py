"""What one kind of analysis consists of, and what several of them need."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from predcnn.analysis import Subject
from predcnn.app.analyses.inputs import Inputs


@dataclass(frozen=True)
class Analysis:
    """One kind of analysis.

    Args:
        definition: one sentence for the JSON file.
        measure: configuration, network, inputs -> a result.
        numbers: network, its result -> what the JSON file keeps.
        draw: folder, inputs, results by name -> names of the pictures written.
        films: configuration -> how many films are needed; None: none.
        settings: configuration -> what else decided the numbers.
    """

    definition: str
    measure: Callable[[DictConfig, Subject, Inputs], object]
    numbers: Callable[[Subject, object], dict]
    draw: Callable[[Path, Inputs, Mapping[str, object]], list[str]]
    films: Callable[[DictConfig], int | None] = lambda cfg: cfg.count
    settings: Callable[[DictConfig], dict] = lambda cfg: {"layer": cfg.layer}


def with_target(subject: Subject, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """The entered films and what the network is asked about them."""
    x = subject.enter(inputs.films)
    with torch.no_grad():
        return x, subject.target(x, inputs.future)


def file_name(kind: str, name: str = "") -> str:
    """erf.png, or erf_<name>.png with what a file name may hold."""
    return f"{kind}_{re.sub(r'[^0-9A-Za-z.-]+', '-', name)}.png" if name else f"{kind}.png"


def array(values: Tensor) -> np.ndarray:
    """As matplotlib wants it."""
    return values.detach().cpu().numpy()


def frame_picture(frame: Tensor) -> np.ndarray:
    """A frame (C, H, W) as (H, W) grey or (H, W, 3)."""
    return array(frame[0] if len(frame) == 1 else frame.permute(1, 2, 0))
