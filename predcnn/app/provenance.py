"""Where a number comes from: versions, commit, command, and the fingerprint of a configuration."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

PACKAGES = (
    "predcnn",
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "numpy",
    "hydra-core",
    "timm",
)
NOT_THE_EXPERIMENT = ("ckpt_path", "resume", "run_dir", "logger")


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that decide a result."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found


def git_state() -> dict[str, str | bool] | None:
    """Commit of this checkout and whether it was changed since; None for an installed package."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            # a run that is killed while git reads must not leave a lock in the user's checkout
            command = ["git", "--no-optional-locks", "-C", here, *words]
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    tracked = git("ls-files", "--error-unmatch", __file__)
    commit = git("rev-parse", "HEAD") if tracked else None
    return (
        None
        if commit is None
        else {"commit": commit, "changed": bool(git("status", "--porcelain"))}
    )


def command() -> str:
    """The command line of this process, as typed but for quotes."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def plain(cfg: DictConfig) -> dict:
    """The configuration as plain values, every reference resolved."""
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


def fingerprint(cfg: DictConfig) -> str:
    """Identity of an experiment: all settings but where it is written and whether it resumes."""
    settings = {k: v for k, v in plain(cfg).items() if k not in NOT_THE_EXPERIMENT}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
