"""Provenance of a result: versions, commit, command, and the fingerprint of a configuration."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig

from predcnn.leaderboard.entries import NOT_THE_EXPERIMENT, plain

PACKAGES = (
    "predcnn", "torch", "torchvision", "lightning", "torchmetrics", "numpy", "hydra-core", "timm",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return versions of Python, the platform and the packages that affect results."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    return found | {package: importlib.metadata.version(package) for package in PACKAGES}


def git_state() -> dict[str, str | bool] | None:
    """Return commit and whether files changed since; None for an installed package."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            # a run killed while git reads must not leave a lock in the user's checkout
            command = ["git", "--no-optional-locks", "-C", here, *arguments]
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:  # git is not installed
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    tracked = git("ls-files", "--error-unmatch", __file__)
    commit = git("rev-parse", "HEAD") if tracked else None
    changed = bool(commit and git("status", "--porcelain"))
    return {"commit": commit, "changed": changed} if commit else None


def command() -> str:
    """Return the command line of this process, as typed except for quotes."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def fingerprint(cfg: DictConfig) -> str:
    """Return a hash of all settings except where the run is written and whether it resumes."""
    settings = {k: v for k, v in plain(cfg).items() if k not in NOT_THE_EXPERIMENT}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
