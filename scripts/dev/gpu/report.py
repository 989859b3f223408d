"""report.json and report.md, written by rename so that a reader never sees half a file."""

import json
import math
from pathlib import Path

from predcnn.files import write_json, write_text
from scripts.dev.gpu.stage import shown


def write(folder: Path, about: dict, stages: list[dict]) -> None:
    """Write both files from what the check has found so far."""
    content = _finite({"about": about, "stages": stages})
    write_json(folder / "report.json", content)
    write_text(folder / "report.md", as_markdown(content))


def read(folder: Path) -> dict:
    """The report of an earlier check."""
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_markdown(content: dict) -> str:
    """One table a stage; columns are the keys of its rows."""
    lines = ["# GPU check", ""]
    lines += [f"- {key}: {shown(value)}" for key, value in content["about"].items()]
    for stage in content["stages"]:
        lines += ["", f"## {stage['stage']}", ""]
        lines += [f"{stage['took_s']:.0f} s of {stage['share_s']} s.", ""]
        lines += _table(stage["rows"])
        if stage["not_run"]:
            lines += ["", f"Not run: {', '.join(stage['not_run'])}."]
    return "\n".join(lines) + "\n"


def _table(rows: list[dict]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ["Nothing was run."]
    body = [[shown(row.get(key, "")).replace("|", "\\|") for key in columns] for row in rows]
    head = [columns, ["---"] * len(columns)]
    return [f"| {' | '.join(cells)} |" for cells in [*head, *body]]
