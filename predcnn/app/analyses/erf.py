"""The effective receptive field: one map per output, its areas, its share per past frame."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from predcnn.analysis import Subject, effective_receptive_field, high_contribution_area
from predcnn.analysis.erf import decades, frame_shares, log_contribution, spread
from predcnn.app.analyses.analysis import Analysis, array, file_name
from predcnn.app.analyses.inputs import Inputs
from predcnn.visual import Panel, plot_lines, plot_panels


def _measure(cfg: DictConfig, subject: Subject, inputs: Inputs) -> Tensor:
    pixel = None if cfg.pixel is None else list(cfg.pixel)
    return effective_receptive_field(subject, subject.enter(inputs.films), pixel).cpu()


def _numbers(subject: Subject, field: Tensor) -> dict:
    rows = {}
    for name, films, shares in zip(subject.outputs, field, frame_shares(field), strict=True):
        plane = films.sum(0)
        rows[name] = {
            "area": {str(t): a for t, a in high_contribution_area(log_contribution(plane)).items()},
            "area_plain": {str(t): a for t, a in high_contribution_area(plane).items()},
            "spread_pixels": spread(plane),
            "frame_shares": shares.tolist(),
        }
    return {"erf": rows}


def _draw(folder: Path, inputs: Inputs, results: Mapping[str, Tensor]) -> list[str]:
    outputs, frames = inputs.subjects[0].outputs, inputs.films.shape[1]
    rows = []
    for i, _ in enumerate(outputs):
        row = []
        for name, field in results.items():
            plane = field[i].sum(0)
            half = high_contribution_area(plane)[0.5]
            text = "half: –" if half is None else f"half: {half:.1%} of the picture"
            title = f"{name}\n{text}" if i == 0 else text
            row.append(Panel(heat=array(decades(plane)), title=title))
        rows.append(row)
    plot_panels(folder / file_name("erf"), rows, outputs if len(outputs) > 1 else ())
    if frames == 1:
        return [file_name("erf")]
    written = [file_name("erf"), file_name("erf_frames")]
    ages = list(range(1 - frames, 1))
    diagrams = {
        f"lead time {output}": {
            name: (ages, frame_shares(field)[i].tolist()) for name, field in results.items()
        }
        for i, output in enumerate(outputs)
    }
    plot_lines(
        folder / written[1], diagrams, "past frame (0: the last)", y_label="share of the field"
    )
    for name, field in results.items():
        rows = []
        for film in field:
            planes = decades(film)
            titles = [f"{age:+d}" if age else "last" for age in ages]
            rows.append(
                [Panel(heat=array(p), title=t) for p, t in zip(planes, titles, strict=True)]
            )
        written.append(file_name("erf", name))
        plot_panels(folder / written[-1], rows, outputs, f"{name}: past frames", dpi=60)
    return written


ERF = Analysis(
    "mean over inputs of |gradient| (image networks: its positive part) of one pixel of the output "
    "map, summed over channels; area: share of the picture of the smallest centred square that "
    "exceeds a share of log10(1 + x) (area_plain: of x)",
    _measure,
    _numbers,
    _draw,
    settings=lambda cfg: {"layer": cfg.layer, "pixel": cfg.pixel and list(cfg.pixel)},
)
