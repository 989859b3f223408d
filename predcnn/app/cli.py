"""The command ``predcnn``, same as the scripts: compose a configuration, call one function.

Nothing heavy is imported before the configuration is composed, so ``--help`` answers at once.
``HYDRA_FULL_ERROR=1`` shows tracebacks.
"""

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from predcnn.app.errors import expected, explain
from predcnn.app.help import overview, text
from predcnn.app.overrides import readable
from predcnn.checks import unknown
from predcnn.cores import Watch, adapt, make_strict
from predcnn.training.interruption import Interrupted

COMMANDS = (
    "train", "evaluate", "predict", "benchmark", "export", "demo", "analyze", "prepare_data",
    "import_weights", "train_backbone", "pretrain_backbone",
)  # fmt: skip
"""``predcnn.app.NAME.NAME`` is called with ``configs/NAME.yaml``."""
HELP = {"--help", "-h"}
TRAININGS = ("train", "train_backbone", "pretrain_backbone")
AGAIN = dict.fromkeys(TRAININGS, "; the same command with resume=true continues")
AGAIN["benchmark"] = "; the same command continues"
"""Hints printed when a command is interrupted."""
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


class CommandError(Exception):
    """An error with its one-sentence message; an Exception, so a sweep goes on with its jobs."""


def main() -> None:
    """Run ``predcnn COMMAND OVERRIDES``."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in HELP:
        print(overview(COMMANDS))
    elif name in ("-sc", "--shell-completion"):
        _complete(rest)
    elif name in COMMANDS:
        run(name, typed=list(sys.argv))
    else:
        sys.exit(f"error: {unknown('command', name, COMMANDS)}")


def _complete(arguments: list[str]) -> None:
    """Answer a shell: print its completion script, the commands, or what Hydra suggests."""
    line = os.environ.get("COMP_LINE", "")
    program, command, *rest = [*line.split(" ", 2), "", ""][:3]
    if arguments[:1] in (["query=bash"], ["query=fish"]) and command not in COMMANDS:
        print("\n".join(name for name in COMMANDS if name.startswith(command)))
        return
    # Hydra completes programs without commands
    os.environ["COMP_LINE"] = " ".join([program, *rest])
    run(command or "train", typed=[sys.argv[0], command, "-sc", *arguments])


def run(name: str, typed: list[str] | None = None) -> None:
    """Run a command on the overrides in ``sys.argv``.

    ``typed`` is the command line of ``predcnn COMMAND OVERRIDES``; None: ``sys.argv`` of a script.
    """
    users, watch = os.environ.get("HYDRA_FULL_ERROR"), Watch()
    argv = [sys.argv[0], *typed[2:]] if typed else list(sys.argv)
    typed = typed or argv

    def job(cfg: DictConfig) -> float | None:
        sys.argv = typed  # Lightning starts further processes with it
        try:
            with _environment(users), _one_sentence(name), _no_empty_folder():
                if missing := OmegaConf.missing_keys(cfg):
                    raise ValueError(f"{min(missing)} has no default: give {min(missing)}=…")
                make_strict(cfg.get("deterministic"))
                if "torch" not in sys.modules:
                    adapt(watch)
                return getattr(importlib.import_module(f"predcnn.app.{name}"), name)(cfg)
        except CommandError as error:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                sys.exit(f"error: {error}")
            # Hydra goes on with the other jobs and shows the first error only.
            print(f"error: job {HydraConfig.get().job.num}: {error}", file=sys.stderr)
            raise

    entry = hydra.main(version_base="1.3", config_path="pkg://predcnn.configs", config_name=name)
    try:
        with _one_sentence(name), _environment("1"):
            arguments = readable(name, argv[1:])
            if not HELP.isdisjoint(arguments):
                print(text(name, [given for given in arguments if not given.startswith("-")]))
                return
            sys.argv = [argv[0], *arguments]
            entry(job)()
    except CommandError as error:
        sys.exit(f"error: {error}")


@contextlib.contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Turn errors into a `CommandError` of one sentence, and interrupts into an exit code."""
    try:
        yield
    except Interrupted as stop:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            sys.exit(0)  # a failure would make the launcher kill the other processes
        print(f"{stop}{AGAIN.get(name, '')}", file=sys.stderr)
        sys.exit(128 + stop.signal)  # the exit code of a process that a signal ended
    except KeyboardInterrupt:
        print(f"stopped{AGAIN.get(name, '')}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        if TRACEBACKS or not expected(error):
            raise
        raise CommandError(explain(error, name)) from error


@contextlib.contextmanager
def _no_empty_folder() -> Iterator[None]:
    """Remove the run directory of a job that failed before it wrote anything."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        yield
    finally:
        if folder != Path.cwd() and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextlib.contextmanager
def _environment(value: str | None) -> Iterator[None]:
    """Set HYDRA_FULL_ERROR: with "1" Hydra raises instead of printing and exiting."""
    before = os.environ.pop("HYDRA_FULL_ERROR", None)
    try:
        if value is not None:
            os.environ["HYDRA_FULL_ERROR"] = value
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before
