"""Console commands: compose the configuration, call one function, say errors in one sentence.

Nothing heavy is imported before the configuration stands, so that ``--help`` answers at once.
``HYDRA_FULL_ERROR=1`` shows tracebacks.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from predcnn.app.errors import EXPECTED, explain

TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextlib.contextmanager
def _said_in_one_sentence(name: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("stopped; the same command with resume=true continues")
    except EXPECTED as error:
        if TRACEBACKS:
            raise
        sys.exit(f"error: {explain(error, name)}")


@contextlib.contextmanager
def _no_empty_folder() -> Iterator[None]:
    """Take back the run directory of a job that failed before it wrote anything."""
    from hydra.core.hydra_config import HydraConfig

    try:
        yield
    finally:
        folder = Path(HydraConfig.get().runtime.output_dir)
        if folder != Path.cwd() and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextlib.contextmanager
def _hydra_raises() -> Iterator[None]:
    """Let Hydra hand over its errors instead of printing them and leaving."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def _command(name: str) -> Callable[[], None]:
    def job(cfg: DictConfig) -> float | None:
        with _said_in_one_sentence(name), _no_empty_folder():
            missing = OmegaConf.missing_keys(cfg)
            if missing:
                raise ValueError(
                    f"{', '.join(sorted(missing))} has no default: say {min(missing)}=…"
                )
            module = importlib.import_module(f"predcnn.app.{name}")
            return getattr(module, name)(cfg)

    def command() -> None:
        import hydra

        entry = hydra.main(
            version_base="1.3", config_path="pkg://predcnn.configs", config_name=name
        )
        with _said_in_one_sentence(name), _hydra_raises():
            entry(job)()

    command.__doc__ = f"Console command of ``predcnn.app.{name}``."
    command.__name__ = name
    return command


train = _command("train")
evaluate = _command("evaluate")
predict = _command("predict")
prepare_data = _command("prepare_data")
import_weights = _command("import_weights")
