"""The Python examples of docs/how-to/python.md, run as they are but at a tiny size."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import predcnn
from tests.data.clips import moving_square

TEXT = (Path(__file__).parent.parent / "docs/how-to/python.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", TEXT, re.DOTALL))


def run(code: str, folder: Path) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_training_loop_and_the_forecast_of_the_docs_run(tmp_path):
    loop = CODE["train"]
    assert "train_sequences=2500" in loop
    run(loop.replace("train_sequences=2500", "train_sequences=8"), tmp_path)
    assert predcnn.load_predictor(tmp_path / "net.safetensors").config["hid_T"] == 64
    np.save(tmp_path / "clip.npy", moving_square(24, 64, 64))
    assert "than repeating the last frame" in run(CODE["measure"], tmp_path)
    assert (tmp_path / "future.gif").stat().st_size > 1000
