"""The page of all commands: the settings that ``--help`` lists, and the options of each group."""

from collections.abc import Iterable
from pathlib import Path

from predcnn.app.help import groups, header, reference

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
INTRODUCTION = """# Command reference

Generated from the comments in `configs/`, like `predcnn COMMAND --help`.
[Configuration](../get-started/configuration.md) explains overrides and groups.
"""


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


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Render rows as a Markdown table; the first column is code."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for first, *others in rows:
        cells = [f"`{first}`", *map(_escaped, others)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def command_reference(commands: Iterable[str]) -> str:
    """Return the page: examples, groups and settings of each command, then all groups."""
    parts, every = [INTRODUCTION], set()
    for command in commands:
        summary, examples = header(command)
        chosen = [name for name in groups(command) if (CONFIGS / name).is_dir()]
        every |= set(chosen)
        links = (f"[`{name}`](#group-{name})" for name in chosen)
        shown = "\n".join(example for example in examples if example.strip())
        parts += [f"## predcnn {command}\n", _escaped(summary) + "\n"]
        parts += [f"```bash\n{shown}\n```\n"] if shown else []
        parts += [f"Groups: {', '.join(links)}.\n"] if chosen else []
        parts += [table(("override", "default", "explanation"), reference(command))]
    for group in sorted(every):
        files = sorted((CONFIGS / group).rglob("*.yaml"))
        names = (path.relative_to(CONFIGS / group).with_suffix("").as_posix() for path in files)
        rows = [(f"{group}={name}", heading(path)) for name, path in zip(names, files, strict=True)]
        parts += [f"## Group `{group}` {{ #group-{group} }}\n", table(("option", "what"), rows)]
    return "\n".join(parts)


def _escaped(text: str) -> str:
    for character, safe in (("<", "&lt;"), ("|", "\\|"), ("*", "\\*"), ("_", "\\_")):
        text = text.replace(character, safe)
    return text
