"""A published recipe run as published, and whether its result comes out."""

from pathlib import Path

from omegaconf import DictConfig, open_dict

from predcnn.app.benchmarking.entries import Entry, entries_of, key_of, kind_of
from predcnn.app.benchmarking.processes import locked
from predcnn.app.benchmarking.running import Bench, now, pace_of, run_entry
from predcnn.app.benchmarking.schedule import own_steps
from predcnn.app.console import say
from predcnn.costs import describe_device
from predcnn.leaderboard import records
from predcnn.leaderboard.published import Published, published_rows
from predcnn.leaderboard.verdict import verdict

RECIPE = (
    "scale=published",
    "data.protocol=openstl",
    "metrics=[mse,mae,ssim,ssim_openstl,psnr]",
)
"""What the published numbers were made with; the words of the command line come after."""


def reproduce(bench: Bench, cfg: DictConfig) -> None:
    """Run the recipe that the words name and hold its result against the published one.

    Where the measured pace says that it would take more than ``max_hours``, it says so and stops.

    Raises:
        ValueError: no such result is published, or lists of entries are given.
    """
    if cfg.translators or cfg.models or cfg.budget_minutes is not None:
        raise ValueError(
            "mode=reproduce runs one published recipe: translator=… or model=…, data=… and "
            "trainer.max_epochs=…, without translators, models and budget_minutes"
        )
    said = {key_of(str(word)) for word in cfg.words}
    with open_dict(cfg):
        cfg.words = [*(word for word in RECIPE if key_of(word) not in said), *cfg.words]
    (entry, *more) = entries_of(cfg)
    if more:
        raise ValueError(f"mode=reproduce runs one seed, not seeds={list(cfg.seeds)}")
    row = _published(entry)
    say(
        f"published: {row.label}, {row.epochs} epochs: MSE {row.mse}, SSIM {row.ssim} ({row.table})"
    )
    if not _affordable(bench, entry, cfg.max_hours):
        return
    record = run_entry(bench, entry)
    if record["status"] == "failed":
        say(f"failed: {record['reason']}")
        return
    _judge(bench, record, row, cfg.tolerance)


def _published(entry: Entry) -> Published:
    kind, name = kind_of(entry.cfg)
    data, epochs = entry.cfg.data.name, entry.cfg.trainer.max_epochs
    same = [r for r in published_rows() if (r.kind, r.name, r.data) == (kind, name, data)]
    for row in same:
        if row.epochs == epochs:
            return row
    lengths = ", ".join(str(row.epochs) for row in same)
    raise ValueError(
        f"no result of {name} on {data} after {epochs} epochs is published"
        + (f"; published: {lengths} epochs" if same else "")
    )


def _affordable(bench: Bench, entry: Entry, max_hours: float) -> bool:
    folder = Path(bench.output) / "probes"
    with locked(folder / f"{entry.name}_{entry.pace_key[:12]}.lock") as lock:
        pace = pace_of(bench, entry, folder / f"{entry.name}.log", lock, None)
    steps = own_steps(entry.cfg)
    hours = steps * pace["seconds_per_step"] / 3600
    say(
        f"measured: {pace['seconds_per_step']:.2f} s a step of {entry.cfg.data.batch_size} "
        f"sequences on {describe_device(pace['device'])}; {steps:,} steps take "
        f"{_duration(hours)}, validation and test not counted"
    )
    if hours <= max_hours:
        return True
    say(
        f"that is more than max_hours={max_hours:g}, so nothing was trained. To train it in that "
        f"time takes a device {hours / max_hours:,.0f} times as fast "
        f"({entry.cfg.data.batch_size * steps / (3600 * max_hours):,.0f} training sequences/s); "
        "raise max_hours=… to run it here all the same: it can be stopped and continued"
    )
    return False


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"


def _judge(bench: Bench, record: dict, row: Published, tolerance: float) -> None:
    results = record["results"]
    checks = verdict(results["metrics"], row, tolerance)
    for check in checks:
        say(
            f"{check.metric}: {check.ours:.4g}, published {check.published:.4g} ± "
            f"{check.allowed:.3g}: {'within' if check.within else 'NOT within'} tolerance"
        )
    reproduced = all(check.within for check in checks)
    say(f"test data: {results['data']['source']}, protocol {results['data']['protocol']}")
    say("reproduced" if reproduced else "not reproduced")
    records.append(
        bench.records,
        {
            "kind": "reproduction",
            "fingerprint": record["fingerprint"],
            "reproduced": reproduced,
            "checks": [vars(check) for check in checks],
            "published": vars(row),
            "recorded": now(),
        },
    )
