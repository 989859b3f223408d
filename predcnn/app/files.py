"""Files of a run: written whole or not at all, found again, refused with a reason."""

import json
import os
from pathlib import Path

from predcnn.visual.files import replacing


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def check_writable(folder: Path) -> None:
    """Raise PermissionError before anything is computed that could not be written."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".write_probe_{os.getpid()}"  # every rank has its own
    try:
        probe.touch()
    except OSError as error:
        raise PermissionError(
            f"the run directory {folder} is not writable ({error.strerror}); "
            "choose another with hydra.run.dir=…"
        ) from error
    probe.unlink(missing_ok=True)
