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

Frames = Tensor | np.ndarray


def forecast(
    predictor: nn.Module | str | Path,
    frames: Frames | str | Path,
    *,
    horizon: int | None = None,
    start: int | None = None,
) -> Forecast:
    """Predict the frames that follow a clip.

    Args:
        predictor: a predictor, or what `predcnn.load_predictor` accepts.
        frames: the known frames (T, C, H, W) or (B, T, C, H, W), any T from that of the predictor
            on, any size; an array or a tensor, uint8 or floating point in [0, 1]; in units for a
            checkpoint that was trained on numbers with units. Or the path of a video, GIF, folder
            of images or array file with one clip.
        horizon: number of frames to predict; None: what the predictor gives in one pass.
        start: index of the first frame to predict, so that the frames from there on are the truth;
            None: the frame after the last one.

    Returns:
        The forecast, with ``trial`` or ``truth`` where there are enough frames to test it.

    Raises:
        FileNotFoundError: no such file. ValueError, TypeError: too few frames, NaN, values outside
        [0, 1], other channels, or a damaged file.
    """
    step, about, units = 1, {}, None
    if isinstance(predictor, str | Path):
        predictor, about = load_described(predictor)
        step, units = frame_step(about), units_of(about)
    if isinstance(frames, str | Path):
        kept = {"horizon": horizon, "start": start, "step": step}
        if units is not None:
            found = forecast_fields(predictor, about, [frames], **kept)
        else:
            found = forecast_clips(predictor, [frames], **kept)
        if len(found) > 1:
            raise ValueError(
                f"{frames} holds {len(found)} clips: name one of them, or use "
                "predcnn.forecasting.forecast_clips"
            )
        return found[0]
    if units is not None:
        batch, predictor = as_field_batch(frames, units), ScaledPredictor(predictor, units)
    else:
        batch = as_batch(frames)
    horizon = check_frames_out(horizon, predictor.frames_out)
    plan = plan_of("the array", batch.shape[1], predictor.in_shape[0], horizon, start, 1)

    def pick(times: range) -> Tensor:
        chosen = batch[:, list(times)]
        return chosen if frames.ndim == 5 else chosen[0]

    def predicted(times: range, count: int) -> Tensor:
        future = predictor.predict(batch[:, list(times)], horizon=horizon).cpu().float()[:, :count]
        return future if frames.ndim == 5 else future[0]

    return _assembled("forecast", plan, horizon, pick, predicted, units=units)


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
        predictor: trained on such numbers.
        about: description of its checkpoint, which has their scale.
        inputs: files and folders as ``data.root`` takes them.
        horizon: see `forecast`.
        start: see `forecast`.
        step: use every ``step``-th frame.
        report: called with one line per recording.
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
    batch_size: int = 8,
    report: Callable[[str], object] = log.info,
    progress: Progress = no_progress,
) -> list[Forecast]:
    """Predict the frames that follow every clip in files and folders; each is decoded once.

    Args:
        predictor: who predicts.
        inputs: paths, see `predcnn.forecasting.recordings.open_recordings`.
        horizon: see `forecast`.
        start: see `forecast`.
        step: use every ``step``-th frame.
        size: "native", "model" (the size it was trained on) or (height, width).
        fit: how frames are scaled, see `predcnn.data.shaping.FITS`.
        raw_shape: (height, width, channels) of raw frames on standard input.
        batch_size: clips of one size that share a pass.
        report: called with one line per clip before it is predicted.
        progress: called as ``progress(what, done, total)`` while clips are read and predicted.

    Raises:
        FileNotFoundError, ValueError: see `forecast`.
    """
    whole_number("frame_step", step)
    whole_number("batch_size", batch_size)
    horizon = check_frames_out(horizon, predictor.frames_out)
    shape, frames_in = FrameShape.of(size, fit, predictor.in_shape), predictor.in_shape[0]
    if start is None:
        window = Window((horizon + frames_in - 1) * step + 1)
    else:
        window = Window((horizon + frames_in) * step, start + horizon * step)
    recordings, problems = open_recordings(inputs, window, raw_shape, progress)
    for name, reason in problems.items():
        report(f"left out: {name} {reason}")
    plans = [plan_of(r.name, r.clip.frames, frames_in, horizon, start, step) for r in recordings]
    for recording, plan in zip(recordings, plans, strict=True):
        report(_announcement(recording, plan, shape, predictor, horizon, step))
    wanted = [
        (i, times)
        for i, plan in enumerate(plans)
        for times in dict.fromkeys([plan.past, plan.trial_past or plan.past])
    ]
    pasts = [recordings[i].frames(times, shape) for i, times in wanted]
    predicted = _in_batches(predictor, pasts, horizon, batch_size, progress)
    futures = dict(zip(wanted, predicted, strict=True))
    return [
        _assembled(
            r.name,
            plan,
            horizon,
            lambda times, r=r: r.frames(times, shape),
            lambda times, count, i=i: futures[i, times][:count],
            fps=r.clip.fps,
            cuts=r.clip.cuts,
        )
        for i, (r, plan) in enumerate(zip(recordings, plans, strict=True))
    ]


def frame_step(about: dict) -> int:
    """Return the frame step that a checkpoint was trained with, from its description."""
    return about.get("run", {}).get("data", {}).get("frame_step", 1)


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
    predictor: nn.Module,
    pasts: Sequence[Tensor],
    horizon: int,
    batch_size: int,
    progress: Progress,
) -> list[Tensor]:
    """Predict clips of any shapes; equal shapes share a pass."""
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
    passes = f", fed back beyond its own reach of {reach}" if horizon > reach else ""
    every = f", every {step}th" if step > 1 else ""
    return (
        f"{recording.name}: frames {plan.past[0]}..{plan.past[-1]} of {clip.frames}{every}, "
        f"{shape.describe(clip, predictor.in_shape)} -> {horizon} frames{passes}"
    )
