"""Which run a ``resume=true`` continues, and whether a checkpoint fits the run that wants it."""

import json
from pathlib import Path

from omegaconf import DictConfig

from predcnn.app.console import say
from predcnn.app.files import write_json
from predcnn.app.provenance import fingerprint
from predcnn.weights.files import read_pickle

IDENTITY = "run.json"


def mark(run_dir: Path, cfg: DictConfig, data_fingerprint: str, finished: bool = False) -> None:
    """Leave the identity of the experiment, its data and its state in its run directory."""
    identity = {
        "name": cfg.name,
        "fingerprint": fingerprint(cfg),
        "data_fingerprint": data_fingerprint,
        "finished": finished,
    }
    write_json(run_dir / IDENTITY, identity)


def compare_kernels(environment: Path, kernels: str) -> None:
    """Say so if the run in this directory was computed with other kernels than these.

    A run continues bit for bit only with those that it began with.
    """
    if not environment.exists():
        return
    before = json.loads(environment.read_text()).get("kernels")
    if before != kernels:
        say(
            f"computed with other kernels so far ({before}; now {kernels}): results round otherwise"
        )


def last_checkpoint(run_dir: Path) -> Path:
    """Where the newest state of a run lies."""
    return run_dir / "checkpoints" / "last.ckpt"


def unfinished_run(cfg: DictConfig, here: Path) -> Path:
    """The run to continue: ``here`` if it holds one, else the newest unfinished run beside it.

    A run is the same experiment when its fingerprint is.

    Raises:
        FileNotFoundError: there is none; says what was looked for.
    """
    wanted = fingerprint(cfg)
    if last_checkpoint(here).exists():
        _check_identity(here, wanted)
        return here
    found = []
    runs = next((p for p in here.parents if p.name == "runs"), here.parent)
    for identity in runs.rglob(IDENTITY):
        run, known = identity.parent, json.loads(identity.read_text())
        unfinished = known.get("fingerprint") == wanted and not known.get("finished")
        if unfinished and last_checkpoint(run).exists():
            found.append((last_checkpoint(run).stat().st_mtime, run))
    if not found:
        raise FileNotFoundError(
            f"resume=true found no unfinished run of this configuration "
            f"(fingerprint {wanted[:12]}) in {runs}; name one with hydra.run.dir=… or a "
            "checkpoint with ckpt_path=…"
        )
    return max(found)[1]


def _check_identity(run_dir: Path, wanted: str) -> None:
    identity = run_dir / IDENTITY
    if not identity.exists():
        return
    if json.loads(identity.read_text()).get("fingerprint") != wanted:
        raise ValueError(
            f"{run_dir} holds a run of another configuration; repeat its command line "
            f"(its config.yaml holds every setting) or start a new run without resume=true"
        )


def read_state(path: str | Path, config: dict) -> dict:
    """The checkpoint of a run, checked against the predictor that is to continue from it.

    Args:
        path: a .ckpt of ours.
        config: ``predictor.config`` of the run that wants it.

    Raises:
        FileNotFoundError, ValueError: no such file, damaged, not ours, or of another architecture.
    """
    content = read_pickle(path)
    saved = content.get("predcnn", {}).get("config") if isinstance(content, dict) else None
    if saved is None or "loops" not in content:
        raise ValueError(
            f"{path} is no checkpoint of a predcnn run; weights of OpenSTL and others are "
            "converted by scripts/import_weights.py"
        )
    different = [
        f"{key}={saved.get(key)!r} there, {config.get(key)!r} here"
        for key in sorted({*saved, *config})
        if saved.get(key) != config.get(key)
    ]
    if different:
        raise ValueError(f"{path} was trained with another model: {'; '.join(different)}")
    return content
