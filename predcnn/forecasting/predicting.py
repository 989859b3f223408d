"""Predict the future of clips and arrays, and test the prediction where the truth is known."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.checks import whole_number
from predcnn.data.frames import as_batch
from predcnn.forecasting.fields import Adapted, as_field_batch, as_trained, open_fields, units_of
from predcnn.forecasting.recordings import (
    FrameShape,
    Plan,
    Progress,
    Recording,
    kept_frames,
    no_progress,
    open_recordings,
    plan_of,
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
    if not isinstance(frames, str | Path):
        return _forecast_array(predictor, frames, about, horizon, start)
    found = forecast_clips(predictor, [frames], about=about, horizon=horizon, start=start)
    if len(found) > 1:
        raise ValueError(
            f"{frames} holds {len(found)} clips: give one of them, or use "
            "predcnn.forecasting.forecast_clips"
        )
    return found[0]


def _forecast_array(
    predictor: nn.Module,
    frames: Tensor | np.ndarray,
    about: Mapping[str, object],
    horizon: int | None,
    start: int | None,
) -> Forecast:
    data = about.get("run", {}).get("data", {})
    units = units_of(data)
    batch = as_batch(frames) if units is None else as_field_batch(frames, data, units)
    predictor = as_trained(predictor, data)
    horizon = check_frames_out(horizon, predictor.frames_out)
    plan = plan_of("the array", batch.shape[1], predictor.in_shape[0], horizon, start, 1)

    def pick(times: range) -> Tensor:
        return batch[:, list(times)] if frames.ndim == 5 else batch[0, list(times)]

    array = Recording("forecast", batch.shape[1], pick, units=units)
    return _continued(predictor, [array], [plan], horizon)[0]


def forecast_clips(
    predictor: nn.Module,
    inputs: Sequence[str | Path],
    *,
    about: Mapping[str, object] = MappingProxyType({}),
    horizon: int | None = None,
    start: int | None = None,
    step: int | None = None,
    size: str | Sequence[int] = "native",
    fit: str = "crop",
    raw_shape: Sequence[int] | None = None,
    batch_size: int = 8,
    report: Callable[[str], object] = log.info,
    progress: Progress = no_progress,
) -> list[Forecast]:
    """Predict the frames that follow every clip in files and folders; each is decoded once.

    Args (others: see `forecast`):
        about: description of the predictor's checkpoint. If it was trained on numbers with units,
            inputs are array files as ``data.root`` takes them, and their size stays.
        step: use every ``step``-th frame; None: as the checkpoint was trained.
        size: "native", "model" (the size it was trained on) or (height, width).
        fit: how frames are scaled, see `predcnn.data.shaping.FITS`.
        raw_shape: (height, width, channels) of raw frames on standard input, "-".
        batch_size: clips of one size per pass.
        report: called with one line per clip before it is predicted.
        progress: called as ``progress(what, done, total)`` while clips are read and predicted.
    """
    data = about.get("run", {}).get("data", {})
    step = whole_number("frame_step", data.get("frame_step", 1) if step is None else step)
    horizon, frames_in = check_frames_out(horizon, predictor.frames_out), predictor.in_shape[0]
    if (units := units_of(data)) is not None:
        known = open_fields(inputs, data, units)
    else:
        shape = FrameShape.of(size, fit, predictor.in_shape, data.get("range"))
        kept = kept_frames(frames_in, horizon, start, step)
        known = open_recordings(inputs, kept, shape, raw_shape, progress, report)
    predictor = as_trained(predictor, data)
    plans = _planned(predictor, known, horizon, start, step, report)
    return _continued(predictor, known, plans, horizon, batch_size, progress)


def _planned(
    predictor: Adapted,
    recordings: Sequence[Recording],
    horizon: int,
    start: int | None,
    step: int,
    report: Callable[[str], object],
) -> list[Plan]:
    """Choose the frames of every forecast, and report them in one line each."""
    plans, reach = [], predictor.frames_out
    for one in recordings:
        plan = plan_of(one.name, one.count, predictor.in_shape[0], horizon, start, step)
        every = f", every {plan.past.step}th" if plan.past.step > 1 else ""
        passes = f", predictions fed back after {reach}" if horizon > reach else ""
        seen = f"frames {plan.past[0]}..{plan.past[-1]} of {one.count}{every}{one.shown}"
        report(f"{one.name}: {seen} -> {horizon} frames{passes}")
        plans.append(plan)
    return plans


def _continued(
    predictor: Adapted,
    recordings: Sequence[Recording],
    plans: Sequence[Plan],
    horizon: int,
    batch_size: int = 1,
    progress: Progress = no_progress,
) -> list[Forecast]:
    """Predict all pasts, those of one shape in batches, and make the forecasts."""
    whole_number("batch_size", batch_size)
    groups = defaultdict(list)
    for i, (recording, plan) in enumerate(zip(recordings, plans, strict=True)):
        for times in dict.fromkeys([plan.past, plan.trial_past or plan.past]):
            past = recording.frames(times)
            groups[past.shape].append((i, times, past))
    futures: dict[tuple[int, range], Tensor] = {}
    total = sum(map(len, groups.values()))
    for group in groups.values():
        for start in range(0, len(group), batch_size):
            part = group[start : start + batch_size]
            pasts = torch.stack([past for *_, past in part])

            def made(count: int, done: int = len(futures), clips: int = len(part)) -> None:
                progress("frames predicted", done * horizon + clips * count, total * horizon)

            # a recording may be a batch itself
            found = predictor.predict(pasts.flatten(0, -5), horizon, made).cpu().float()
            found = found.unflatten(0, pasts.shape[:-4])
            futures |= {(i, times): one for (i, times, _), one in zip(part, found, strict=True)}
    return [
        _assembled(
            recording,
            plan,
            lambda times, r=recording: predictor.shown(r.frames(times)),
            lambda times, i=i: futures[i, times],
        )
        for i, (recording, plan) in enumerate(zip(recordings, plans, strict=True))
    ]


def _assembled(
    recording: Recording,
    plan: Plan,
    frames: Callable[[range], Tensor],
    predicted: Callable[[range], Tensor],
) -> Forecast:
    """Assemble a forecast from functions that return frames and the prediction after them."""
    name, past, prediction = recording.name, frames(plan.past), predicted(plan.past)
    kept = {"fps": recording.fps, "units": recording.units}
    if plan.truth is None:
        return Forecast(name, past, prediction, **kept)
    truth, scenes = frames(plan.truth), plan.lead_times(recording.cuts)
    if plan.trial_past == plan.past:
        return Forecast(name, past, prediction, truth, cuts=scenes, **kept)
    count = len(plan.truth)
    caption = f"{name}: the last {count} known frames, predicted"
    guess = predicted(plan.trial_past)[..., :count, :, :, :]
    trial = Forecast(caption, frames(plan.trial_past), guess, truth, cuts=scenes, **kept)
    return Forecast(name, past, prediction, trial=trial, **kept)
