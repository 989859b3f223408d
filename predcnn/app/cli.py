"""Console commands: compose the configuration, call one function, say errors in one sentence.

Nothing heavy is imported before the configuration stands, so that ``--help`` answers at once.
``HYDRA_FULL_ERROR=1`` shows tracebacks.
"""

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from predcnn.app.errors import expected, explain
from predcnn.training.interruption import Interrupted

AGAIN = {
    "train": "; the same command with resume=true continues",
    "train_backbone": "; the same command with resume=true continues",
    "pretrain_backbone": "; the same command with resume=true continues",
    "benchmark": "; the same command continues",
}
"""What is said of an interrupted command."""
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


class CommandError(Exception):
    """A command failed and has said why; an Exception, so that a sweep does its other jobs."""


@contextlib.contextmanager
def _said_in_one_sentence(name: str) -> Iterator[None]:
    try:
        yield
    except Interrupted as stop:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            sys.exit(0)  # whoever started this process would kill the others for a failure
        print(f"{stop}{AGAIN.get(name, '')}", file=sys.stderr)
        sys.exit(128 + stop.signal)  # what a shell reports of a process that a signal ended
    except KeyboardInterrupt:
        print(f"stopped{AGAIN.get(name, '')}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        if TRACEBACKS or not expected(error):
            raise
        raise CommandError(explain(error, name)) from error


@contextlib.contextmanager
def _no_empty_folder() -> Iterator[None]:
    """Take back the run directory of a job that failed before it wrote anything."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        yield
    finally:
        if folder != Path.cwd() and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextlib.contextmanager
def _environment(value: str | None) -> Iterator[None]:
    """HYDRA_FULL_ERROR as ``value``: with "1" Hydra raises instead of printing and leaving."""
    before = os.environ.pop("HYDRA_FULL_ERROR", None)
    try:
        if value is not None:
            os.environ["HYDRA_FULL_ERROR"] = value
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def _command(name: str, **spellings: str) -> Callable[[], None]:
    """A command; ``spellings`` {said: meant} are for words that Hydra takes for a group."""
    users = os.environ.get("HYDRA_FULL_ERROR")

    def job(cfg: DictConfig) -> float | None:
        try:
            with _environment(users), _said_in_one_sentence(name), _no_empty_folder():
                missing = OmegaConf.missing_keys(cfg)
                if missing:
                    word = min(missing)
                    raise ValueError(f"{word} has no default: say {word}=…")
                module = importlib.import_module(f"predcnn.app.{name}")
                return getattr(module, name)(cfg)
        except CommandError as error:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                sys.exit(f"error: {error}")
            # Hydra goes on with the other jobs and shows the first error only.
            print(f"error: job {HydraConfig.get().job.num}: {error}", file=sys.stderr)
            raise

    def command() -> None:
        for i, word in enumerate(sys.argv):
            said, _, value = word.partition("=")
            if i and said in spellings:
                sys.argv[i] = f"{spellings[said]}={value}"
        entry = hydra.main(
            version_base="1.3", config_path="pkg://predcnn.configs", config_name=name
        )
        try:
            with _said_in_one_sentence(name), _environment("1"):
                entry(job)()
        except CommandError as error:
            sys.exit(f"error: {error}")

    command.__doc__ = f"Console command of ``predcnn.app.{name}``."
    command.__name__ = name
    return command


train = _command("train")
train_backbone = _command("train_backbone")
pretrain_backbone = _command("pretrain_backbone")
evaluate = _command("evaluate")
predict = _command("predict")
prepare_data = _command("prepare_data")
import_weights = _command("import_weights")
benchmark = _command("benchmark")
analyze = _command("analyze", model="models")
export = _command("export")
demo = _command("demo")
