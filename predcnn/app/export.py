"""Checkpoints for other runtimes, compared with PyTorch on real frames."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor

from predcnn.app.console import quiet_libraries, say
from predcnn.app.saved_run import data_of, load_run, run_folder
from predcnn.checks import one_of
from predcnn.data import to_float
from predcnn.metrics import video_metrics
from predcnn.predictors.exporting import (
    FORMATS,
    Runner,
    bfloat16,
    capture,
    check_runner,
    latencies,
    quantized,
    write_exported,
)

METRICS = ("mse", "ssim")
WORTH = 1.5  # times as fast as float32: less is not worth the error of 8 bits


@dataclass(frozen=True)
class Row:
    """One way to run a checkpoint: largest difference to PyTorch, metrics, median milliseconds."""

    name: str
    difference: float
    metrics: Mapping[str, float]
    latency: float | None


def export(cfg: DictConfig) -> list[Row]:
    """Write every checkpoint in every format, compare within ``tolerance``, time if requested."""
    quiet_libraries()
    formats = list(cfg.format) if isinstance(cfg.format, ListConfig) else [cfg.format]
    for name in formats:
        one_of("format", name, FORMATS)
    if cfg.int8 and "onnx" not in formats:
        raise ValueError("int8=true quantizes the ONNX file: give format=onnx")
    paths = [cfg.ckpt_path] if isinstance(cfg.ckpt_path, str) else list(cfg.ckpt_path)
    return [row for path in paths for row in _export(cfg, path, formats)]


def _export(cfg: DictConfig, path: str, formats: list[str]) -> list[Row]:
    run = load_run(path, cfg.trusted)
    datamodule = data_of(run, cfg.data, cfg.trusted)
    predictor, label = run.predictor, run.settings["name"]
    horizon = cfg.horizon or predictor.frames_out
    size = tuple(cfg.size) if cfg.size is not None else predictor.in_shape[2:]
    frames = _real_frames(datamodule.split("test"), cfg.sequences, size)
    past, truth = frames[:, : predictor.in_shape[0]], frames[:, predictor.in_shape[0] :]
    folder = Path(cfg.output) if cfg.output else run_folder(path) / "export"
    threads = cfg.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    pytorch = functools.partial(predictor.predict, horizon=horizon)
    expected = pytorch(past)
    runners: dict[str, Runner] = {"PyTorch": pytorch}
    program = capture(load_run(path, cfg.trusted).predictor.merge(), horizon=horizon, size=size)
    written = {}
    for name in formats:
        target = folder / f"{label}{FORMATS[name].ending}"
        written[name] = write_exported(program, target, name)
        runners[name] = FORMATS[name].open(target, threads)
        check_runner(runners[name], past, expected, target, cfg.tolerance)
    if cfg.int8:
        calibration = _real_frames(datamodule.split("val"), cfg.sequences, size).split(1)
        pasts = [frames[:, : predictor.in_shape[0]] for frames in calibration]
        target = quantized(written["onnx"], folder / f"{label}_int8.onnx", pasts)
        written["onnx int8"], runners["onnx int8"] = target, FORMATS["onnx"].open(target, threads)
    timed = cfg.int8 or cfg.latency
    if timed:
        runners["PyTorch bf16"] = bfloat16(pytorch)
    times = latencies(runners, past[:1], cfg.repeats) if timed else {}
    rows = [
        Row(name, *_compared(run_it, past, expected, truth), times.get(name))
        for name, run_it in runners.items()
    ]
    _show(rows, label, past, threads)
    _keep_what_pays(times, written)
    say("written: " + ", ".join(str(target) for target in written.values()))
    return rows


def _real_frames(dataset: object, count: int, size: tuple[int, int]) -> Tensor:
    frames = to_float(dataset.batch(0, range(min(count, len(dataset)))))
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    flat = torch.nn.functional.interpolate(
        frames.flatten(0, 1), tuple(size), mode="bilinear", antialias=True
    )
    return flat.unflatten(0, frames.shape[:2]).clamp(0, 1)


def _compared(
    run: Runner, past: Tensor, expected: Tensor, truth: Tensor
) -> tuple[float, dict[str, float]]:
    found = run(past)
    count = min(found.shape[1], truth.shape[1])
    meters = video_metrics(METRICS)
    meters.update(found[:, :count], truth[:, :count])
    values = {name: float(value) for name, value in meters.compute().items()}
    return (found - expected).abs().max().item(), values


def _show(rows: list[Row], label: str, past: Tensor, threads: int) -> None:
    title = f"{label}: {len(past)} test sequences, {threads} threads"
    table = Table(title=title, title_justify="left")
    for column in ("runs in", "ms a sequence", "speed", "largest difference", *METRICS):
        table.add_column(column, justify="left" if column == "runs in" else "right")
    for row in rows:
        timed = row.latency is not None
        table.add_row(
            row.name,
            f"{row.latency:.1f}" if timed else "–",
            f"{rows[0].latency / row.latency:.2f}" if timed else "–",
            f"{row.difference:.1e}",
            *(f"{row.metrics[name]:.4f}" for name in METRICS),
        )
    Console().print(table)


def _keep_what_pays(times: Mapping[str, float], written: dict[str, Path]) -> None:
    if "onnx int8" not in written:
        return
    gain = times["onnx"] / times["onnx int8"]
    if gain < WORTH:
        written.pop("onnx int8").unlink()
        say(f"int8 is {gain:.2f} times as fast as float32 here, less than {WORTH}: not kept")
