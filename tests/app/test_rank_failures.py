"""One of two processes fails or is killed: the other ends, and the run continues."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.app.test_processes import assert_equal_runs, free_port, read
from tests.conftest import REPOSITORY

NET = ("translator=vit", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")
RUN = (
    *NET, "data.source=embedded", "data.height=32", "data.train_sequences=12",
    "data.val_sequences=3", "data.test_sequences=5", "trainer.max_epochs=2",
    "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1",
    "callbacks.drawing=null", "keep_memory=false", "optimizer=sgd", "optimizer.lr=0.002",
)  # fmt: skip
TWO = (*RUN, "data.batch_size=2", "trainer=ddp", "trainer.devices=2", "hydra.run.dir=two")
ENDS_WITHIN = 30  # seconds after the failure
HANGS = 240  # seconds


def start(folder: Path, launcher: str, *words: str) -> tuple[int, str]:
    """Run train.py on the processes of ``launcher``; return the exit code and all it printed."""
    command = [sys.executable, str(REPOSITORY / "scripts/train.py"), *words]
    if launcher == "torchrun":
        port = f"--master_port={free_port()}"
        torchrun = ("-m", "torch.distributed.run", "--nproc_per_node=2", port)
        command[1:1] = torchrun
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(  # returns when the last process has closed the pipe
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
    )
    return ended.returncode, ended.stdout


def failing(rank: int, step: int | None, killed: bool = False) -> str:
    target = "tests.app.failing_rank.FailingRank"
    options = f"rank: {rank}, step: {'null' if step is None else step}, killed: {killed}"
    return (
        f"+callbacks.failing={{_target_: {target}, note: ${{hydra:runtime.cwd}}/note, {options}}}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "rank", "step", "workers"),
    [
        ("lightning", 1, None, 0),
        ("lightning", 1, 2, 1),
        ("lightning", 0, 2, 0),
        ("torchrun", 0, None, 0),
        ("torchrun", 1, 2, 1),
    ],
)
def test_a_failed_process_ends_the_other_with_its_sentence(tmp_path, launcher, rank, step, workers):
    words = (*TWO, failing(rank, step), f"data.num_workers={workers}")
    code, printed = start(tmp_path, launcher, *words)
    waited = time.time() - float((tmp_path / "note").read_text())
    assert code != 0
    assert "error: clip 3 cannot be read\n" in printed
    assert waited < ENDS_WITHIN
    others = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert set(others) <= {
        "error: clip 3 cannot be read",
        "error: another process of this run ended (see its message, if it left one)",
    }


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """What one process leaves with the same global batch."""
    folder = tmp_path_factory.mktemp("one_process")
    words = ("data.batch_size=4", "trainer.devices=1", "hydra.run.dir=one")
    code, printed = start(folder, "none", *RUN, *words)
    assert code == 0, printed
    return read(folder / "one")


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "rank"), [("lightning", 1), ("torchrun", 0)])
def test_a_run_whose_process_was_killed_resumes_to_the_end_of_one_process(
    tmp_path, one_process, launcher, rank
):
    words = (*TWO, failing(rank, 4, killed=True), "callbacks.checkpoint.every_minutes=0")
    code, printed = start(tmp_path, launcher, *words)
    waited = time.time() - float((tmp_path / "note").read_text())
    assert code != 0
    assert waited < ENDS_WITHIN
    assert "error: another process of this run ended" in printed
    assert not (tmp_path / "two/results.json").exists()

    code, printed = start(tmp_path, launcher, *words, "resume=true")
    assert code == 0, printed
    assert "resuming " in printed
    assert_equal_runs(one_process, read(tmp_path / "two"))


@pytest.mark.parametrize("accelerator", ["gpu", "auto", "cpu"])
def test_fsdp_on_a_cpu_is_refused_in_one_sentence(tiny_cfg, monkeypatch, accelerator):
    import torch

    from predcnn.app.train import train

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"^trainer=fsdp needs GPUs.*trainer=ddp .* CPUs$"):
        train(tiny_cfg(*NET, "trainer=fsdp", f"trainer.accelerator={accelerator}"))
