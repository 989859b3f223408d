"""The README's commands and examples run; its numbers are those of the files they come from."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

spec = importlib.util.spec_from_file_location("readme_block", ROOT / ".ci/readme_block.py")
readme_block = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme_block)


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run a command line with this interpreter's environment first on the path."""
    folder = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-ec", command], cwd=cwd, env=env, capture_output=True, text=True
    )


def test_the_run_block_runs(tmp_path):
    command = readme_block.readme_block("run").rstrip()
    run_dir = tmp_path / "run"
    words = f"trainer.max_steps=2 data.test_sequences=4 hydra.run.dir={run_dir}"
    done = shell(f"{command} {words}", ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (run_dir / "results.json").exists()
    assert "moganet" in done.stdout


def test_the_test_block_is_what_this_is():
    assert "pytest" in readme_block.readme_block("test")


@pytest.mark.slow
def test_the_predict_block_predicts(tmp_path):
    command = readme_block.readme_block("predict").partition("#")[0].rstrip()
    done = shell(f"{command} sequences=1 'formats=[gif]'", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.suffix for path in (tmp_path / "predictions").iterdir()] == [".gif"]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 180


def test_the_model_card_has_the_numbers_of_the_readme():
    text = (ROOT / "predcnn/weights/pretrained/simvp_moganet_moving_mnist/results.json").read_text()
    results = json.loads(text)
    assert f"MSE {results['metrics']['mse']:.1f}" in README
    assert f"last frame {results['copy_last']['metrics']['mse']:.1f}" in README


def test_the_results_of_the_readme_are_those_of_the_leaderboard():
    board = re.sub("[*]{2}|</?u>", "", (ROOT / "docs/leaderboard/leaderboard.md").read_text())
    table = README[README.index("| Moving MNIST | MSE") :].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    assert len(rows) > 4
    for row in rows:
        numbers = row.split(" | ", 1)[1].rstrip(" |")
        assert numbers in board, row


def test_your_own_block_in_twenty_lines(tmp_path):
    code = re.search(r"<!-- own-block -->\n```python\n(.*?)```", README, re.DOTALL).group(1)
    command = (
        re.search(r"<!-- own-block-run -->\n```bash\n(.*?)```", README, re.DOTALL).group(1).strip()
    )
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (tmp_path / "my_block.py").write_text(code)
    words = (
        "data.height=32 data.train_sequences=4 data.val_sequences=2 data.test_sequences=2 "
        "data.batch_size=2 trainer.max_epochs=1 model.net.hid_T=16 hydra.run.dir=run"
    )
    script = command.replace("scripts/train.py", str(ROOT / "scripts/train.py"))
    done = shell(f"{script} {words}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run/results.json").exists()


PYTHON = re.findall(r"<!-- python -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_examples_run(code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_linked_file_exists():
    links = re.findall(r"\]\(((?!https?:|#)[^)]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    missing = [link for link in links if not (ROOT / link.split("#")[0]).exists()]
    assert not missing
