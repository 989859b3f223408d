"""deterministic=strict: equal bits whatever the environment; what it excludes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from predcnn.app.build import check_strict
from predcnn.app.train import train
from predcnn.cores import STRICT
from tests.app.interruption import assert_same, final_state
from tests.app.test_train import results
from tests.test_cores import CONTRARY

SMALL = (
    "translator=vit", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2",
    "data.source=embedded", "data.height=32", "data.train_sequences=8", "data.batch_size=2",
    "data.val_sequences=2", "data.test_sequences=2", "trainer.max_epochs=1",
    "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "callbacks.drawing=null",
    "hydra.run.dir=run", "deterministic=strict",
)  # fmt: skip


def run(folder: Path, environment: dict[str, str], *overrides: str) -> str:
    folder.mkdir()
    command = [sys.executable, "-c", "from predcnn.app.cli import main; main()", "train", *SMALL]
    done = subprocess.run(
        [*command, *overrides], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_runs_in_contrary_environments_are_equal_to_the_last_bit(tmp_path):
    clean = {name: value for name, value in os.environ.items() if name not in CONTRARY}
    libraries = {"ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"}
    printed = run(tmp_path / "a", clean | CONTRARY | libraries)
    run(tmp_path / "b", clean, "data.num_workers=1")
    first, second = (final_state(tmp_path / name / "run") for name in "ab")
    for found in (first, second):  # the commands differ
        assert found[2].pop("command")
        assert found[2]["deterministic"] == STRICT
    assert_same(first, second)

    text = (tmp_path / "a/run/environment.json").read_text()
    for line in ('"threads": 1', '"cpu_capability": "DEFAULT"', "switched off by PREDCNN_KERNELS"):
        assert line in text
    # what the libraries report themselves; other builds of torch lack one or the other
    assert set(re.findall(r"cpu,isa:(.*)", printed)) <= {"Intel SSE4.1"}
    assert set(re.findall(r"CNR:(\S+)", printed)) <= {"COMPATIBLE"}
    assert set(re.findall(r"(?i)nthr:(\d+)", printed)) <= {"1"}


def test_a_run_without_it_records_null(tiny_cfg, tmp_path):
    train(tiny_cfg("model=copy_last"))
    assert results(tmp_path / "run")["deterministic"] is None


def test_strict_refuses_other_devices_and_compilation(tiny_cfg, monkeypatch):
    with pytest.raises(ValueError, match="acts before torch is loaded"):
        train(tiny_cfg("deterministic=strict"))
    for name, value in STRICT.items():
        monkeypatch.setenv(name, value)
    check_strict(tiny_cfg("deterministic=strict"))
    with pytest.raises(ValueError, match="give compile=false"):
        check_strict(tiny_cfg("deterministic=strict", "compile=true"))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(ValueError, match=r"add trainer\.accelerator=cpu"):
        check_strict(tiny_cfg("deterministic=strict", "trainer.accelerator=auto"))
