"""Grad-CAM: pictures with what speaks for a class, past frames with what brightens a future one."""

from collections.abc import Mapping
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from predcnn.analysis import ClassifierSubject, Subject, grad_cam
from predcnn.app.analyses.analysis import Analysis, array, file_name, frame_picture, with_target
from predcnn.app.analyses.inputs import Inputs
from predcnn.visual import Panel, plot_panels


def _measure(cfg: DictConfig, subject: Subject, inputs: Inputs) -> tuple[Tensor, list[dict]]:
    x, target = with_target(subject, inputs)
    cams = grad_cam(subject, x, target).cpu()
    if not isinstance(subject, ClassifierSubject):
        return cams, []
    with torch.no_grad():
        probabilities = subject.logits(x).softmax(1)
    chosen = probabilities.gather(1, target[:, None])[:, 0]
    rows = [_decision(i, p, probabilities.shape[1]) for i, p in zip(target, chosen, strict=True)]
    return cams, rows


def _decision(index: Tensor, probability: Tensor, classes: int) -> dict:
    from timm.data import ImageNetInfo

    number = int(index)
    name = ImageNetInfo().index_to_description(number).split(",")[0] if classes == 1000 else None
    return {"class": number, "name": name, "probability": float(probability)}


def _numbers(subject: Subject, found: tuple[Tensor, list[dict]]) -> dict:
    cams, decisions = found
    covered = (cams > 0.5).float().mean((1, 2, 3, 4)).tolist()
    numbers = {"above_half": dict(zip(subject.outputs, covered, strict=True))}
    return {**numbers, "decisions": decisions} if decisions else numbers


def _draw(
    folder: Path, inputs: Inputs, results: Mapping[str, tuple[Tensor, list[dict]]]
) -> list[str]:
    if inputs.future is None:
        return _draw_class_cams(folder, inputs, results)
    film, lead = inputs.films[0], inputs.subjects[0].outputs[-1]
    rows = []
    for subject in inputs.subjects:
        cams = results[subject.name][0][-1, 0]  # (n, H, W) of the last lead time
        frames = film[-1:].expand(len(cams), -1, -1, -1) if len(cams) != len(film) else film
        row = [
            Panel(
                frame_picture(f),
                array(c),
                f"{i - len(cams) + 1:+d}" if i + 1 < len(cams) else "last",
            )
            for i, (f, c) in enumerate(zip(frames, cams, strict=True))
        ]
        with torch.no_grad():
            predicted = subject.response(inputs.films[:1])[0, -1]
        rows.append([*row, Panel(frame_picture(predicted), title=f"predicted {lead}")])
    title = f"what makes the frame at {lead} bright: {inputs.names[0]}"
    names = [subject.name for subject in inputs.subjects]
    plot_panels(folder / file_name("gradcam"), rows, names, title, dpi=60)
    return [file_name("gradcam")]


def _draw_class_cams(
    folder: Path, inputs: Inputs, results: Mapping[str, tuple[Tensor, list[dict]]]
) -> list[str]:
    rows = []
    for n, film in enumerate(inputs.films):
        row = [Panel(frame_picture(film[0]), title=inputs.names[n])]
        for name, (cams, decisions) in results.items():
            said = decisions[n]["name"] or f"class {decisions[n]['class']}"
            text = f"{said} {decisions[n]['probability']:.0%}"
            title = f"{name}\n{text}" if n == 0 else text
            row.append(Panel(frame_picture(film[0]), array(cams[0, n, 0]), title))
        rows.append(row)
    plot_panels(folder / file_name("gradcam"), rows, dpi=64)
    return [file_name("gradcam")]


GRADCAM = Analysis(
    "Grad-CAM of the network's own class, of predictors of the brightness of a predicted frame",
    _measure,
    _numbers,
    _draw,
)
