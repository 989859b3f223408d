"""Which run a ``resume=true`` continues, and whether a checkpoint fits the run that wants it."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from predcnn.app.console import say
from predcnn.app.files import check_writable, only_writer, write_json
from predcnn.app.provenance import command, fingerprint
from predcnn.training.callbacks.checkpoint import LAST, PREVIOUS
from predcnn.training.interruption import requeued
from predcnn.weights.files import read_pickle

IDENTITY = "run.json"


def mark(run_dir: Path, cfg: DictConfig, data_fingerprint: str, finished: bool = False) -> None:
    """Leave the identity of the experiment, its data and its state in its run directory."""
    identity = {
        "name": cfg.name,
        "fingerprint": fingerprint(cfg),
        "data_fingerprint": data_fingerprint,
        "command": first_command(run_dir),
        "finished": finished,
    }
    write_json(run_dir / IDENTITY, identity)


def first_command(run_dir: Path) -> str:
    """The command line that began the run: a resume repeats it."""
    return _read(run_dir / IDENTITY).get("command") or command()


def compare_kernels(environment: Path, kernels: str) -> None:
    """Say so if the run in this directory was computed with other kernels than these.

    A run continues bit for bit only with those that it began with.
    """
    before = _read(environment).get("kernels", kernels)
    if before != kernels:
        say(
            f"computed with other kernels so far ({before}; now {kernels}): results round otherwise"
        )


def _read(path: Path) -> dict:
    """What a run said of itself; nothing if it did not."""
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to do without") from error
    return known if isinstance(known, dict) else {}


@contextlib.contextmanager
def place(cfg: DictConfig) -> Iterator[tuple[Path, Path | None]]:
    """The run directory, held for the block, and the checkpoint to continue from, if any.

    Raises:
        FileNotFoundError: nothing to continue from.
        ValueError: the directory holds another run, or another process is writing to it.
        PermissionError: it cannot be written.
    """
    ckpt_path = None if cfg.ckpt_path is None else Path(cfg.ckpt_path)
    if ckpt_path is not None and not ckpt_path.is_file():
        raise FileNotFoundError(f"ckpt_path={cfg.ckpt_path}: no such file")
    resumed = _resumed(cfg)
    if resumed is not None:
        say(f"resuming {resumed}")
        folders, ckpt_path = [resumed], ckpt_path or newest_state(resumed)
    elif _is_named():
        folders = [Path(cfg.run_dir)]
    else:  # two runs that started in the same second
        numbers = itertools.chain([""], (f"_{i}" for i in itertools.count(2)))
        folders = (Path(f"{cfg.run_dir}{number}") for number in numbers)
    if rank_zero_only.rank:  # the first process writes
        yield next(iter(folders)), ckpt_path
        return
    for folder in folders:
        check_writable(folder)
        with only_writer(folder) as free:
            taken = None if free else f"{folder} is being written by another process"
            inside = ckpt_path is not None and ckpt_path.resolve().is_relative_to(folder.resolve())
            if states(folder) and not inside:
                taken = (
                    f"{folder} holds a run: continue it with resume=true, or name another "
                    "directory with hydra.run.dir=…"
                )
            if taken is None:
                yield folder, ckpt_path
                return
    raise ValueError(taken)


def _resumed(cfg: DictConfig) -> Path | None:
    """The run to continue, if one is to be: also what SLURM starts again."""
    if not (cfg.resume or requeued()):
        return None
    try:
        return unfinished_run(cfg, Path(cfg.run_dir))
    except FileNotFoundError:
        if cfg.resume:
            raise
        return None  # requeued before anything was saved


def _is_named() -> bool:
    """Whether somebody chose the run directory, rather than the clock."""
    if not HydraConfig.initialized():
        return True
    words = HydraConfig.get().overrides.hydra
    return any(word.startswith(("hydra.run.dir=", "hydra.sweep.")) for word in words)


def states(run_dir: Path) -> list[Path]:
    """The states of a run that are there, the newest first."""
    paths = (run_dir / "checkpoints" / name for name in (LAST, PREVIOUS))
    return [path for path in paths if path.exists()]


def newest_state(run_dir: Path) -> Path:
    """The newest state of a run that is not damaged; says so if that is not the last.

    Raises:
        ValueError: all of them are damaged.
    """
    damages = []
    for path in states(run_dir):
        try:
            read_pickle(path)
        except ValueError as error:
            damages.append(str(error))
            continue
        if damages:
            say(f"warning: {damages[0]}; continuing from {path.name}, the state before it")
        return path
    raise ValueError(f"{'; '.join(damages)}; no state of {run_dir} is left to continue from")


def unfinished_run(cfg: DictConfig, here: Path) -> Path:
    """The run to continue: ``here`` if it holds one, else the newest unfinished run beside it.

    A run is the same experiment when its fingerprint is.

    Raises:
        FileNotFoundError: there is none; says what was looked for.
    """
    wanted = fingerprint(cfg)
    if states(here):
        _check_identity(here, wanted)
        return here
    found = []
    runs = next((p for p in here.parents if p.name == "runs"), here.parent)
    for identity in runs.rglob(IDENTITY):
        run = identity.parent
        try:
            known = _read(identity)
        except ValueError as error:
            say(f"warning: {error}")
            continue
        unfinished = known.get("fingerprint") == wanted and not known.get("finished")
        if unfinished and states(run):
            found.append((states(run)[0].stat().st_mtime, run))
    if not found:
        raise FileNotFoundError(
            f"resume=true found no unfinished run of this configuration "
            f"(fingerprint {wanted[:12]}) in {runs}; name one with hydra.run.dir=… or a "
            "checkpoint with ckpt_path=…"
        )
    return max(found)[1]


def _check_identity(run_dir: Path, wanted: str) -> None:
    if _read(run_dir / IDENTITY).get("fingerprint", wanted) != wanted:
        raise ValueError(
            f"{run_dir} holds a run of another configuration; repeat its command line "
            f"(its config.yaml holds every setting) or start a new run without resume=true"
        )


def read_state(path: str | Path, config: dict, data_fingerprint: str) -> dict:
    """The checkpoint of a run, checked against the predictor and data that are to continue it.

    Args:
        path: a .ckpt of ours.
        config: ``predictor.config`` of the run that wants it.
        data_fingerprint: of its three splits.

    Raises:
        FileNotFoundError, ValueError: no such file, damaged, not ours, of another architecture, or
            trained on data that have changed since.
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
    then = content["predcnn"].get("run", {}).get("data_fingerprint", data_fingerprint)
    if then != data_fingerprint:
        raise ValueError(
            f"the data changed since {path}: fingerprint {data_fingerprint[:12]}, the checkpoint "
            f"has {then[:12]}; restore the files and the data options, or start a new run"
        )
    return content
