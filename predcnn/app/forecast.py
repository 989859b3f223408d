"""The future of your own clips, and how far to trust it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor, nn

from predcnn.app.console import say
from predcnn.app.forecast_files import check_output, write_forecasts
from predcnn.app.recordings import FrameShape, Recording, open_recordings
from predcnn.app.results import split_values
from predcnn.app.saved_run import run_folder
from predcnn.metrics import video_metrics
from predcnn.metrics.ssim import WINDOW
from predcnn.predictors.checkpoint import load_predictor, read_description
from predcnn.predictors.protocol import check_frames_out

METRICS = ("mse", "mae", "ssim", "psnr")


@dataclass(frozen=True)
class Trial:
    """A prediction whose truth is known, all (T, C, H, W), and its errors beside copy-last's."""

    past: Tensor
    truth: Tensor
    prediction: Tensor
    errors: dict


@dataclass(frozen=True)
class Forecast:
    """What was predicted for one recording; ``trial`` is None where there is no truth."""

    name: str
    past: Tensor
    prediction: Tensor
    fps: float | None
    trial: Trial | None


def forecast(cfg: DictConfig) -> list[Path]:
    """Predict ``horizon`` frames of every ``input`` and write them as ``output`` says.

    Where a clip is long enough, the same is done ``horizon`` frames earlier and held against what
    came, beside repeating the last frame.
    """
    if isinstance(cfg.ckpt_path, ListConfig):
        raise ValueError("input= is predicted by one checkpoint, not by a list of them")
    _check_counts(cfg)
    predictor = load_predictor(cfg.ckpt_path, device=cfg.device, trusted=cfg.trusted)
    run = read_description(cfg.ckpt_path).get("run", {})
    horizon = check_frames_out(cfg.horizon, predictor.frames_out)
    step = cfg.frame_step or run.get("data", {}).get("frame_step", 1)
    given = [cfg.input] if isinstance(cfg.input, str) else list(cfg.input)
    raw_shape = None if cfg.raw_shape is None else list(cfg.raw_shape)
    recordings, problems = open_recordings(given, raw_shape)
    for name, reason in problems.items():
        say(f"left out: {name} {reason}")
    size = OmegaConf.to_container(cfg.size) if isinstance(cfg.size, ListConfig) else cfg.size
    shape = FrameShape.of(size, cfg.fit, predictor.in_shape)
    plans = [plan_of(r, predictor, horizon, cfg.start, step) for r in recordings]
    folder = run_folder(cfg.ckpt_path) / "predictions"
    names = [recording.name for recording in recordings]
    files = check_output(cfg.output, folder, names, list(cfg.formats))
    for recording, plan in zip(recordings, plans, strict=True):
        _announce(recording, plan, shape, predictor, horizon, step)
    with torch.inference_mode():
        found = predict_all(predictor, recordings, plans, shape, horizon, cfg.batch_size)
    for item in found:
        if item.trial is not None:
            _say_errors(item.name, item.trial.errors)
    written = write_forecasts(found, files, cfg.view, cfg.fps)
    say("written: " + ", ".join(map(str, written)))
    return written


