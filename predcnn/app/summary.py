"""The tables a run prints: what it is at the start, what it reached at the end."""

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from predcnn.app.build import describe_device
from predcnn.costs import profile
from predcnn.training.prediction import VideoPrediction


@rank_zero_only
def print_start(
    module: VideoPrediction, datamodule: pl.LightningDataModule, trainer: pl.Trainer, run_dir: str
) -> None:
    """What is trained, on what data, where: so that a wrong run is noticed in its first second."""
    predictor = module.predictor
    costs = profile(predictor, predictor.in_shape)
    table = Table(title="predcnn", show_header=False, title_justify="left")
    config = predictor.config
    rows = {
        "model": config["name"],
        "translator": config.get("translator", "–"),
        "parameters": f"{costs.params:,}",
        "multiply–adds": f"{costs.macs / 1e9:.3f} G a sequence",
        **{key: str(value) for key, value in datamodule.description.items()},
        "device": describe_device(trainer),
        "run directory": run_dir,
    }
    for key, value in rows.items():
        table.add_row(key, str(value))
    Console().print(table)
    if predictor.taken_weights is not None:
        print(predictor.taken_weights)


@rank_zero_only
def print_results(results: dict) -> None:
    """Test metrics beside those of repeating the last frame."""
    data = results["data"]
    title = (
        f"{results['name']} · {data['name']} {data['split']}, "
        f"{data['sequences'][data['split']]:,} sequences · protocol {data['protocol']} · "
        f"{data['source']}"
    )
    print(title)
    table = Table()
    table.add_column("metric")
    table.add_column("this run", justify="right")
    table.add_column("copy last", justify="right")
    for name, value in results["metrics"].items():
        other = results["copy_last"]["metrics"][name]
        table.add_row(name, *("inf" if v is None else f"{v:.4f}" for v in (value, other)))
    Console().print(table)
