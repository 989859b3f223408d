"""What models cost without training them, beside the published costs.

``python -m predcnn.app.benchmarking.costing costs.json 1,16 translator=van …`` is what the
benchmark starts for each, in a process of its own: what kills it ends one entry only.
"""

import json
import sys
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

import predcnn
from predcnn.app.benchmarking.entries import (
    choices,
    compose_run,
    joint,
    kind_of,
    train_words,
)
from predcnn.app.benchmarking.measuring import inference_costs
from predcnn.app.benchmarking.processes import EntryError, locked, run_module
from predcnn.app.benchmarking.running import Bench, now
from predcnn.app.console import say
from predcnn.app.files import write_json, write_text
from predcnn.app.provenance import plain
from predcnn.costs import describe_device
from predcnn.leaderboard import records
from predcnn.leaderboard.code_version import code_version
from predcnn.leaderboard.costs import (
    Costs,
    costs_of,
    csv_costs,
    markdown_costs,
    terminal_costs,
)
from predcnn.leaderboard.published import source

NOTES = (
    "params: with the parameters that the published code has and never uses. FLOPs: multiply–adds "
    "of one sequence by the counting rules of the published tables; MACs: the complete count of "
    "convolutions, linear maps and matrix products.",
    "difference: ours minus published, = within the rounding of the published number (0.05).",
    "seq/s: eval mode after warm-up, random input; memory: peak of one pass of the largest batch.",
)


def profile_all(bench: Bench, cfg: DictConfig, folder: Path) -> None:
    """Count and measure every chosen translator and model; all of them if none is named.

    The size is ``scale=published`` unless the words say another. What was measured before on this
    device with this code is not measured again.
    """
    words = train_words(cfg)
    if not any(word.startswith("scale=") for word in words):
        words.append("scale=published")
    known = records.newest(records.read(bench.records).rows, "costs")
    found = []
    for choice in choices(cfg, words, everything=True):
        record = _record(bench, [*words, *choice], known)
        found.append(costs_of(record))
        say(f"{found[-1].name}: {found[-1].failure or 'done'}")
    scale = compose_run(words).scale.name
    _write(found, f"Costs, scale {scale}, {cfg.data.name}, on {describe_device()}", folder)


def _record(bench: Bench, words: list[str], known: dict[str, dict]) -> dict:
    run = compose_run(words)
    kind, name = kind_of(run)
    identity = json.dumps([plain(run)["model"]["net"], list(bench.batch_sizes)], sort_keys=True)
    fingerprint = joint(identity, code_version(), describe_device())
    if known.get(fingerprint, {}).get("status") == "finished":
        return known[fingerprint]
    place = bench.output / "costs" / f"{name}_{fingerprint[:12]}.json"
    record = {
        "kind": "costs",
        "fingerprint": fingerprint,
        "code": code_version(),
        "name": name,
        "kind_of_entry": kind,
        "data": run.data.name,
        "scale": run.scale.name,
        "in_shape": list(plain(run)["data"]["in_shape"]),
        "recorded": now(),
    }
    sizes = ",".join(map(str, bench.batch_sizes))
    log = place.with_suffix(".log")
    try:
        with locked(place.with_suffix(".lock")) as lock:
            run_module(__name__, [str(place), sizes, *words], log, lock, None)
        record |= {"status": "finished", **json.loads(place.read_text())}
    except EntryError as error:
        record |= {"status": "failed", "reason": str(error)}
    records.append(bench.records, record)
    return record


def _write(rows: list[Costs], title: str, folder: Path) -> None:
    console = Console(width=None if Console().is_terminal else 200)
    console.print(terminal_costs(rows, title))
    write_text(folder / "costs.md", markdown_costs(rows, title, [*NOTES, f"Published: {source()}"]))
    write_text(folder / "costs.csv", csv_costs(rows))
    say(f"written: {folder}/costs.md, .csv")


def cost(words: list[str], batch_sizes: list[int]) -> dict:
    """Counts and measurements of the predictor that the words name."""
    cfg = compose_run(words)
    torch.manual_seed(0)
    predictor = instantiate(cfg.model.net)
    if cfg.channels_last:
        predictor.to(memory_format=torch.channels_last)
    if hasattr(predictor, "fit"):  # its costs do not depend on what it was fitted to
        predictor.fit([torch.zeros(1, *predictor.in_shape)])
    counted = predcnn.profile(predictor, predictor.in_shape)
    return {
        "params": counted.params,
        "params_published": counted.params_published,
        "macs": counted.macs,
        "macs_published": counted.macs_published,
        **inference_costs(predictor, batch_sizes, cfg.trainer.accelerator),
    }


def main() -> None:
    """Write the costs of what the words name."""
    target, sizes, *words = sys.argv[1:]
    write_json(Path(target), cost(words, [int(size) for size in sizes.split(",") if size]))


if __name__ == "__main__":
    main()
