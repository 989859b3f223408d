"""The content of results.json (docs/reference/results.md), and the tables that a run prints."""

from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from predcnn.app.build import describe_device
from predcnn.app.provenance import git_state, versions
from predcnn.cores import strict_settings
from predcnn.costs import profile
from predcnn.data.datamodule import SplitDataModule
from predcnn.data.splits import SPLITS
from predcnn.files import finite
from predcnn.training.module import TrainingModule

COUNTS = ("params", "params_published", "macs", "macs_published")
BASELINES = {"copy_last": "repeating the last frame", "mean_frame": "the mean training frame"}


def collect(
    trainer: pl.Trainer,
    module: TrainingModule,
    datamodule: SplitDataModule,
    split: str,
    checkpoint: dict,
    command: str,
    timing: dict,
) -> dict:
    """Return results.json after a test on ``split``; ``checkpoint``: file, step and epoch."""
    costs, run = profile(module.network, datamodule.in_shape), module.run_description
    return {
        "schema": 1,
        "name": run["name"],
        "seed": run["seed"],
        "command": command,
        "config_fingerprint": run.get("config_fingerprint"),
        "device": describe_device(trainer),
        "timing": timing,
        "task": module.task,
        "model": module.config,
        **{key: getattr(costs, key) for key in COUNTS},
        "data": {
            "name": datamodule.family.name,
            "source": datamodule.source,
            "protocol": datamodule.protocol,
            "fingerprint": datamodule.fingerprint,
            datamodule.unit: {name: len(datamodule.split(name)) for name in SPLITS},
            "split": split,
            **({"scale": units.scale.as_dict()} if (units := datamodule.units) else {}),
        },
        "checkpoint": checkpoint,
        **finite(module.results()),
        "deterministic": strict_settings(),
        "versions": versions(),
        "git": git_state(),
    }


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
    """Compare a run with the baselines, in one sentence; None without errors to compare."""
    found = {text: results[key]["metrics"] for key, text in BASELINES.items() if key in results}
    compared = [n for n in ("mse", "rmse", "mae") if results["metrics"].get(n) is not None]
    name = next((n for n in compared if any(e.get(n) for e in found.values())), None)
    if name is None:
        return None
    ratios = {t: results["metrics"][name] / e[name] for t, e in found.items() if e.get(name)}
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
