"""Child processes, so that a crash ends one entry only."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lightning.pytorch as pl

from predcnn.files import write_json
from predcnn.training.budget import Pace
from predcnn.training.callbacks.probe import Probe

COMMAND = "import sys; sys.argv[:1] = ['predcnn', '{}']; from predcnn.app.cli import main; main()"
TRAIN, EVALUATE = (("-c", COMMAND.format(name)) for name in ("train", "evaluate"))
MEASURE = ("-m", "predcnn.leaderboard.measure")
PACE = "pace.json"
PROBE = (
    "trainer.max_epochs=-1", "trainer.max_steps=100000", "trainer.limit_val_batches=0",
    "trainer.enable_progress_bar=false", "trainer.default_root_dir=null", "callbacks.drawing=null",
    "logger=[csv]", "+callbacks.probe._target_=predcnn.leaderboard.processes.ExitingProbe",
)  # fmt: skip
"""Overrides of the train command that time its steps and end the process."""

say = partial(print, flush=True)


class EntryError(Exception):
    """A child process failed; the message is the reason."""


def run_child(
    program: Sequence[str], arguments: Sequence[str], log: Path, device: str | None = None
) -> int | None:
    """Run Python, append its output to ``log``; return its peak memory, None if unknown."""
    chosen = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **chosen},
        )
        try:
            peak = _wait(process)
        except KeyboardInterrupt:  # the child received the signal too and stops by itself
            process.wait()
            raise
    if process.returncode:
        raise EntryError(_reason(process.returncode, log))
    return peak


def _wait(process: subprocess.Popen) -> int | None:
    if not hasattr(os, "wait4"):  # Windows
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reason(code: int, log: Path) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (", as when memory runs out" if name == "SIGKILL" else "")
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), f"exit code {code}")
    return last.removeprefix("error: ")


class ExitingProbe(Probe):
    """Write pace.json and end the process, of a model without training before its test."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "test":
            self.finish(trainer, Pace(0.0, 0.0, 0.0, 0, trainer.strategy.root_device.type))

    def finish(self, trainer: pl.Trainer, found: Pace) -> None:
        if trainer.is_global_zero:
            write_json(Path(trainer.default_root_dir) / PACE, dataclasses.asdict(found))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # Lightning would report an exception as an interruption
