"""Check that memory, open files and processes stay constant over a long run.

``python scripts/dev/memory_test.py``: 2,000 steps with 50 validations, then an evaluation of 10,000
sequences, each with two loader workers, on a network that is small enough for a few minutes. Prints
the resident memory over the run; exits with 1 if that of the training, or the memory in use in the
evaluation, grows by more than 5 % after the first fifth. In use is what glibc has handed out: what
it keeps for the next request is resident, too, and settles later.
"""

import ctypes
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import lightning.pytorch as pl
from hydra import compose, initialize_config_module

from predcnn.app.evaluate import evaluate
from predcnn.app.train import train

GROWTH = 1.05
RUN = (
    "translator=vit", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2",
    "data.source=embedded", "data.height=32", "data.batch_size=2", "data.num_workers=2",
    "data.train_sequences=80", "data.val_sequences=8", "data.test_sequences=8",
    "trainer.max_epochs=50", "trainer.accelerator=cpu", "trainer.devices=1",
    "trainer.enable_progress_bar=false", "callbacks.drawing=null",
    "+callbacks.watch={_target_: __main__.Watch}",
)  # fmt: skip


def resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 (2.33) returns."""

    names = (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost",
    )  # fmt: skip
    _fields_ = [(name, ctypes.c_size_t) for name in names]


def in_use() -> float:
    """MiB that glibc has handed out to this process, from its heap and by mmap."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    found = mallinfo()
    return (found.uordblks + found.hblkhd) / 2**20


def held() -> tuple[int, int]:
    """Open files and child processes of this process."""
    tasks = Path("/proc/self/task").iterdir()
    children = sum(len((task / "children").read_text().split()) for task in tasks)
    return len(os.listdir("/proc/self/fd")), children


class Watch(pl.Callback):
    """Notes memory, open files and children at the end of every validation."""

    noted: list[tuple[float, int, int]] = []  # noqa: RUF012  one run per process

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.noted.append((resident(), *held()))


class Sampler(threading.Thread):
    """Notes the memory that is resident and in use ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.noted: list[tuple[float, float]] = []
        self.running = True

    def run(self) -> None:
        while self.running:
            self.noted.append((resident(), in_use()))
            time.sleep(0.1)


def judge(what: str, sizes: list[float]) -> bool:
    """Print a course in ten numbers; whether it is flat after its first fifth."""
    warm = sizes[len(sizes) // 5 :]
    shown = [sizes[i * (len(sizes) - 1) // 9] for i in range(10)]
    print(f"{what}: {' '.join(f'{size:.0f}' for size in shown)} MiB", flush=True)
    return max(warm) <= GROWTH * warm[0]


def main() -> None:
    """Train, evaluate, judge."""
    folder = Path(tempfile.mkdtemp(prefix="memory_test_"))
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train", [*RUN, f"run_dir={folder}/run"])
        words = [f"ckpt_path={folder}/run/checkpoints/best.ckpt", f"output={folder}/out"]
        words += ["data.test_sequences=10000", "data.batch_size=50", "data.num_workers=2"]
        words += ["accelerator=cpu"]
        long = compose("evaluate", words)
    before = held()
    train(cfg)
    sizes, files, children = zip(*Watch.noted, strict=True)
    flat = judge(f"{len(sizes)} validations, one after every 40 steps", sizes)
    print(f"open files {files[len(files) // 5]} -> {files[-1]}, children {set(children)}")
    after = held()
    print(f"open files and children before the run {before}, after it {after}")
    sampler = Sampler()
    sampler.start()
    evaluate(long)
    sampler.running = False
    sizes, used = zip(*sampler.noted, strict=True)
    judge("evaluation of 10,000 sequences, resident", sizes)
    twentieth = len(used) // 20
    floors = [min(used[i * twentieth :][:twentieth]) for i in range(20)]  # between two batches
    constant = judge("in use", floors)
    leaked = files[-1] > files[len(files) // 5] or after[1] > before[1]
    sys.exit(not (flat and constant) or leaked)


if __name__ == "__main__":
    main()
