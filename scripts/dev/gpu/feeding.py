"""Stage c: the loader's sequences per second, compared with what the fastest model consumes."""

import functools
import time

from predcnn.data import create_datamodule, to_float
from scripts.dev.gpu.stage import Setting, Stage

BATCH = 16


def measure(workers: int, setting: Setting) -> dict:
    """Batches of Moving MNIST drawn, copied to the device and converted, for some seconds."""
    seconds = 0.5 if setting.dry else 3.0
    datamodule = create_datamodule(
        name="moving_mnist",
        source="embedded",
        train_sequences=BATCH * 10_000,
        val_sequences=BATCH,
        test_sequences=BATCH,
        batch_size=BATCH,
        num_workers=workers,
    )
    datamodule.setup("fit")
    batches = iter(datamodule.train_dataloader())
    next(batches)  # workers start with the first batch
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        to_float(next(batches).to(setting.device, non_blocking=True))
        count += BATCH
    rate = count / (time.perf_counter() - start)
    return {
        "seq/s": rate,
        "fastest training seq/s": setting.fastest,
        "feeds it": rate > setting.fastest,
    }


def run(stage: Stage, setting: Setting) -> None:
    """Without workers, and with two and eight."""
    for workers in (0,) if setting.dry else (0, 2, 8):
        stage.run(f"{workers} workers", functools.partial(measure, workers, setting))
