"""The worked examples, run as a reader runs them, shortened."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from predcnn.data import create_datamodule

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/your_own_clip.py"


def test_your_own_clip(tmp_path):
    clip = tmp_path / "my clip.mp4"
    clip.write_bytes((ROOT / "examples/data/carphone_pristine.mp4").read_bytes())
    words = [
        "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "trainer.log_every_n_steps=1",
        "data.train_sequences=24", "data.height=32", "data.val_sequences=2",
        "trainer.enable_progress_bar=false", "model.net.hid_S=4", "model.net.hid_T=8",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, EXAMPLE, clip, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loss = re.search(r"training loss ([\d.]+) -> ([\d.]+)", done.stdout)
    mse = re.search(r"clip's end: ([\d.]+); copy last ([\d.]+), mean frame ([\d.]+)", done.stdout)
    assert float(loss.group(2)) < float(loss.group(1))
    run = tmp_path / "runs/your_own_clip"
    results = json.loads((run / "results.json").read_text())
    assert float(mse.group(1)) == round(results["metrics"]["mse"], 2)
    mean = json.loads((run / "mean_frame/results.json").read_text())
    assert float(mse.group(3)) == round(mean["metrics"]["mse"], 2)
    assert mean["copy_last"] == results["copy_last"], "measured on other frames"
    assert 0 < float(mse.group(2)) < float(mse.group(3))
    assert results["data"]["protocol"] == "by_time"
    drawn = {path.name for path in (run / "predictions").iterdir()}
    assert {"my clip.mp4", "my clip_trial.png", "my clip_trial_lead_times.png"} <= drawn


def test_the_example_of_a_field_is_read_with_its_units(tmp_path):
    pytest.importorskip("xarray")
    script = ROOT / "examples/advection.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "fields")], check=True, timeout=120)
    module = create_datamodule("array", root=tmp_path / "fields", frames_in=4, frames_out=6)
    assert module.in_shape == (4, 1, 32, 32)
    assert module.units.scale.units == ("K",)
    values = module.units.scale.undo(module.split("test").batch(0, [0]))
    assert 240 < float(values.min()) < float(values.max()) < 330
