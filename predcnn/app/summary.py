"""The tables that a run prints at its start and at its end."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from predcnn.app.build import describe_device
from predcnn.costs import profile
from predcnn.data.datamodule import SplitDataModule
from predcnn.training.module import TrainingModule


@rank_zero_only
def print_start(
    module: TrainingModule, datamodule: SplitDataModule, trainer: pl.Trainer, run_dir: Path
) -> None:
    """Print model, data and device, so that a wrong choice is noticed before the first step."""
    costs = profile(module.network, datamodule.in_shape)
    table = Table(title="predcnn", show_header=False, title_justify="left")
    rows = {
        **module.describe(),
        "parameters": f"{costs.params:,}",
        "multiply–adds": f"{costs.macs / 1e9:.3f} G {datamodule.one}",
        **datamodule.description,
        "device": describe_device(trainer),
        "run directory": run_dir,
    }
    for key, value in rows.items():
        table.add_row(key, str(value))
    Console().print(table)
    loaded = getattr(module.network, "taken_weights", None)
    if loaded is not None:
        print(loaded)


def verdict(results: dict) -> str | None:
    """Compare a run with repeating the last frame, in one sentence; None without both errors."""
    copy = results.get("copy_last", {}).get("metrics", {})
    name = next((name for name in ("mse", "rmse", "mae") if copy.get(name)), None)
    ours = None if name is None else results["metrics"].get(name)
    if ours is None:
        return None
    ratio = ours / copy[name]
    if ratio < 1:
        return f"better than repeating the last frame: {name} is {1 - ratio:.0%} lower"
    if ratio == 1:
        return f"as good as repeating the last frame: {name} is the same"
    advice = "train longer"
    if results["model"].get("residual") is False:
        advice += " or try model.net.residual=true"
    return f"worse than repeating the last frame: {name} is {ratio - 1:.0%} higher; {advice}"


def print_results(results: dict) -> None:
    """Print the metrics of results.json, next to the copy-last baseline where there is one."""
    data = results["data"]
    unit = "images" if "images" in data else "sequences"
    protocol = data["protocol"] if unit == "images" else f"protocol {data['protocol']}"
    print(
        f"{results['name']} · {data['name']} {data['split']}, "
        f"{data[unit][data['split']]:,} {unit} · {protocol} · {data['source']}"
    )
    columns = {"this run": results["metrics"]}
    if "copy_last" in results:
        columns["copy last"] = results["copy_last"]["metrics"]
    table = Table()
    table.add_column("metric")
    for title in columns:
        table.add_column(title, justify="right")
    for name in results["metrics"]:
        values = [values[name] for values in columns.values()]
        unknown = (
            "inf" if name == "psnr" else "–"
        )  # of identical frames; of no valid pixel or event
        table.add_row(name, *(unknown if value is None else f"{value:.4f}" for value in values))
    Console().print(table)
    sentence = verdict(results)
    if sentence is not None:
        print(sentence)
