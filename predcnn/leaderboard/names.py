"""Readable names of entries, with links to paper and code."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path

import predcnn.predictors  # noqa: F401  fills the registries
from predcnn.registry import BLOCKS, PREDICTORS, TRANSLATORS

NAMES = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))
PREFIX = "simvp_"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Name:
    """Displayed name of an entry; ``paper`` is a URL, ``code`` a source file of a checkout."""

    label: str
    paper: str | None = None
    code: Path | None = None


def name_of(entry: str, kind: str) -> Name:
    """Return "SimVP + SLaK" for ``simvp_slak``, an unknown name as it is; import nothing."""
    translator = kind == "translator"
    key = entry.removeprefix(PREFIX) if translator else entry
    known = NAMES[kind].get(key)
    if known is None or (translator and not entry.startswith(PREFIX)):
        return Name(entry)
    label, paper = known
    registry = next(r for r in (BLOCKS, TRANSLATORS, PREDICTORS) if key in r)
    code = Path(inspect.getfile(registry[key])) if (ROOT / "setup.cfg").exists() else None
    return Name(f"SimVP + {label}" if translator else label, paper, code)
