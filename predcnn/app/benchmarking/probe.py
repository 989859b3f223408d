"""How long a training step of a run takes, measured in a process like the run's.

``python -m predcnn.app.benchmarking.probe pace.json translator=van …`` is what the benchmark
starts; the words are the train command's.
"""

import dataclasses
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate

from predcnn.app.allocator import keep_memory
from predcnn.app.benchmarking.entries import compose_run
from predcnn.app.build import build_module, build_trainer
from predcnn.app.console import quiet_libraries
from predcnn.app.files import write_json
from predcnn.leaderboard.budget import Pace, pace

WARM_UP = 2
FEWEST, MOST = 4, 60
ENOUGH_CPU_S = 16.0
PROBE = (
    "trainer.max_epochs=-1", "trainer.max_steps=100000", "trainer.limit_val_batches=0",
    "trainer.enable_progress_bar=false", "callbacks.drawing=null", "logger=[csv]",
)  # fmt: skip


def machine_seconds() -> float | None:
    """Processor seconds that all programs took since the machine started, where it counts them.

    What the host gave to other guests is among them.
    """
    counts = Path("/proc/stat")
    if not counts.exists():
        return None
    first = counts.read_text().splitlines()[0]
    user, nice, system, _, _, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class StepClock(pl.Callback):
    """Time the steps from one batch's end to the next one's, and stop when that is enough."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        self.machine: list[float | None] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        self.marks.append((time.perf_counter(), time.process_time()))
        self.machine.append(machine_seconds())
        timed = self.marks[WARM_UP:]
        long_enough = len(timed) > FEWEST and timed[-1][1] - timed[0][1] > ENOUGH_CPU_S
        if long_enough or len(timed) > MOST:
            trainer.should_stop = True

    def steps(self) -> tuple[list[float], list[float]]:
        """Wall and processor seconds of every timed step."""
        timed = self.marks[WARM_UP:]
        pairs = list(itertools.pairwise(timed))
        return [b[0] - a[0] for a, b in pairs], [b[1] - a[1] for a, b in pairs]

    def taken(self) -> float | None:
        """Cores that others used while steps were timed, beyond those that our threads leave."""
        first, last = self.machine[WARM_UP], self.machine[-1]
        if first is None or last is None:
            return None
        (wall, own), (wall_end, own_end) = self.marks[WARM_UP], self.marks[-1]
        others = (last - first - (own_end - own)) / (wall_end - wall)
        return max(0.0, others - (os.cpu_count() - torch.get_num_threads()))


def probe(words: list[str]) -> Pace:
    """Train until the pace is known; nothing of it is kept. No steps where nothing is trained."""
    quiet_libraries()
    cfg = compose_run([*words, *PROBE])
    if cfg.keep_memory:
        keep_memory()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    with tempfile.TemporaryDirectory() as folder:
        cfg.run_dir = folder
        module = build_module(cfg, datamodule)
        trainer = build_trainer(cfg, Path(folder))
        device = trainer.strategy.root_device.type
        if not any(p.requires_grad for p in module.predictor.parameters()):
            return Pace(0.0, 0.0, 0.0, 0, device)
        clock = StepClock()
        trainer.callbacks.append(clock)
        trainer.fit(module, datamodule=datamodule)
    # loaders are processes of their own, and would count as others
    alone = device == "cpu" and not cfg.data.num_workers
    taken = clock.taken() if alone else None
    return dataclasses.replace(pace(*clock.steps(), device), taken=taken)


def main() -> None:
    """Write the pace of the run that the words name."""
    target, *words = sys.argv[1:]
    write_json(Path(target), dataclasses.asdict(probe(words)))


if __name__ == "__main__":
    main()
