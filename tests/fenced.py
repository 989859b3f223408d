"""Fenced code of the README and the documentation, and a check of each command line in it."""

import configparser
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_module

from predcnn.app.cli import COMMANDS
from predcnn.app.overrides import readable

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "datasets/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"(?:<!-- ([^>]*?) -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:predcnn|python scripts/\w+\.py) [^`]*)`")
PLACEHOLDER = re.compile(r"…|\b(?:NAME|COMMAND|OVERRIDE)\b")
RECORD = r"""exec 3>&1 >/dev/null
PATH=/nowhere
command_not_found_handle() { printf -v call '%s\x1f' "$@"; printf '%s\x1e' "$call" >&3; }
"""
"""A shell that writes down the commands it is given instead of calling them."""
LAUNCHERS = ("srun", "torchrun")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the comment in front of it, its language and its text."""

    page: str
    mark: str
    language: str
    text: str

    @property
    def needs(self) -> str:
        """What a test machine lacks for it, "" if nothing."""
        return self.mark.partition("needs: ")[2]


def blocks(language: str) -> list[Block]:
    """Return all fenced blocks of a language in the README and the documentation."""
    found = []
    for path in PAGES:
        page = path.relative_to(ROOT).as_posix()
        for mark, name, text in FENCE.findall(path.read_text(encoding="utf-8")):
            if name == language:
                found.append(Block(page, mark, name, text))
    return found


def commands() -> list[tuple[str, tuple[str, ...]]]:
    """Return (page, arguments) of every command in shell blocks and in inline code."""
    found = [(block.page, words) for block in blocks("bash") for words in expanded(block.text)]
    for path in PAGES:
        page = path.relative_to(ROOT).as_posix()
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for line in INLINE.findall(text):
            if not PLACEHOLDER.search(line):
                found += [(page, words) for words in expanded(line)]
    first = {words: page for page, words in reversed(found)}
    return sorted((page, words) for words, page in first.items())  # pipelines have no order


def expanded(text: str) -> list[tuple[str, ...]]:
    """Return the commands of a shell text as bash would call them, without calling any."""
    done = subprocess.run(["bash", "-c", f"{RECORD}{text}"], capture_output=True, text=True)
    assert not done.stderr, f"{text}\n{done.stderr}"
    return [tuple(call.split("\x1f")[:-1]) for call in done.stdout.split("\x1e")[:-1]]


def check(words: Sequence[str]) -> str:
    """Check a command without running it; return the kind of check.

    Raises:
        AssertionError: a command that no check knows; files or extras that do not exist.
        Exception: overrides that do not compose.
    """
    words = list(words)
    if words[0] in LAUNCHERS:
        words = words[next(i for i, word in enumerate(words) if word.startswith("scripts/")) :]
    if words[0] == "python":
        words = words[1:]
    if words[:2] == ["predcnn", "-sc"]:
        return "flags"
    if words[0] == "predcnn":
        return check_overrides(words[1], words[2:])
    if re.fullmatch(r"scripts/\w+\.py", words[0]):
        return check_overrides(Path(words[0]).stem, words[1:])
    if words[0] == "pip":
        extras = re.findall(r"\[(\w+)\]", " ".join(words))
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        assert set(extras) <= set(setup["options.extras_require"]), words
        return "pip"
    if words[0] == "pytest" or words[0].endswith(".py"):
        paths = [word for word in words if re.match(r"^(tests|scripts|examples)/", word)]
        assert [path for path in paths if not (ROOT / path).exists()] == [], words
        return "files"
    assert words[0] in OTHERS, f"no check for: {words}"
    return "other"


OTHERS = ("ffmpeg", "ruff", "pre-commit", "mkdocs")
"""Other programs that pages name."""


def check_overrides(name: str, arguments: Sequence[str]) -> str:
    """Compose the configuration of a command with its overrides."""
    assert name in COMMANDS, f"no command {name!r}"
    flags = [word for word in arguments if word.startswith("-")]
    if "--shell-completion" in flags or "--help" in flags:
        return "flags"
    overrides = [
        word for word in readable(name, list(arguments)) if word not in ("-m", "--cfg", "job")
    ]
    if "-m" in flags:
        overrides = [first_choice(word) for word in overrides]
    hydra_overrides = [word for word in overrides if word.lstrip("+").startswith("hydra")]
    overrides = [word for word in overrides if word not in hydra_overrides]
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        compose(name, overrides)
    return "composed"


def first_choice(override: str) -> str:
    """Return an override of a sweep, ``seed=1,2,3``, with its first value."""
    key, _, value = override.partition("=")
    return override if value[:1] in "'\"[{" else f"{key}={value.split(',')[0]}"
