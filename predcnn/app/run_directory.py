"""The directory of a run: its lock, and the files that identify the run."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as pl
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from predcnn import native
from predcnn.app.console import say
from predcnn.app.provenance import command, git_state, versions
from predcnn.app.resume import newest_state, read_identity, run_to_resume, states
from predcnn.cores import strict_settings
from predcnn.files import check_writable, only_writer, write_json, write_text
from predcnn.predictors.checkpoint import weights_file

ENDING = 10.0  # seconds in which the loader processes of a killed run end


@contextlib.contextmanager
def claim(cfg: DictConfig) -> Iterator[tuple[Path, Path | None]]:
    """Lock the run directory; yield it and the checkpoint to continue from, if any.

    Raises:
        FileNotFoundError: there is nothing to continue from.
        ValueError: the directory holds another run, or another process is writing to it.
        PermissionError: it is not writable.
    """
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


class RunRecord(pl.Callback):
    """Write config and environment when training starts, so a failed start leaves no files.

    A resume finds the run by ``command_fingerprint``, of the configuration as composed.
    """

    def __init__(
        self, cfg: DictConfig, run_dir: Path, data_fingerprint: str, command_fingerprint: str
    ) -> None:
        self.cfg, self.run_dir = cfg, run_dir
        self.data_fingerprint, self.command_fingerprint = data_fingerprint, command_fingerprint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.write()

    def write(self) -> None:
        """Write config.yaml, environment.json and run.json."""
        kernels = native.describe()
        self._compare_kernels(kernels)
        write_text(self.run_dir / "config.yaml", OmegaConf.to_yaml(self.cfg, resolve=True))
        environment = {"versions": versions(), "git": git_state(), "kernels": kernels}
        environment |= {
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "deterministic": strict_settings(),
        }
        write_json(self.run_dir / "environment.json", environment)
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

    def _compare_kernels(self, kernels: str) -> None:
        """Print a notice if the run used other kernels before, which round differently."""
        path = self.run_dir / "environment.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if before.get("kernels", kernels) != kernels:
            say(f"the kernels changed from {before['kernels']} to {kernels}: results may differ")
