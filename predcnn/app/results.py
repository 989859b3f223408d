"""results.json: every number of a run with what one needs to believe it.

Schema 1, keys: ``schema, name, task, model, params, params_published, macs, macs_published, data
{name, source, protocol, fingerprint, sequences or images, split}, checkpoint {file, step, epoch},
metrics {name: value}, definitions {name: sentence}, seed, command, config_fingerprint, device,
versions, git, timing``. Predictions of video add ``per_frame {name: [one value per lead time]}``
and ``copy_last {the same two}``. Values that are infinite (the PSNR of identical frames) are null.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl

from predcnn.app.files import write_json
from predcnn.app.provenance import git_state, versions
from predcnn.app.task import Task
from predcnn.costs import profile
from predcnn.data.datamodule import SplitDataModule
from predcnn.data.splits import SPLITS

SUFFIX = "_per_frame"


def finite(value: float | list[float]) -> float | list | None:
    """Numbers as JSON knows them: what is infinite or no number becomes None."""
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value if math.isfinite(value) else None


def split_values(values: dict[str, float | list[float]], names: Sequence[str]) -> dict[str, dict]:
    """Scalars and curves of one evaluation, apart, in the order of ``names``."""
    return {
        "metrics": {name: finite(values[name]) for name in names},
        "per_frame": {name: finite(values[name + SUFFIX]) for name in names},
    }


def data_record(datamodule: SplitDataModule, split: str) -> dict:
    """What results.json says of the data, ``split`` being the one that was evaluated."""
    return {
        "name": datamodule.family.name,
        "source": datamodule.source,
        "protocol": datamodule.protocol,
        "fingerprint": datamodule.fingerprint,
        datamodule.unit: {name: len(datamodule.split(name)) for name in SPLITS},
        "split": split,
    }


def collect(
    task: Task,
    module: pl.LightningModule,
    datamodule: SplitDataModule,
    split: str,
    checkpoint: dict,
    run: dict,
) -> dict:
    """All of results.json.

    Args:
        task: what the module does.
        module: after ``trainer.test``.
        datamodule: the data that were tested, ``split`` of them.
        split: "test" or "val".
        checkpoint: file, step and epoch of the evaluated weights.
        run: name, seed, command, config_fingerprint, device, timing.
    """
    costs = profile(module.network, datamodule.in_shape)
    return {
        "schema": 1,
        "name": run["name"],
        "task": task.name,
        "model": module.config,
        "params": costs.params,
        "params_published": costs.params_published,
        "macs": costs.macs,
        "macs_published": costs.macs_published,
        "data": data_record(datamodule, split),
        "checkpoint": checkpoint,
        **task.measured(module),
        "seed": run["seed"],
        "command": run["command"],
        "config_fingerprint": run["config_fingerprint"],
        "device": run["device"],
        "versions": versions(),
        "git": git_state(),
        "timing": run["timing"],
    }


def write_results(folder: Path, results: dict, name: str = "results.json") -> Path:
    """Write the results into ``folder``; returns their path."""
    path = folder / name
    write_json(path, results)
    return path
