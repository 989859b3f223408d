"""Robustness: networks trained on clean sequences, tested with noise on their past frames.

The noises are those of OpenSTL's noisy Moving MNIST (`predcnn.data.generated.noise`).
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from predcnn.files import digest
from predcnn.leaderboard import records
from predcnn.leaderboard.boards import REFERENCES
from predcnn.leaderboard.entries import key_of
from predcnn.leaderboard.names import name_of
from predcnn.leaderboard.processes import EVALUATE, run_child, say
from predcnn.leaderboard.protocol import DATA
from predcnn.leaderboard.runs import Bench, now
from predcnn.leaderboard.table import Column, Row, Table, Value, escaped, scaled
from predcnn.predictors.checkpoint import weights_file

CLEAN = "clean"
SHOWN = {"mse": ("MSE", 2, False), "ssim": ("SSIM", 4, True)}
ABOUT = {
    CLEAN: "Without noise.",
    "perceptual": "A black square of 24×24 pixels in every past frame.",
    "missing": "Every past frame is black with a probability of 20 %.",
    "dynamic": "The direction of every digit changes at random in every past frame.",
}


def measure_robustness(bench: Bench, cfg: DictConfig) -> None:
    """Test every network of ``checkpoints`` without and with each noise, and record it."""
    if not cfg.checkpoints:
        raise ValueError(
            "mode=robustness: give checkpoints=[…], runs or weights trained without noise"
        )
    data = [str(o) for o in cfg.overrides if key_of(str(o)).startswith("data.")]
    known = records.newest(records.read(bench.records).rows, "robustness")
    for path in map(str, cfg.checkpoints):
        fingerprint = hashlib.sha256(repr((digest(weights_file(path)), data)).encode()).hexdigest()
        if fingerprint not in known:
            records.append(bench.records, _tested(bench, path, data, fingerprint))
            say(f"tested with each noise: {path}")


def _tested(bench: Bench, path: str, data: Sequence[str], fingerprint: str) -> dict:
    found = {}
    for test in ABOUT:
        with tempfile.TemporaryDirectory() as folder:
            noise = "null" if test == CLEAN else test
            arguments = [f"ckpt_path={path}", *data, f"data.noise={noise}", f"output={folder}"]
            run_child(EVALUATE, arguments, bench.output / "robustness.txt")
            (file,) = Path(folder).glob("*.json")
            found[test] = json.loads(file.read_text(encoding="utf-8"))
    first = found[CLEAN]
    kind = "translator" if first["model"].get("translator") else "model"
    keys = ("metrics", "per_frame", "copy_last")
    return {
        "kind": "robustness",
        "fingerprint": fingerprint,
        "name": first["name"],
        "kind_of_entry": kind,
        "weights": path,
        "data": {key: first["data"][key] for key in ("name", "source", "protocol", "sequences")},
        "tests": {test: {key: results[key] for key in keys} for test, results in found.items()},
        "git": first["git"],
        "recorded": now(),
    }


@dataclass(frozen=True)
class Robustness:
    """A row per network, a column per noise and metric, and the protocol in sentences."""

    key: str  # a slug
    table: Table
    protocol: tuple[str, ...]

    def markdown(self) -> str:
        sentences = "".join(f"- {escaped(sentence)}\n" for sentence in self.protocol)
        return f"\n## {escaped(self.table.title)}\n\n{self.table.markdown()}\n\n{sentences}"


def robustness_of(rows: Iterable[dict]) -> list[Robustness]:
    """Return the newest tests of every network: a table per test set, best without noise first."""
    groups: dict[tuple, list[dict]] = {}
    for record in records.newest(rows, "robustness").values():
        data = record["data"]
        key = (data["name"], data["protocol"], data["source"], data["sequences"]["test"])
        groups.setdefault(key, []).append(record)
    return [_table(f"robustness-{i}", found) for i, found in enumerate(groups.values(), start=1)]


def _table(key: str, found: Sequence[dict]) -> Robustness:
    found = sorted(found, key=lambda record: _mse(record["tests"][CLEAN]))
    lines = []
    for record in found:
        kind, values = record["kind_of_entry"], _values(record["tests"])
        label = name_of(record["name"], kind).label
        lines.append(Row(record["fingerprint"], label, kind, values, eligible=True))
    copies = {test: results["copy_last"] for test, results in found[0]["tests"].items()}
    lines.append(Row("copy_last", REFERENCES["copy_last"], "baseline", _values(copies)))
    columns = [
        Column(f"{metric} {test}", f"{heading}, {test}", scaled(1, digits), higher, about)
        for metric, (heading, digits, higher) in SHOWN.items()
        for test, about in ABOUT.items()
    ]
    data = found[0]["data"]
    protocol = (
        "Evaluation only: the networks were trained on sequences without noise. The noise is on "
        "the past frames of the test sequences; the truth has none. How long each was "
        "trained is in its model card or run.",
        f"Data: {data['source']}, protocol {data['protocol']}, {data['sequences']['test']:,} test "
        "sequences, the same for every network.",
        *(f"{test}: {about}" for test, about in ABOUT.items()),
    )
    name = DATA.get(data["name"], data["name"])
    return Robustness(key, Table(f"{name} with noise on the past frames", columns, lines), protocol)


def _mse(results: Mapping) -> float:
    mse = results["metrics"].get("mse")
    return math.inf if mse is None else mse


def _values(tests: Mapping[str, Mapping]) -> dict[str, Value]:
    return {
        f"{metric} {test}": Value(results["metrics"][metric])
        for metric in SHOWN
        for test, results in tests.items()
        if results["metrics"].get(metric) is not None
    }
