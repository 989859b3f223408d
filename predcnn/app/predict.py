"""Pictures of what one or several checkpoints predict."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from predcnn.app.pictures import draw_sequences
from predcnn.app.saved_run import load_run, merged_data, run_folder


def predict(cfg: DictConfig) -> None:
    """Draw ``sequences`` sequences of a split, the predictions of all checkpoints side by side."""
    paths = [cfg.ckpt_path] if isinstance(cfg.ckpt_path, str) else list(cfg.ckpt_path)
    runs = [load_run(path) for path in paths]
    shapes = {tuple(run.predictor.in_shape) for run in runs}
    if len(shapes) > 1:
        raise ValueError(
            f"checkpoints side by side need one input shape (T, C, H, W), got {sorted(shapes)}"
        )
    datamodule = instantiate(merged_data(runs[0].config, cfg.data))
    dataset = datamodule.split(cfg.split)
    indices = range(cfg.first, min(cfg.first + cfg.sequences, len(dataset)))
    if not indices:
        raise ValueError(
            f"first={cfg.first} sequences={cfg.sequences}: "
            f"the {cfg.split} split has {len(dataset)} sequences"
        )
    names = _names([run.config.name for run in runs], paths)
    predictors = {name: run.predictor.to(cfg.device) for name, run in zip(names, runs, strict=True)}
    folder = Path(cfg.output) if cfg.output else run_folder(paths[0]) / "predictions"
    title = f"{datamodule.family.name} {cfg.split}"
    written = draw_sequences(
        folder, dataset, predictors, indices, formats=list(cfg.formats), title=title, fps=cfg.fps
    )
    print(f"{len(written)} pictures in {folder}")


def _names(labels: list[str], paths: list[str]) -> list[str]:
    """Labels, told apart by their run directory where two are equal."""
    if len(set(labels)) == len(labels):
        return labels
    return [f"{label} {run_folder(path).name}" for label, path in zip(labels, paths, strict=True)]