def _check_counts(cfg: DictConfig) -> None:
    for name in ("frame_step", "batch_size"):
        value = 1 if cfg[name] is None else cfg[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is a whole number, at least 1, not {value!r}")


@dataclass(frozen=True)
class Plan:
    """Which frames are read: ``past`` leads to the forecast, ``trial_past`` to ``truth``."""

    past: range
    trial_past: range | None
    truth: range | None


def plan_of(
    recording: Recording, predictor: nn.Module, horizon: int, start: int | None, step: int
) -> Plan:
    """Which frames a forecast of ``horizon`` frames from ``start`` on needs; None: from the end on.

    Raises:
        ValueError: the recording has too few frames before ``start``.
    """
    frames_in, count = predictor.in_shape[0], recording.clip.frames
    reach = (frames_in - 1) * step + 1  # frames of the clip that the past covers
    first = count - 1 + step if start is None else start
    if start is not None and not 0 < start <= count:
        raise ValueError(f"start={start}: {recording.name} has the frames 0..{count - 1}")
    if first - step - reach + 1 < 0:
        raise ValueError(
            f"{recording.name} has {count} frames, the checkpoint needs {frames_in} known ones"
            f"{f' (every {step}th, {reach} in all)' if step > 1 else ''} before frame "
            f"{first if start is not None else count}: a longer clip, or a model trained with a "
            "smaller data.frames_in"
        )
    past = range(first - frames_in * step, first, step)
    if start is not None:
        truth = range(first, min(count, first + horizon * step), step)
        return Plan(past, past, truth) if len(truth) else Plan(past, None, None)
    known = range(past[-1] - (horizon + frames_in - 1) * step, past[-1] + 1, step)
    if known[0] < 0:
        return Plan(past, None, None)
    return Plan(past, known[:frames_in], known[frames_in:])


def predict_all(
    predictor: nn.Module,
    recordings: Sequence[Recording],
    plans: Sequence[Plan],
    shape: FrameShape,
    horizon: int,
    batch_size: int,
) -> list[Forecast]:
    """Forecasts of all recordings, with trials where their plans have a truth."""
    pasts = [r.frames(plan.past, shape) for r, plan in zip(recordings, plans, strict=True)]
    futures = _in_batches(predictor, pasts, horizon, batch_size)
    tried = [i for i, plan in enumerate(plans) if plan.truth is not None]
    before = [recordings[i].frames(plans[i].trial_past, shape) for i in tried]
    guesses = _in_batches(predictor, before, horizon, batch_size)
    trials = {}
    for i, past, guess in zip(tried, before, guesses, strict=True):
        truth = recordings[i].frames(plans[i].truth, shape)
        guess = guess[: len(truth)]
        trials[i] = Trial(past, truth, guess, errors_of(past, truth, guess))
    return [
        Forecast(r.name, pasts[i], futures[i], r.clip.fps, trials.get(i))
        for i, r in enumerate(recordings)
    ]


def _in_batches(
    predictor: nn.Module, pasts: Sequence[Tensor], horizon: int, batch_size: int
) -> list[Tensor]:
    """Predictions of clips of any shapes; equal shapes share a pass."""
    device = next((tensor.device for tensor in predictor.state_dict().values()), "cpu")
    groups = defaultdict(list)
    for i, past in enumerate(pasts):
        groups[past.shape].append(i)
    found: dict[int, Tensor] = {}
    for part in (part for group in groups.values() for part in _parts(group, batch_size)):
        frames = torch.stack([pasts[i] for i in part]).to(device)
        found.update(zip(part, predictor.predict(frames, horizon=horizon).cpu(), strict=True))
    return [found[i] for i in range(len(pasts))]


def _parts(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def errors_of(past: Tensor, truth: Tensor, prediction: Tensor) -> dict:
    """{"prediction", "copy_last"} -> metrics and their values per lead time."""
    metrics = [name for name in METRICS if name != "ssim" or min(truth.shape[-2:]) >= WINDOW]
    names = [*metrics, *(f"{name}_per_frame" for name in metrics)]
    found = {}
    for name, frames in (("prediction", prediction), ("copy_last", past[-1:].expand_as(truth))):
        meters = video_metrics(names)
        meters.update(frames[None], truth[None])
        values = {key: value.tolist() for key, value in meters.compute().items()}
        found[name] = split_values(values, metrics)
    return found


def _announce(
    recording: Recording,
    plan: Plan,
    shape: FrameShape,
    predictor: nn.Module,
    horizon: int,
    step: int,
) -> None:
    clip = recording.clip
    passes = "" if horizon <= predictor.frames_out else ", fed back beyond its own reach of "
    passes += str(predictor.frames_out) if passes else ""
    every = f", every {step}th" if step > 1 else ""
    say(
        f"{recording.name}: frames {plan.past[0]}..{plan.past[-1]} of {clip.frames}{every}, "
        f"{shape.describe(clip, predictor.in_shape)} -> {horizon} frames{passes}"
    )


def _say_errors(name: str, errors: dict) -> None:
    ours, copy = errors["prediction"]["metrics"], errors["copy_last"]["metrics"]
    words = [
        f"{metric} {_number(ours[metric])} (copy last {_number(copy[metric])})" for metric in ours
    ]
    count = len(errors["prediction"]["per_frame"]["mse"])
    say(f"{name}: against the {count} frames that came: {', '.join(words)}")


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"
