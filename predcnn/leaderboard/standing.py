"""Ranks, ties and tags of the entries of a board."""

import dataclasses
import math
import statistics
from collections.abc import Collection, Sequence

from predcnn.leaderboard.table import Row

MARGIN = 1.25
"""SSIM and MAE reward predicting black, so an entry is marked and on a Pareto front only if its MSE
is at most this many times the best."""
BLACK = 0.1
"""A prediction whose mean is below this share of the truth's has collapsed to black."""
CONSTANTS = ("mean_frame", "all_black")
"""Baselines that predict one frame for every input."""


def judged(rows: Sequence[Row], black: Collection[str] = ()) -> list[Row]:
    """Add rank, tags and eligibility by MSE to rows that are sorted by it.

    Args:
        rows: of one board.
        black: names of the rows whose prediction collapsed to black.
    """
    tested = [row for row in rows if "mse" in row.values]
    trained = [row for row in tested if row.kind != "baseline"]
    best = min((row.values["mse"].mean for row in trained), default=math.inf)
    baselines = [row for row in tested if row.kind == "baseline" and row.name in CONSTANTS]
    constant = min((row.values["mse"].mean for row in baselines), default=math.inf)
    ranks = _ranks(trained)
    found = []
    for row in rows:
        if row.kind == "baseline" or row.name not in ranks:
            found.append(row)
            continue
        mse, tags = row.values["mse"].mean, ()
        if row.name in black:
            tags = ("collapsed to black",)
        elif mse > constant:
            tags = ("no skill",)
        eligible = mse <= MARGIN * best and not tags
        rank = ranks[row.name]
        found.append(dataclasses.replace(row, rank=rank, tags=tags, eligible=eligible))
    return found


def _ranks(rows: Sequence[Row]) -> dict[str, str]:
    """Return name -> rank; an entry ties with the best of a group whose interval meets its own.

    An interval is mean ± standard deviation over seeds. An entry with one seed takes the pooled
    standard deviation of the entries with several.
    """
    spreads = [row.values["mse"].sd for row in rows if row.values["mse"].sd is not None]
    pooled = math.sqrt(statistics.fmean(sd**2 for sd in spreads)) if spreads else 0.0
    groups: list[list[str]] = []
    upper = -math.inf
    for row in rows:
        value = row.values["mse"]
        spread = pooled if value.sd is None else value.sd
        if value.mean - spread > upper:
            groups.append([])
            upper = value.mean + spread
        groups[-1].append(row.name)
    ranks, above = {}, 0
    for group in groups:
        ranks |= dict.fromkeys(group, f"{above + 1}{'=' if len(group) > 1 else ''}")
        above += len(group)
    return ranks
