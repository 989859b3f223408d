"""Rows of a speed comparison as JSON, as a Markdown table, and as lines on the terminal."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from scripts.dev.speed.comparing import Row


def line(row: Row) -> str:
    """One row for the terminal."""
    share = "" if row.gemm_share is None else f", {row.gemm_share:.0%} of the GEMM peak"
    verdict = "" if row.equal else f"; NOT EQUAL (accepted: {row.tolerance:.0e})"
    return (
        f"{row.name}: {row.ratio:.2f} ± {row.spread:.2f} times as fast "
        f"({row.plain_s * 1e3:.2f} -> {row.ours_s * 1e3:.2f} ms{share}), "
        f"error {row.error:.0e}{verdict}"
    )


def geometric_mean(rows: Sequence[Row]) -> float:
    """Of the ratios."""
    return math.exp(sum(math.log(row.ratio) for row in rows) / len(rows))


def as_json(group: str, rows: Sequence[Row], about: dict) -> dict:
    """Everything measured, and where; an error that is not finite, which JSON lacks, is None."""
    return {
        "group": group,
        **about,
        "geometric_mean": geometric_mean(rows) if rows else None,
        "rows": [
            asdict(row) | {"error": row.error if math.isfinite(row.error) else None} for row in rows
        ],
    }


def as_markdown(content: dict) -> str:
    """The table of one group from `as_json`."""
    head = (
        f"### {content['group']}\n\n{content['device']}; {content['date']}; "
        f"median of {content['rounds']} interleaved rounds, {content['clock']} time; "
        f"GEMM peak {content['gemm_peak'] / 1e9:.0f} G multiply–adds/s; "
        f"{content['kernels']}. Command: `{content['command']}`\n\n"
        "| case | plain, ms | ours, ms | ratio | of GEMM peak | largest error | note |\n"
        "| --- | --: | --: | --: | --: | --: | --- |\n"
    )
    lines = []
    for row in content["rows"]:
        share = "" if row["gemm_share"] is None else f"{row['gemm_share']:.0%}"
        error = "not finite" if row["error"] is None else f"{row['error']:.0e}"
        equal = row["error"] is not None and row["error"] <= row["tolerance"]
        lines.append(
            f"| {row['name']} | {row['plain_s'] * 1e3:.2f} | {row['ours_s'] * 1e3:.2f} | "
            f"{row['ratio']:.2f} ± {row['spread']:.2f} | {share} | "
            f"{error}{'' if equal else ' (not equal)'} | {row['note']} |"
        )
    if len(lines) > 1:
        lines.append(f"| geometric mean | | | {content['geometric_mean']:.2f} | | | |")
    return head + "\n".join(lines) + "\n"
