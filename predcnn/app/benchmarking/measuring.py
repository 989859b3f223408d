"""What a trained entry costs when it predicts, and what it predicts, from its checkpoint.

``python -m predcnn.app.benchmarking.measuring measured.json best.ckpt 1 8`` is what the benchmark
starts, in a process of its own: what kills it ends one entry only.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.app.files import write_json
from predcnn.app.saved_run import SavedRun, data_of, load_run
from predcnn.costs import peak_memory, throughput
from predcnn.data import to_float
from predcnn.files import replacing

ENOUGH_S = 30.0
SHOWN = 0
"""The test sequence that is seen through every model."""


def measure(checkpoint: str, batch_sizes: list[int], pictures: Path) -> dict:
    """Inference throughput at every batch size, memory at the largest, one drawn sequence."""
    run = load_run(checkpoint, trusted=True)  # the benchmark has just trained it
    found = inference_costs(run.predictor, batch_sizes, run.settings["trainer"]["accelerator"])
    _save_sequence(run, pictures)
    return found


def inference_costs(predictor: nn.Module, batch_sizes: list[int], accelerator: str) -> dict:
    """Peak memory at the largest batch size, then throughput at every one, in eval mode.

    Each speed is the median of up to ten passes after a warm-up, fewer where one takes seconds.

    Args:
        predictor: moved to the GPU if there is one and ``accelerator`` is not "cpu".
        batch_sizes: may be empty: nothing is measured.
        accelerator: word of the trainer.
    """
    if not batch_sizes:
        return {"throughput": [], "inference_memory": None}
    gpu = torch.cuda.is_available() and accelerator != "cpu"
    device = torch.device("cuda" if gpu else "cpu")
    predictor.to(device).eval()
    largest = torch.rand(max(batch_sizes), *predictor.in_shape, device=device)
    with torch.no_grad():
        predictor(largest[:1])  # libraries take their working memory at the first call
        memory = peak_memory(lambda: predictor(largest), device)
    speed, single = [], throughput(predictor, predictor.in_shape, rounds=1, warm_up=1)
    for size in batch_sizes:
        rounds = int(ENOUGH_S / (single.seconds_per_batch * size))
        rounds = min(10, max(1, rounds))
        speed.append(
            throughput(predictor, predictor.in_shape, size, rounds=rounds, warm_up=1 + rounds // 5)
        )
    return {
        "throughput": [dataclasses.asdict(one) for one in speed],
        "inference_memory": {"bytes": memory, "batch_size": len(largest)},
    }


def _save_sequence(run: SavedRun, path: Path) -> None:
    test = data_of(run, None, trusted=True).split("test")
    frames = to_float(test.batch(0, [SHOWN]))
    past, future = frames[:, : run.predictor.in_shape[0]], frames[0, run.predictor.in_shape[0] :]
    device = next((p.device for p in run.predictor.parameters()), torch.device("cpu"))
    pred = run.predictor.predict(past.to(device), horizon=len(future))[0].cpu()
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary, past=_bytes(past[0]), truth=_bytes(future), prediction=_bytes(pred)
        )


def _bytes(frames: Tensor) -> np.ndarray:
    return (frames.clamp(0, 1) * 255).round().byte().numpy()


def main() -> None:
    """Write the measurements of a checkpoint."""
    target, checkpoint, *sizes = sys.argv[1:]
    path = Path(target)
    batch_sizes = [int(size) for size in sizes]
    write_json(path, measure(checkpoint, batch_sizes, path.with_name("sequence.npz")))


if __name__ == "__main__":
    main()
