"""The tables a run prints at its start and, where its results are plain numbers, at its end."""

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from predcnn.app.build import describe_device
from predcnn.app.task import Task
from predcnn.costs import profile
from predcnn.data.datamodule import SplitDataModule


@rank_zero_only
def print_start(
    task: Task,
    module: pl.LightningModule,
    datamodule: SplitDataModule,
    trainer: pl.Trainer,
    run_dir: str,
) -> None:
    """What is trained, on what data, where: so that a wrong run is noticed in its first second."""
    costs = profile(module.network, datamodule.in_shape)
    table = Table(title="predcnn", show_header=False, title_justify="left")
    rows = {
        **task.describe(module),
        "parameters": f"{costs.params:,}",
        "multiply–adds": f"{costs.macs / 1e9:.3f} G {datamodule.one}",
        **datamodule.description,
        "device": describe_device(trainer),
        "run directory": run_dir,
    }
    for key, value in rows.items():
        table.add_row(key, str(value))
    Console().print(table)
    taken = getattr(module.network, "taken_weights", None)
    if taken is not None:
        print(taken)


def show_metrics(results: dict) -> None:
    """The test metrics of results.json, and on what data."""
    data = results["data"]
    unit = "images" if "images" in data else "sequences"
    print(
        f"{results['name']} · {data['name']} {data['split']}, "
        f"{data[unit][data['split']]:,} {unit} · {data['protocol']} · {data['source']}"
    )
    table = Table()
    table.add_column("metric")
    table.add_column("this run", justify="right")
    for name, value in results["metrics"].items():
        table.add_row(name, "inf" if value is None else f"{value:.4f}")
    Console().print(table)
