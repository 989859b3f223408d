"""What is installed is complete: a wheel carries all that the commands need, from any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip", "--quiet")
TINY = (
    *("data.train_sequences=8", "data.val_sequences=2", "data.test_sequences=2"),
    *("data.height=32", "trainer.max_steps=1"),
)
COMMANDS = {
    "train": (*TINY, "translator=vit", "hydra.run.dir=run"),
    "evaluate": ("ckpt_path=run", "output=evaluated"),
    "predict": ("sequences=1", "formats=[gif]", "output=predicted"),
    "export": ("ckpt_path=run", "format=torch_export", "sequences=1", "output=exported"),
    "benchmark": (*TINY, "translators=[vit]", "models=[copy_last]"),
}
WRITTEN = {
    "train": "run/results.json",
    "evaluate": "evaluated/results.json",
    "predict": "predicted/sequence_000.gif",
    "export": "exported/*.pt2",
    "benchmark": "runs/benchmark/records.jsonl",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel) -> Path:
    folder = wheel.parent / "installed"
    subprocess.run([*PIP, "install", "--no-deps", "--target", folder, wheel], check=True)
    return folder


def command(installed: Path, cwd: Path, name: str, **env: str) -> None:
    """Run a command of the installed package; ``env`` replaces variables, "" removes them."""
    code = (
        "import predcnn; from predcnn.app.cli import main\n"
        f"assert predcnn.__file__.startswith({str(installed)!r})\n"
        "main()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(installed), **env}
    done = subprocess.run(
        [sys.executable, "-c", code, name, *COMMANDS[name]],
        cwd=cwd,
        env={key: value for key, value in env.items() if value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(cwd.glob(WRITTEN[name])), done.stdout


@pytest.mark.slow
def test_a_wheel_holds_every_module_and_configuration(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml")}
    assert {f"predcnn/configs/{p.as_posix()}" for p in expected} <= names
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "predcnn").rglob("*.py")}
    assert modules <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"predcnn"}


@pytest.mark.slow
def test_a_wheel_trains_predicts_exports_and_compares_in_an_empty_folder(installed, tmp_path):
    for name in COMMANDS:
        command(installed, tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("home", ["", os.devnull])
def test_a_wheel_trains_without_a_compiler_and_a_home_to_write_to(installed, tmp_path, home):
    command(installed, tmp_path, "train", HOME=home, XDG_CACHE_HOME="", PATH=str(tmp_path))
