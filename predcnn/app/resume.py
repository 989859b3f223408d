"""Find the run that ``resume=true`` continues, and check that a checkpoint fits it."""

import json
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from predcnn.app.console import say
from predcnn.app.provenance import fingerprint
from predcnn.app.saved_run import reader_change
from predcnn.data.datamodule import SplitDataModule
from predcnn.training.callbacks.checkpoint import LAST, PREVIOUS
from predcnn.training.interruption import requeued
from predcnn.training.module import TrainingModule
from predcnn.weights.files import read_pickle


def run_to_resume(cfg: DictConfig) -> Path | None:
    """Return the run to continue, also after a SLURM requeue; None to start a new run.

    Raises:
        FileNotFoundError: ``resume=true`` found no unfinished run of this configuration.
        ValueError: the given directory holds a run of another configuration.
    """
    if not (cfg.resume or requeued()):
        return None
    here, wanted = Path(cfg.run_dir), fingerprint(cfg)
    if states(here):
        if read_identity(here).get("fingerprint", wanted) != wanted:
            raise ValueError(
                f"{here} holds a run of another configuration or version: repeat its command "
                f"(see its config.yaml), or continue it with ckpt_path={states(here)[0]} in "
                "another hydra.run.dir"
            )
        return here
    runs = next((p for p in here.parents if p.name == "runs"), here.parent)
    found = [path.parent for path in runs.rglob("run.json") if _is_unfinished(path.parent, wanted)]
    if found:
        return max(found, key=lambda run: states(run)[0].stat().st_mtime)
    if not cfg.resume:
        return None  # requeued before anything was saved
    raise FileNotFoundError(
        f"resume=true found no unfinished run of this configuration (fingerprint {wanted[:12]}) "
        f"in {runs}; give one with hydra.run.dir=… or a checkpoint with ckpt_path=…"
    )


def _is_unfinished(run_dir: Path, wanted: str) -> bool:
    try:
        identity = read_identity(run_dir)
    except ValueError as error:
        say(f"warning: {error}")
        return False
    same = identity.get("fingerprint") == wanted
    return same and not identity.get("finished") and bool(states(run_dir))


def read_identity(run_dir: Path) -> dict:
    """Return the content of run.json; empty if there is none."""
    path = run_dir / "run.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to continue") from error
    return content if isinstance(content, dict) else {}


def states(run_dir: Path) -> list[Path]:
    """Return the saved states of a run, the newest first."""
    paths = (run_dir / "checkpoints" / name for name in (LAST, PREVIOUS))
    return [path for path in paths if path.exists()]


def newest_state(run_dir: Path) -> Path:
    """Return the newest undamaged state, with a warning if it is not the last one."""
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


def check_unfinished(path: Path, trainer: pl.Trainer) -> None:
    """Raise ValueError if a checkpoint has trained all steps or epochs of this run."""
    content = read_pickle(path)
    loops, step = content["loops"]["fit_loop"], content["global_step"]
    epochs = loops["epoch_progress"]["current"]["ready"]
    epochs -= not loops["epoch_loop.batch_progress"]["is_last_batch"]
    for key, done, unit in (("max_epochs", epochs, "epochs"), ("max_steps", step, "steps")):
        wanted = getattr(trainer, key)
        if wanted is not None and 0 < wanted <= done:
            raise ValueError(
                f"{path} has trained its {done} {unit} of trainer.{key}={wanted}: test it with "
                f"predcnn evaluate ckpt_path={path}, or start a new run with weights={path}"
            )


def check_state(path: Path, module: TrainingModule, datamodule: SplitDataModule) -> int:
    """Return the step of a checkpoint; raise ValueError if this run cannot continue from it."""
    content = read_pickle(path)
    about = content.get("predcnn", {}) if isinstance(content, dict) else {}
    saved = about.get("config")
    if saved is None or "loops" not in content:
        raise ValueError(
            f"{path} is no checkpoint of a predcnn run; weights of OpenSTL and others are "
            "converted by scripts/import_weights.py"
        )
    different = [
        f"{key}={saved.get(key)!r} there, {module.config.get(key)!r} here"
        for key in sorted({*saved, *module.config})
        if saved.get(key) != module.config.get(key)
    ]
    if different:
        raise ValueError(f"{path} was trained with another model: {'; '.join(different)}")
    now = datamodule.fingerprint
    then = about.get("run", {}).get("data_fingerprint", now)
    if then != now:
        raise ValueError(
            f"the data changed since {path}: fingerprint {now[:12]}, the checkpoint has "
            f"{then[:12]}; restore the files and the data options, or start a new run"
            f"{reader_change(datamodule, about.get('run', {}))}"
        )
    return content["global_step"]
