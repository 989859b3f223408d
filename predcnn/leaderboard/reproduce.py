"""Reproduction of one published recipe, and whether its result is within tolerance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from omegaconf import DictConfig, open_dict

from predcnn.costs import describe_device
from predcnn.files import only_writer
from predcnn.leaderboard import records
from predcnn.leaderboard.entries import Entry, entries_of, key_of, kind_of
from predcnn.leaderboard.processes import say
from predcnn.leaderboard.published import Published, published, published_of
from predcnn.leaderboard.runs import Bench, now, pace_of, run_entry
from predcnn.training.budget import own_steps

RECIPE = ("scale=published", "data.protocol=openstl", "metrics=[mse,mae,ssim,ssim_openstl,psnr]")
"""Settings of the published numbers; the command line may override them."""
TOLERANCES = {"mse": ("mse", None), "mae": ("mae", None), "ssim_openstl": ("ssim", 0.005),
              "psnr": ("psnr", 0.3)}  # fmt: skip
"""Our metric -> the published one and the accepted difference; None: relative."""


@dataclass(frozen=True)
class Check:
    """One metric: our value, the published one, and whether they agree."""

    metric: str
    ours: float
    published: float
    allowed: float
    within: bool


def compare(metrics: Mapping[str, float], row: Published, tolerance: float) -> list[Check]:
    """Compare every published metric that was measured; better than published is accepted.

    Published numbers are the best of several trials, chosen on the test set.
    """
    checks = []
    for metric, (theirs, absolute) in TOLERANCES.items():
        ours, value = metrics.get(metric), getattr(row, theirs)
        if ours is None or value is None:
            continue
        allowed = tolerance * value if absolute is None else absolute
        within = ours <= value + allowed if absolute is None else ours >= value - allowed
        checks.append(Check(metric, ours, value, allowed, within))
    return checks


def reproduce(bench: Bench, cfg: DictConfig) -> None:
    """Run a published recipe and compare its result, if it takes at most ``max_hours``."""
    if cfg.translators or cfg.models or cfg.budget_minutes is not None:
        raise ValueError(
            "mode=reproduce runs one published recipe: translator=… or model=…, data=… and "
            "trainer.max_epochs=…, without translators, models and budget_minutes"
        )
    given = {key_of(str(override)) for override in cfg.overrides}
    with open_dict(cfg):
        cfg.overrides = [*(part for part in RECIPE if key_of(part) not in given), *cfg.overrides]
    entry, *more = entries_of(cfg)
    if more:
        raise ValueError(f"mode=reproduce runs one seed, not seeds={list(cfg.seeds)}")
    row = _published(entry)
    found = f"MSE {row.mse}, SSIM {row.ssim} ({row.table})"
    say(f"published: {row.label}, {row.epochs} epochs: {found}")
    if _affordable(bench, entry, cfg.max_hours):
        record = run_entry(bench, entry)
        if record["status"] == "failed":
            say(f"failed: {record['reason']}")
        else:
            _judge(bench, record, row, cfg.tolerance)


def _published(entry: Entry) -> Published:
    (kind, name), data = kind_of(entry.cfg), entry.cfg.data.name
    epochs = entry.cfg.trainer.max_epochs
    if row := published(kind, name, data, epochs):
        return row
    lengths = ", ".join(str(row.epochs) for row in published_of(kind, name, data))
    raise ValueError(
        f"no result of {name} on {data} after {epochs} epochs is published"
        + (f"; published: {lengths} epochs" if lengths else "")
    )


def _affordable(bench: Bench, entry: Entry, max_hours: float) -> bool:
    folder = bench.output / "probes" / f"{entry.name}_{entry.pace_key[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder, timeout=-1):
        pace = pace_of(bench, entry, folder / "log.txt", None)
    steps, batch = own_steps(entry.cfg), entry.cfg.data.batch_size
    hours = steps * pace["seconds_per_step"] / 3600
    duration = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    say(
        f"measured: {pace['seconds_per_step']:.2f} s a step of {batch} sequences on "
        f"{describe_device(pace['device'])}; {steps:,} steps take {duration}"
    )
    if hours > max_hours:
        rate = batch * steps / (3600 * max_hours)
        needed = f"{rate:,.0f} training sequences/s or a larger max_hours"
        say(f"longer than max_hours={max_hours:g}: nothing was trained; it needs {needed}")
    return hours <= max_hours


def _judge(bench: Bench, record: dict, row: Published, tolerance: float) -> None:
    results = record["results"]
    checks = compare(results["metrics"], row, tolerance)
    for check in checks:
        say(
            f"{check.metric}: {check.ours:.4g}, published {check.published:.4g} ± "
            f"{check.allowed:.3g}: {'within' if check.within else 'NOT within'} tolerance"
        )
    reproduced = all(check.within for check in checks)
    say(f"test data: {results['data']['source']}, protocol {results['data']['protocol']}")
    say("reproduced" if reproduced else "not reproduced")
    about = {"kind": "reproduction", "fingerprint": record["fingerprint"], "recorded": now()}
    outcome = {"reproduced": reproduced, "checks": [asdict(check) for check in checks]}
    records.append(bench.records, {**about, **outcome, "published": asdict(row)})
