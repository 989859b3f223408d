"""The packages a check needs: what is missing, and how it is installed without a network."""

import configparser
import importlib.metadata
import site
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OFFLINE = ("--no-index", "--no-deps")
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
ANTLR = "antlr4-python3-runtime==4.9.*"
"""Comes with omegaconf 2.3; setup.cfg does not name it."""


def missing(names: tuple[str, ...]) -> list[str]:
    """Return the ``names`` that are not installed."""
    found = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(name)
    return found


def prepare(wheels: Path | None) -> None:
    """Install what is missing from ``wheels``, and this checkout in place if it is not installed.

    Raises:
        RuntimeError: names the packages that are missing and how to get them.
    """
    lacking = missing(GIVEN)
    if missing(("opencv-python",)) and missing(("opencv-python-headless",)):
        lacking.append("opencv-python")
    if lacking:
        raise RuntimeError(f"this Python lacks {', '.join(lacking)}: install them first")
    lacking = missing(WHEELS)
    if lacking:
        _install(lacking, wheels)
    if not _installed():
        done = subprocess.run(
            [*_pip("install"), *OFFLINE, "--no-build-isolation", "--editable", str(ROOT)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{ROOT} cannot be installed: {_last_line(done.stderr)}")
        site.main()  # reads the new package's .pth file


def _installed() -> bool:
    """Return whether a new process finds this package and its configurations from any directory."""
    command = [sys.executable, "-c", "import predcnn.configs"]
    return subprocess.run(command, capture_output=True, cwd=Path.home()).returncode == 0


def _install(lacking: list[str], wheels: Path | None) -> None:
    if wheels is None:
        raise RuntimeError(
            f"this Python lacks {', '.join(lacking)}: on a machine with a network run "
            "`python scripts/dev/gpu_check.py --make-wheels DIR`, then give --wheels DIR here"
        )
    command = [*_pip("install"), *OFFLINE, "--find-links", str(wheels), *lacking]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{', '.join(lacking)} cannot be installed from {wheels}: {_last_line(done.stderr)}"
        )
    print(f"installed from {wheels}: {', '.join(lacking)}", flush=True)


def make_wheels(folder: Path) -> None:
    """Fill ``folder`` for this Python and platform; builds what has no wheel (antlr4 4.9)."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    required = setup["options"]["install_requires"].splitlines()
    wanted = [ANTLR, *(line for line in required if line.startswith(WHEELS))]
    command = [*_pip("wheel"), "--no-deps", "--wheel-dir", str(folder), *wanted]
    subprocess.run(command, check=True)
    names = sorted(path.name for path in folder.glob("*.whl"))
    print(f"{folder}: {', '.join(names)}")


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no reason was given"


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
