"""Disks that are full, and folders that may not be written."""

import os
import resource
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch

import predcnn
from predcnn.app.train import train
from predcnn.files import check_writable, replacing, write_json
from predcnn.visual import write_gif
from tests.hostile.harness import listing, refused
from tests.hostile.test_api import SHAPE, TINY

NET = ("translator=convnext", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


@pytest.fixture
def _quota():
    """No file may grow beyond 2,000 bytes: what a quota or a full disk does to a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS = {
    "weights": lambda path: predcnn.save_predictor(
        predcnn.create_predictor("simvp", in_shape=SHAPE, **TINY), path / "a.safetensors"
    ),
    "JSON": lambda path: write_json(path / "a.json", {"numbers": list(range(2000))}),
    "a GIF": lambda path: write_gif(path / "a.gif", torch.rand(9, 3, 32, 32)),
}


@pytest.mark.usefixtures("_quota")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_a_write_beyond_the_quota(tmp_path, write):
    refused(lambda: write(tmp_path), "too large|File|write", tmp_path)


def test_a_full_disk(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode()}")
    try:
        (tmp_path / "a.bin").write_bytes(b"old")

        def fill() -> None:
            with replacing(tmp_path / "a.bin") as temporary:
                temporary.write_bytes(bytes(1 << 20))

        refused(fill, "No space left", tmp_path)
        assert (tmp_path / "a.bin").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_disk_that_fills_up_while_training(tiny_cfg, tmp_path):
    run = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # less than a checkpoint
    try:
        with pytest.raises((OSError, RuntimeError), match=r"next\.ckpt|best\.ckpt"):
            train(tiny_cfg(*NET, run_dir=run))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not any(name.endswith((".ckpt", ".json.part")) for name in listing(run / "checkpoints"))
    train(tiny_cfg(*NET, run_dir=run))  # there is space again
    assert (run / "results.json").exists()


def test_a_folder_without_permission():
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o555)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        if not os.getuid():
            os.setuid(65534)  # nobody: the administrator may write anywhere
        try:
            check_writable(folder)
        except PermissionError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    assert "is not writable" in said
    assert "hydra.run.dir" in said
    assert not list(folder.iterdir())
    folder.rmdir()
