"""Predict the future of clips and arrays, and test the prediction where the truth is known."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.checks import whole_number
from predcnn.data.frames import as_batch
from predcnn.data.scale import Units
from predcnn.forecasting.colours import ChosenChannels, sees_grey, targets_of
from predcnn.forecasting.fields import ScaledPredictor, as_field_batch, open_fields, units_of
from predcnn.forecasting.plans import Plan, plan_of
from predcnn.forecasting.recordings import (
    FrameShape,
    Progress,
    Recording,
    Window,
    no_progress,
    open_recordings,
)
from predcnn.forecasting.result import Forecast
from predcnn.predictors.checkpoint import load_described
from predcnn.predictors.protocol import check_frames_out

log = logging.getLogger(__name__)


def forecast(
    predictor: nn.Module | str | Path,
    frames: Tensor | np.ndarray | str | Path,
    *,
    horizon: int | None = None,
    start: int | None = None,
) -> Forecast:
    """Predict the frames that follow a clip.

    Args:
        predictor: a predictor, or what `predcnn.load_predictor` accepts.
        frames: the known frames (T, C, H, W) or (B, T, C, H, W), of any size, at least as many as
            the predictor needs; uint8 or floating point in [0, 1], in units for a checkpoint that
            was trained on numbers with units. Or the path of a video, GIF, folder of images or
            array file with one clip.
        horizon: number of frames to predict; None: what the predictor gives in one pass.
        start: index of the first frame to predict, so that the frames from there on are the truth;
            None: the frame after the last one.

    Returns:
        The forecast, with ``trial`` or ``truth`` if there are enough frames to test it.

    Raises:
        FileNotFoundError: no such file. ValueError, TypeError: too few frames, NaN, values outside
        [0, 1], other channels, or a damaged file.
    """
    about = {}
    if isinstance(predictor, str | Path):
        predictor, about = load_described(predictor)
    units = units_of(about)
    if isinstance(frames, str | Path):
        return _forecast_file(predictor, about, frames, horizon, start)
    if units is None:
        batch, predictor = as_batch(frames), ChosenChannels(predictor, targets_of(about))
        shown = predictor.shown(batch)
    else:
        batch = shown = as_field_batch(frames, units, sees_grey(about))
        predictor = ScaledPredictor(predictor, units)
    horizon = check_frames_out(horizon, predictor.frames_out)
    plan = plan_of("the array", batch.shape[1], predictor.in_shape[0], horizon, start, 1)

    def pick(times: range) -> Tensor:
        chosen = shown[:, list(times)]
        return chosen if frames.ndim == 5 else chosen[0]

    def predicted(times: range, count: int) -> Tensor:
        future = predictor.predict(batch[:, list(times)], horizon=horizon).cpu().float()[:, :count]
        return future if frames.ndim == 5 else future[0]

    return _assembled("forecast", plan, horizon, pick, predicted, units=units)


def _forecast_file(
    predictor: nn.Module, about: dict, path: str | Path, horizon: int | None, start: int | None
) -> Forecast:
    kept = {"horizon": horizon, "start": start, "step": frame_step(about)}
    if units_of(about) is not None:
        found = forecast_fields(predictor, about, [path], **kept)
    else:
        given = {"image_range": image_range(about), "targets": targets_of(about)}
        found = forecast_clips(predictor, [path], **given, **kept)
    if len(found) > 1:
        raise ValueError(
            f"{path} holds {len(found)} clips: give one of them, or use "
            "predcnn.forecasting.forecast_clips"
        )
    return found[0]


def forecast_fields(
    predictor: nn.Module,
    about: dict,
    inputs: Sequence[str | Path],
    *,
    horizon: int | None = None,
    start: int | None = None,
    step: int = 1,
    report: Callable[[str], object] = log.info,
) -> list[Forecast]:
    """Predict the frames that follow every recording in files of numbers with units.

    Args:
        about: description of the predictor's checkpoint, which contains their scale.
        inputs: files and folders as ``data.root`` takes them.
        report: called with one line per recording.

    Other arguments: see `forecast_clips`.
    """
    units = units_of(about)
    horizon = check_frames_out(horizon, predictor.frames_out)
    scaled, found = ScaledPredictor(predictor, units), []
    for name, count, read, located in open_fields(inputs, about, units):
        plan = plan_of(name, count, predictor.in_shape[0], horizon, start, step)
        report(f"{name}: frames {plan.past[0]}..{plan.past[-1]} of {count} -> {horizon} frames")

        def predicted(times: range, count: int, read: Callable = read) -> Tensor:
            return scaled.predict(read(times)[None], horizon=horizon)[0, :count].cpu()

        found.append(_assembled(name, plan, horizon, read, predicted, units=located))
    return found


def forecast_clips(
    predictor: nn.Module,
    inputs: Sequence[str | Path],
    *,
    horizon: int | None = None,
    start: int | None = None,
    step: int = 1,
    size: str | Sequence[int] = "native",
    fit: str = "crop",
    raw_shape: Sequence[int] | None = None,
    image_range: Sequence[float] | None = None,
    targets: Sequence[str] = (),
    batch_size: int = 8,
    report: Callable[[str], object] = log.info,
    progress: Progress = no_progress,
) -> list[Forecast]:
    """Predict the frames that follow every clip in files and folders; each is decoded once.

    Args (others: see `forecast`):
        step: use every ``step``-th frame.
        size: "native", "model" (the size it was trained on) or (height, width).
        fit: how frames are scaled, see `predcnn.data.shaping.FITS`.
        raw_shape: (height, width, channels) of raw frames on standard input, "-".
        image_range: [0, white] of 16-bit images; None: [0, 65535].
        targets: channels that the predictor was trained to predict, see `targets_of`; (): all.
        batch_size: clips of one size per pass.
        report: called with one line per clip before it is predicted.
        progress: called as ``progress(what, done, total)`` while clips are read and predicted.
    """
    whole_number("frame_step", step)
    whole_number("batch_size", batch_size)
    horizon = check_frames_out(horizon, predictor.frames_out)
    shape, frames_in = FrameShape.of(size, fit, predictor.in_shape), predictor.in_shape[0]
    window = Window.of(frames_in, horizon, start, step)
    planned = []
    for recording in open_recordings(inputs, window, raw_shape, image_range, progress, report):
        plan = plan_of(recording.name, recording.clip.frames, frames_in, horizon, start, step)
        planned.append((recording, plan))
        report(_announcement(recording, plan, shape, predictor, horizon, step))
    chosen = ChosenChannels(predictor, targets)
    return _predicted(chosen, planned, shape, horizon, batch_size, progress)


def _predicted(
    predictor: ChosenChannels,
    planned: Sequence[tuple[Recording, Plan]],
    shape: FrameShape,
    horizon: int,
    batch_size: int,
    progress: Progress,
) -> list[Forecast]:
    """Predict all pasts in batches, then assemble the forecasts."""
    wanted = [
        (i, times)
        for i, (_, plan) in enumerate(planned)
        for times in dict.fromkeys([plan.past, plan.trial_past or plan.past])
    ]
    pasts = [planned[i][0].frames(times, shape) for i, times in wanted]
    predicted = _in_batches(predictor, pasts, horizon, batch_size, progress)
    futures = dict(zip(wanted, predicted, strict=True))
    return [
        _assembled(
            r.name,
            plan,
            horizon,
            lambda times, r=r: predictor.shown(r.frames(times, shape)),
            lambda times, count, i=i: futures[i, times][:count],
            fps=r.clip.fps,
            cuts=r.clip.cuts,
        )
        for i, (r, plan) in enumerate(planned)
    ]


def frame_step(about: dict) -> int:
    """Return the frame step that a checkpoint was trained with, from its description."""
    return about.get("run", {}).get("data", {}).get("frame_step", 1)


def image_range(about: dict) -> list[float] | None:
    """Return the range of 16-bit images that a checkpoint was trained with."""
    return about.get("run", {}).get("data", {}).get("range")


def _assembled(
    name: str,
    plan: Plan,
    horizon: int,
    pick: Callable[[range], Tensor],
    predicted: Callable[[range, int], Tensor],
    fps: float | None = None,
    units: Units | None = None,
    cuts: Sequence[int] = (),
) -> Forecast:
    """Make the forecast of a plan from functions that give frames and predictions at times."""
    past, prediction = pick(plan.past), predicted(plan.past, horizon)
    if plan.truth is None:
        return Forecast(name, past, prediction, fps=fps, units=units)
    truth, count = pick(plan.truth), len(plan.truth)
    scenes = plan.lead_times(cuts)
    if plan.trial_past == plan.past:
        return Forecast(name, past, prediction, truth, fps, units=units, cuts=scenes)
    caption = f"{name}: the last {count} known frames, predicted"
    guess = predicted(plan.trial_past, count)
    trial = Forecast(caption, pick(plan.trial_past), guess, truth, fps, units=units, cuts=scenes)
    return Forecast(name, past, prediction, fps=fps, trial=trial, units=units)


def _in_batches(
    predictor: ChosenChannels,
    pasts: Sequence[Tensor],
    horizon: int,
    batch_size: int,
    progress: Progress,
) -> list[Tensor]:
    """Predict clips of any shapes, equal shapes together."""
    groups = defaultdict(list)
    for i, past in enumerate(pasts):
        groups[past.shape].append(i)
    found: dict[int, Tensor] = {}
    for group in groups.values():
        for start in range(0, len(group), batch_size):
            part = group[start : start + batch_size]
            frames = torch.stack([pasts[i] for i in part])
            future = predictor.predict(frames, horizon=horizon).cpu().float()
            found.update(zip(part, future, strict=True))
            progress("frames predicted", len(found) * horizon, len(pasts) * horizon)
    return [found[i] for i in range(len(pasts))]


def _announcement(
    recording: Recording,
    plan: Plan,
    shape: FrameShape,
    predictor: nn.Module,
    horizon: int,
    step: int,
) -> str:
    clip, reach = recording.clip, predictor.frames_out
    passes = f", predictions fed back after {reach}" if horizon > reach else ""
    every = f", every {step}th" if step > 1 else ""
    return (
        f"{recording.name}: frames {plan.past[0]}..{plan.past[-1]} of {clip.frames}{every}, "
        f"{shape.describe(clip, predictor.in_shape)} -> {horizon} frames{passes}"
    )
