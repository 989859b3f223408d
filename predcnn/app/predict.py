"""Pictures of what checkpoints predict: of their own test sequences, or of your clips."""

from pathlib import Path

from omegaconf import DictConfig

from predcnn.app.forecast import forecast
from predcnn.app.forecast_files import FPS
from predcnn.app.saved_run import data_of, distinct_names, load_run, run_folder
from predcnn.training.run_pictures import draw_sequences


def predict(cfg: DictConfig) -> None:
    """Continue ``input``, see `forecast`; without one draw sequences of the checkpoint's data."""
    if cfg.input is None:
        draw_predictions(cfg)
    else:
        forecast(cfg)


def draw_predictions(cfg: DictConfig) -> None:
    """Draw ``sequences`` sequences of a split, the predictions of all checkpoints side by side."""
    paths = [cfg.ckpt_path] if isinstance(cfg.ckpt_path, str) else list(cfg.ckpt_path)
    if not paths:
        raise ValueError("ckpt_path=[] names no checkpoint")
    runs = [load_run(path, cfg.trusted) for path in paths]
    shapes = {tuple(run.predictor.in_shape) for run in runs}
    if len(shapes) > 1:
        raise ValueError(
            f"checkpoints side by side need one input shape (T, C, H, W), got {sorted(shapes)}"
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
    )
    print(f"{len(written)} pictures in {folder}")
