"""Stage e: two processes as two nodes of one device each reach the metrics of one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from scripts.dev.gpu.stage import Setting, Stage

ROOT = Path(__file__).resolve().parents[3]
# a translator without batch norm, whose statistics are those of a process
RUN = (
    *("scale=small", "translator=convnext", "model.net.drop_path=0.0", "optimizer=adam"),
    *("model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2", "data.height=32"),
    *("data.source=embedded", "data.train_sequences=16", "data.val_sequences=4"),
    *("data.test_sequences=8", "data.num_workers=0", "trainer.max_epochs=1", "trainer.devices=1"),
    *("trainer.enable_progress_bar=false", "callbacks.drawing=null", "trainer.precision=32-true"),
)
GLOO = (
    "+trainer.strategy={_target_: lightning.pytorch.strategies.DDPStrategy, "
    "process_group_backend: gloo}"
).removeprefix("+")
TOLERANCE = 1e-5


def train(folder: Path, setting: Setting, *overrides: str, nodes: int = 1) -> dict[str, float]:
    """Train in ``nodes`` processes; the test metrics."""
    accelerator = "gpu" if setting.device.type == "cuda" else "cpu"
    command = [
        *(sys.executable, str(ROOT / "scripts/train.py"), *RUN, *overrides),
        *(f"hydra.run.dir={folder}", f"trainer.accelerator={accelerator}"),
    ]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "OMP_NUM_THREADS": "1"}
    running = []
    for node in range(nodes):
        # RANK tells Lightning which process writes before the group of processes exists
        place = {"NODE_RANK": str(node), "RANK": str(node)} if nodes > 1 else {}
        running.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | shared | place,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = []
    try:
        outputs = [process.communicate(timeout=240)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"train.py failed: {output.strip().splitlines()[-1]}")
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["metrics"]


def compare(setting: Setting) -> dict:
    """The same sequences in one process of four and in two of two."""
    folder = setting.out / "nodes"
    one = train(folder / "one", setting, "data.batch_size=4")
    two = train(folder / "two", setting, "data.batch_size=2", "trainer.num_nodes=2", GLOO, nodes=2)
    error = max(abs(two[name] - one[name]) / abs(one[name]) for name in one)
    return {"largest relative difference": error, "equal": error <= TOLERANCE}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(stage: Stage, setting: Setting) -> None:
    """One row; an error is the reason why it is refused."""
    stage.run("two nodes on one device", lambda: compare(setting))
