"""Sweeps of four jobs on each launcher equal the same runs one by one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = (
    "translator=vit", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2",
    "data.source=embedded", "data.height=32", "data.train_sequences=4", "data.batch_size=2",
    "data.val_sequences=2", "data.test_sequences=2", "data.num_workers=0", "trainer.max_epochs=1",
    "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "callbacks.drawing=null",
)  # fmt: skip
LAUNCHERS = {
    "joblib": ("hydra.launcher.n_jobs=2",),
    "ray": (
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
    ),
    "submitit_local": ("hydra.launcher.timeout_min=10",),
}


def sweep(folder: Path, *words: str) -> subprocess.CompletedProcess:
    folder.mkdir()
    command = [sys.executable, "-c", "from predcnn.app.cli import main; main()", "train", "-m"]
    return subprocess.run(
        [*command, *SMALL, "hydra.sweep.dir=jobs", *words],
        cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip


def metrics(folder: Path) -> dict[int, dict]:
    """The test metrics of each finished job by its seed."""
    found = [json.loads(path.read_text()) for path in folder.glob("jobs/*/results.json")]
    return {run["seed"]: run["metrics"] for run in found}


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory) -> dict[int, dict]:
    folder = tmp_path_factory.mktemp("sweep") / "basic"
    done = sweep(folder, "seed=1,2,3,4")
    assert done.returncode == 0, done.stdout + done.stderr
    return metrics(folder)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_four_jobs_equal_those_run_one_by_one(tmp_path, request, launcher):
    plugin = f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher"
    pytest.importorskip(plugin, reason="needs predcnn[cluster]")
    words = (f"hydra/launcher={launcher}", *LAUNCHERS[launcher], "seed=1,2,3,4")
    done = sweep(tmp_path / launcher, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    one_by_one = request.getfixturevalue("one_by_one")  # not before the launcher is found
    assert sorted(one_by_one) == [1, 2, 3, 4]
    assert metrics(tmp_path / launcher) == one_by_one
