"""The packages a check needs: what is missing, and how it is installed without a network."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

GIVEN = (
    *("torch", "lightning", "timm", "torchmetrics", "einops", "scikit-image", "safetensors"),
    *("matplotlib", "rich", "numpy", "torchvision"),
)
"""Expected on the machine; large or tied to its driver, so never installed here."""
WHEELS = (
    *("hydra-core", "omegaconf", "antlr4-python3-runtime", "lpips"),
    *("av", "filelock", "jinja2", "huggingface_hub"),
)
"""Installed from ``--wheels`` where missing."""
RANGES = {
    "hydra-core": ">=1.3.2,<1.4",
    "omegaconf": ">=2.3,<2.4",
    "antlr4-python3-runtime": "==4.9.*",
    "lpips": ">=0.1.4,<0.2",
    "av": ">=12",
    "huggingface_hub": ">=0.25",
}


def missing(names: tuple[str, ...]) -> list[str]:
    """Those of ``names`` that are not installed."""
    found = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(name)
    return found


def prepare(wheels: Path | None) -> None:
    """Install what is missing from ``wheels``.

    Raises:
        RuntimeError: names the packages that are missing and how to get them.
    """
    lacking = missing(GIVEN)
    if missing(("opencv-python",)) and missing(("opencv-python-headless",)):
        lacking.append("opencv-python")
    if lacking:
        raise RuntimeError(f"this Python lacks {', '.join(lacking)}: install them first")
    lacking = missing(WHEELS)
    if not lacking:
        return
    if wheels is None:
        raise RuntimeError(
            f"this Python lacks {', '.join(lacking)}: on a machine with a network run "
            "`python scripts/dev/gpu_check.py --make-wheels DIR`, then give --wheels DIR here"
        )
    command = [*_pip("install"), "--no-index", "--find-links", str(wheels), "--no-deps", *lacking]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{', '.join(lacking)} cannot be installed from {wheels}: "
            f"{done.stderr.strip().splitlines()[-1]}"
        )
    print(f"installed from {wheels}: {', '.join(lacking)}", flush=True)


def make_wheels(folder: Path) -> None:
    """Fill ``folder`` for this Python and platform; builds what has no wheel (antlr4 4.9)."""
    wanted = [name + RANGES.get(name, "") for name in WHEELS]
    command = [*_pip("wheel"), "--no-deps", "--wheel-dir", str(folder), *wanted]
    subprocess.run(command, check=True)
    names = sorted(path.name for path in folder.glob("*.whl"))
    print(f"{folder}: {', '.join(names)}")


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
