"""results.json: every number of a run with what one needs to believe it.

Schema 1, keys: ``schema, name, model, params, params_published, macs, macs_published, data {name,
source, protocol, fingerprint, sequences, split}, checkpoint {file, step, epoch}, metrics {name:
value}, per_frame {name: [one value per lead time]}, copy_last {the same two}, definitions {name:
sentence}, seed, command, config_fingerprint, device, versions, git, timing``. Values that are
infinite (the PSNR of identical frames) are null.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from predcnn.app.files import write_json
from predcnn.app.provenance import git_state, versions
from predcnn.costs import profile
from predcnn.data import SequenceDataModule
from predcnn.data.pools import SPLITS
from predcnn.metrics import definitions
from predcnn.training.prediction import VideoPrediction

SUFFIX = "_per_frame"


def _finite(value: float | list[float]) -> float | list | None:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if math.isfinite(value) else None


def split_values(values: dict[str, float | list[float]], names: Sequence[str]) -> dict[str, dict]:
    """Scalars and curves of one evaluation, apart, in the order of ``names``."""
    return {
        "metrics": {name: _finite(values[name]) for name in names},
        "per_frame": {name: _finite(values[name + SUFFIX]) for name in names},
    }


def data_record(datamodule: SequenceDataModule, split: str) -> dict:
    """What results.json says of the data, ``split`` being the one that was evaluated."""
    return {
        "name": datamodule.family.name,
        "source": datamodule.source,
        "protocol": datamodule.protocol,
        "fingerprint": datamodule.fingerprint,
        "sequences": {name: len(datamodule.split(name)) for name in SPLITS},
        "split": split,
    }


def collect(module: VideoPrediction, data: dict, checkpoint: dict, run: dict) -> dict:
    """All of results.json.

    Args:
        module: after ``trainer.test``.
        data: see ``data_record``.
        checkpoint: file, step and epoch of the evaluated weights.
        run: name, seed, command, config_fingerprint, device, timing.
    """
    costs = profile(module.predictor, module.predictor.in_shape)
    return {
        "schema": 1,
        "name": run["name"],
        "model": module.predictor.config,
        "params": costs.params,
        "params_published": costs.params_published,
        "macs": costs.macs,
        "macs_published": costs.macs_published,
        "data": data,
        "checkpoint": checkpoint,
        **split_values(module.test_results["test"], module.metric_names),
        "copy_last": split_values(module.test_results["copy_last"], module.metric_names),
        "definitions": definitions(module.metric_names),
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
