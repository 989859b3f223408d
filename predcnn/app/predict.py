"""Predict the user's clips, or draw predictions of test sequences."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from predcnn.app.console import Progress, say
from predcnn.app.saved_run import data_of, distinct_names, load_run, run_folder
from predcnn.checks import one_of
from predcnn.forecasting import forecast_clips
from predcnn.forecasting.output import plan_files, write_forecasts
from predcnn.forecasting.result import FPS, VIEWS, Forecast, describe_errors
from predcnn.predictors.checkpoint import load_described
from predcnn.training.run_pictures import draw_sequences
from predcnn.visual import CODECS

OWN_DATA = ("video_folder", "array")  # data sets of the user's own files


def predict(cfg: DictConfig) -> None:
    """Predict the clips of ``input``; without input draw sequences of the checkpoint's data."""
    say(f"predicting with {cfg.ckpt_path}")
    if cfg.input is None:
        draw_predictions(cfg)
    else:
        predict_clips(cfg)


def predict_clips(cfg: DictConfig) -> list[Path]:
    """Predict ``horizon`` frames of every ``input`` and write them to ``output``.

    If a clip is long enough, the last ``horizon`` known frames are predicted, too, and compared.
    """
    if isinstance(cfg.ckpt_path, ListConfig):
        raise ValueError("input= is predicted by one checkpoint, not by a list of them")
    folder = run_folder(cfg.ckpt_path) / "predictions"
    one_of("view", cfg.view, VIEWS)
    plan_files(cfg.output, folder, [""], list(cfg.formats))  # checks the endings early
    predictor, about = load_described(cfg.ckpt_path, device=cfg.device, trusted=cfg.trusted)
    inputs = [cfg.input] if isinstance(cfg.input, str) else list(cfg.input)
    options, names = OmegaConf.to_container(cfg), ("horizon", "start", "size", "fit", "raw_shape")
    chosen = {name: options[name] for name in (*names, "batch_size")}
    chosen |= {"about": about, "step": cfg.frame_step, "report": say, "progress": Progress()}
    found = forecast_clips(predictor, inputs, **chosen)
    files = plan_files(cfg.output, folder, [item.name for item in found], list(cfg.formats))
    for item in found:
        known = item if item.truth is not None else item.trial
        if known is not None:
            errors = describe_errors(known.metrics)
            say(f"{item.name}: compared with the {len(known.truth)} true frames: {errors}")
            if known.verdict is not None:
                say(f"{item.name}: {known.verdict}{advice(known, predictor, about)}")
    written = write_forecasts(found, files, cfg.view, cfg.fps)
    codecs = [CODECS.get(path.suffix.lower()) for path in written]
    files = [f"{p} ({c})" if c else str(p) for p, c in zip(written, codecs, strict=True)]
    say("written: " + ", ".join(files))
    return written


def advice(known: Forecast, predictor: nn.Module, about: Mapping) -> str:
    """Return what to do about a prediction that is worse than repeating the last frame."""
    if known.mse_ratio <= 1:
        return ""
    data = about.get("run", {}).get("data", {}).get("name")
    if data is not None and data not in OWN_DATA:
        return f". It was trained on {data}: train on clips like this one, data=video_folder"
    residual = predictor.config.get("residual")
    return ": train longer" + (" or try model.net.residual=true" if residual is False else "")


def draw_predictions(cfg: DictConfig) -> None:
    """Draw sequences of a split, the predictions of all checkpoints next to each other."""
    paths = [cfg.ckpt_path] if isinstance(cfg.ckpt_path, str) else list(cfg.ckpt_path)
    if not paths:
        raise ValueError("ckpt_path=[] is empty")
    runs = [load_run(path, cfg.trusted) for path in paths]
    shapes = {tuple(run.predictor.in_shape) for run in runs}
    if len(shapes) > 1:
        raise ValueError(
            f"checkpoints in one image need one input shape (T, C, H, W), got {sorted(shapes)}"
        )
    datamodule = data_of(runs[0], cfg.data, cfg.trusted)
    dataset = datamodule.split(cfg.split)
    indices = range(cfg.first, min(cfg.first + cfg.sequences, len(dataset)))
    if not indices:
        raise ValueError(
            f"first={cfg.first} sequences={cfg.sequences}: "
            f"the {cfg.split} split has {len(dataset)} sequences"
        )
    names = distinct_names([run.settings["name"] for run in runs], paths)
    predictors = {name: run.predictor.to(cfg.device) for name, run in zip(names, runs, strict=True)}
    folder = Path(cfg.output) if cfg.output else run_folder(paths[0]) / "predictions"
    title = f"{datamodule.family.name} {cfg.split} ({dataset.source})"
    written = draw_sequences(
        folder,
        dataset,
        predictors,
        indices,
        formats=list(cfg.formats),
        title=title,
        fps=FPS if cfg.fps is None else cfg.fps,
        units=datamodule.units,
    )
    print(f"{len(written)} files in {folder}")
