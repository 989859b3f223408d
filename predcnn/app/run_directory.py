"""The directory of a run: its lock, the files that identify it, and the states to continue from."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from predcnn import native
from predcnn.app.console import say
from predcnn.app.provenance import command, fingerprint, git_state, versions
from predcnn.app.saved_run import reader_change
from predcnn.cores import strict_settings
from predcnn.data.datamodule import SplitDataModule
from predcnn.files import check_writable, only_writer, write_json, write_text
from predcnn.predictors.checkpoint import weights_file
from predcnn.training.callbacks.checkpoint import LAST, PREVIOUS
from predcnn.training.interruption import requeued
from predcnn.training.module import TrainingModule
from predcnn.weights.files import read_pickle

ENDING = 10.0  # seconds in which the loader processes of a killed run end


@contextlib.contextmanager
def claim(cfg: DictConfig) -> Iterator[tuple[Path, Path | None]]:
    """Lock the run directory; yield it and the checkpoint to continue from, if any."""
    ckpt_path = None if cfg.ckpt_path is None else weights_file(cfg.ckpt_path)
    if ckpt_path is not None and ckpt_path.suffix == ".safetensors":
        raise ValueError(
            f"ckpt_path={cfg.ckpt_path} holds weights and no training to continue: start a new run "
            f"from them with weights={cfg.ckpt_path}"
        )
    resumed = run_to_resume(cfg)
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
        with only_writer(folder, 0 if resumed is None else ENDING) as locked:
            problem = None if locked else f"{folder} is being written by another process"
            inside = ckpt_path is not None and ckpt_path.resolve().is_relative_to(folder.resolve())
            if states(folder) and not inside:
                problem = (
                    f"{folder} holds a run: continue it with resume=true, or choose another "
                    "directory with hydra.run.dir=…"
                )
            if problem is None:
                yield folder, ckpt_path
                return
    raise ValueError(problem)


def _is_named() -> bool:
    """Return whether the user chose the run directory; the default name is the time."""
    if not HydraConfig.initialized():
        return True
    overrides = HydraConfig.get().overrides.hydra
    return any(text.startswith(("hydra.run.dir=", "hydra.sweep.")) for text in overrides)


def first_command(run_dir: Path) -> str:
    """Return the command that started the run: a resume repeats it."""
    return read_identity(run_dir).get("command") or command()


@dataclass(eq=False)
class RunRecord(pl.Callback):
    """Write config and environment when training starts, so a failed start leaves no files.

    A resume finds the run by ``command_fingerprint``, of the configuration as composed.
    """

    cfg: DictConfig
    run_dir: Path
    data_fingerprint: str
    command_fingerprint: str

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.write()

    def write(self) -> None:
        """Write config.yaml, environment.json and run.json; report if the kernels changed."""
        kernels, path = native.describe(), self.run_dir / "environment.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if before.get("kernels", kernels) != kernels:  # they round differently
            say(f"the kernels changed from {before['kernels']} to {kernels}: results may differ")
        write_text(self.run_dir / "config.yaml", OmegaConf.to_yaml(self.cfg, resolve=True))
        environment = {"versions": versions(), "git": git_state(), "kernels": kernels}
        environment |= {
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "deterministic": strict_settings(),
        }
        write_json(path, environment)
        self.write_identity()

    def write_identity(self, finished: bool = False) -> None:
        """Write run.json: fingerprints of configuration and data, command, state."""
        identity = {
            "name": self.cfg.name,
            "fingerprint": self.command_fingerprint,
            "data_fingerprint": self.data_fingerprint,
            "command": first_command(self.run_dir),
            "finished": finished,
        }
        write_json(self.run_dir / "run.json", identity)


def run_to_resume(cfg: DictConfig) -> Path | None:
    """Return the run to continue, also after a SLURM requeue; None to start a new run."""
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
    found = []
    for run in (path.parent for path in runs.rglob("run.json")):
        try:
            identity = read_identity(run)
        except ValueError as error:
            say(f"warning: {error}")
            continue
        same = identity.get("fingerprint") == wanted and not identity.get("finished")
        if same and states(run):
            found.append(run)
    if found:
        return max(found, key=lambda run: states(run)[0].stat().st_mtime)
    if not cfg.resume:
        return None  # requeued before anything was saved
    raise FileNotFoundError(
        f"resume=true found no unfinished run of this configuration (fingerprint {wanted[:12]}) "
        f"in {runs}; give one with hydra.run.dir=… or a checkpoint with ckpt_path=…"
    )


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
            f"{path} is not a checkpoint of a predcnn run; weights of OpenSTL and others are "
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
