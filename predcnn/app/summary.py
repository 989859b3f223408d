"""The tables that a run prints at its start and at its end."""

from collections.abc import Mapping
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


BASELINES = {"copy_last": "repeating the last frame", "mean_frame": "the mean training frame"}


def verdict(results: dict) -> str | None:
    """Compare a run with the baselines, in one sentence; None without errors to compare."""
    found = {text: results[key]["metrics"] for key, text in BASELINES.items() if key in results}
    for name in ("mse", "rmse", "mae"):
        ours = results["metrics"].get(name)
        ratios = (
            {text: ours / e[name] for text, e in found.items() if e.get(name)}
            if ours is not None
            else {}
        )
        if ratios:
            break
    else:
        return None
    hardest = max(ratios, key=ratios.get)
    ratio = ratios[hardest]
    if ratio < 1:
        lower = " and ".join(f"{1 - r:.0%} lower than {text}" for text, r in ratios.items())
        return f"better than the baselines: {name} is {lower}"
    if ratio == 1:
        return f"as good as {hardest}: {name} is the same"
    advice = "train longer"
    if results["model"].get("residual") is False and hardest == BASELINES["copy_last"]:
        advice += " or try model.net.residual=true"
    return f"worse than {hardest}: {name} is {ratio - 1:.0%} higher; {advice}"


def print_results(results: dict) -> None:
    """Print the metrics of results.json, next to the baselines where there are any."""
    data = results["data"]
    unit = "images" if "images" in data else "sequences"
    protocol = data["protocol"] if unit == "images" else f"protocol {data['protocol']}"
    print(
        f"{results['name']} · {data['name']} {data['split']}, "
        f"{data[unit][data['split']]:,} {unit} · {protocol} · {data['source']}"
    )
    columns = {"this run": results["metrics"]}
    for key in BASELINES:
        if key in results:
            columns[key.replace("_", " ")] = results[key]["metrics"]
    table = Table()
    table.add_column("metric")
    for title in columns:
        table.add_column(title, justify="right")
    for name in results["metrics"]:
        table.add_row(name, *(_number(name, values) for values in columns.values()))
    Console().print(table)
    sentence = verdict(results)
    if sentence is not None:
        print(sentence)


def _number(name: str, values: Mapping[str, float | None]) -> str:
    """Return a value of a table; "–": no valid pixel or event, "inf": identical frames."""
    if values[name] is not None:
        return f"{values[name]:.4f}"
    return "inf" if name == "psnr" and values.get("mse", 0) is not None else "–"
