"""Settings of the commands with their defaults and comments, read from ``configs/**/*.yaml``."""

from collections.abc import Iterator
from pathlib import Path

import yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GROUPS = {
    "train": "data model translator objective scale optimizer scheduler trainer callbacks logger",
    "train_backbone": "data loss optimizer scheduler trainer callbacks logger",
    "pretrain_backbone": "method optimizer scheduler trainer callbacks logger",
}
"""Groups whose files a command chooses from."""


def settings(path: Path, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (override, default, explanation) of every setting in a configuration file."""
    text = path.read_text(encoding="utf-8")
    if "@package _global_" in text:
        prefix = ""
    root = yaml.compose(text)
    if root is not None:
        yield from _walk(root, prefix, text)


def _walk(node: yaml.MappingNode, prefix: str, text: str) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        name = prefix + str(key.value)
        if key.value in ("defaults", "_target_", "_convert_", "_partial_"):
            continue
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _walk(value, f"{name}.", text)
            continue
        start, end = value.start_mark.index, value.end_mark.index
        rest = text[end:].partition("\n")[0]
        yield name, text[start:end].strip(), rest.partition("# ")[2].strip()


def heading(path: Path) -> str:
    """Return the comment at the top of a configuration file as one paragraph."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def table(rows: Iterator[tuple[str, str, str]]) -> str:
    """Render settings as a Markdown table."""
    lines = ["| override | default | explanation |", "| --- | --- | --- |"]
    for row in rows:
        override, default, explanation = (cell.replace("|", "\\|") for cell in row)
        lines.append(f"| `{override}` | `{default or 'null'}` | {explanation} |")
    return "\n".join(lines)


def command_reference(commands: dict[str, str]) -> str:
    """Return the page of all commands: their settings, then the files of their groups."""
    parts = [
        "# Command reference\n\nGenerated from the comments in `configs/`. "
        "`predcnn COMMAND --help` prints the same settings. "
        "[Configuration](../get-started/configuration.md) explains overrides and groups.\n"
    ]
    for command, purpose in commands.items():
        path = CONFIGS / f"{command}.yaml"
        parts += [f"## predcnn {command}\n", f"{purpose[0].upper()}{purpose[1:]}.\n"]
        parts += [table(settings(path)) + "\n"]
        if groups := GROUPS.get(command):
            links = (f"[`{group}`](#group-{group})" for group in groups.split())
            parts += [f"Groups: {', '.join(links)}.\n"]
    for group in dict.fromkeys(" ".join(GROUPS.values()).split()):
        parts += [f"## Group `{group}` {{ #group-{group} }}\n"]
        for path in sorted((CONFIGS / group).glob("*.yaml")):
            parts += [f"### `{group}={path.stem}`\n", _escaped(heading(path)) + "\n"]
            rows = list(settings(path, f"{group}."))
            if rows:
                parts += [table(iter(rows)) + "\n"]
    return "\n".join(parts)


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
