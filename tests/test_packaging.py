"""What is installed is complete: a wheel carries the configurations and the embedded digits."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_wheel_trains_from_any_folder(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml")}
    assert {f"predcnn/configs/{p.as_posix()}" for p in expected} <= names
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "predcnn").rglob("*.py")}
    assert modules <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"predcnn"}

    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True)
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "sys.argv = ['train.py', 'translator=vit', 'trainer.max_steps=1',\n"
        "            'data.test_sequences=2', 'data.height=32', 'hydra.run.dir=run']\n"
        "import predcnn; assert predcnn.__file__.startswith(sys.path[0])\n"
        "from predcnn.app.cli import run; run('train')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run/results.json").exists()
