"""Shape bias on the cue-conflict pictures of its authors."""

from collections.abc import Mapping
from pathlib import Path

import torch
from omegaconf import DictConfig

from predcnn.analysis import Subject, shape_bias
from predcnn.analysis.shape_bias import category_of, find_stimuli
from predcnn.app.analyses.analysis import Analysis, file_name
from predcnn.app.analyses.inputs import Inputs
from predcnn.data.images.pictures import read_pictures
from predcnn.visual import plot_lines


def _measure(cfg: DictConfig, subject: Subject, inputs: Inputs) -> dict:
    if cfg.stimuli is None:
        raise ValueError("kind=shape_bias needs the folder of cue-conflict pictures: stimuli=…")
    stimuli = find_stimuli(cfg.stimuli)
    decisions: list[str] = []
    for start in range(0, len(stimuli), cfg.batch_size):
        part = stimuli[start : start + cfg.batch_size]
        pictures = read_pictures([stimulus.path for stimulus in part], cfg.size)
        x = subject.enter(pictures[:, None].to(cfg.device))
        with torch.no_grad():
            decisions += category_of(subject.logits(x))
    return shape_bias(stimuli, decisions)


def _draw(folder: Path, inputs: Inputs, results: Mapping[str, dict]) -> list[str]:
    lines = {}
    for name, table in results.items():
        known = {k: row["shape_bias"] for k, row in table.items() if row["shape_bias"] is not None}
        lines[name] = (list(known), list(known.values()))
    plot_lines(folder / file_name("shape_bias"), {"shape bias": lines}, "category of the shape")
    return [file_name("shape_bias")]


SHAPE_BIAS = Analysis(
    "decisions for the shape / decisions for shape or texture; 16 categories, by the mean "
    "probability of their ImageNet classes",
    _measure,
    lambda subject, table: {"shape_bias": table},
    _draw,
    films=lambda cfg: None,
    settings=lambda cfg: {"stimuli": cfg.stimuli, "size": cfg.size},
)
