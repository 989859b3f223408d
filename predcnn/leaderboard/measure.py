"""Costs of prediction, measured in a child process of the benchmark.

``python -m predcnn.leaderboard.measure run RUN_DIRECTORY 1,8`` measures a finished run and predicts
one test sequence; ``… measure costs costs.json 1,8 translator=van`` measures an untrained model.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

import predcnn
from predcnn.costs import peak_memory, throughput
from predcnn.data import to_float
from predcnn.files import replacing, write_json
from predcnn.leaderboard.entries import compose_run

ENOUGH_S = 30.0
SHOWN = 0  # index of the test sequence that the gallery shows


def inference_costs(predictor: nn.Module, batch_sizes: list[int], accelerator: str) -> dict:
    """Measure peak memory at the largest batch size and throughput at every one, in eval mode.

    Each speed is the median of up to ten passes after a warm-up, fewer for slow models.
    """
    if not batch_sizes:
        return {"throughput": [], "inference_memory": None}
    gpu = torch.cuda.is_available() and accelerator != "cpu"
    device = torch.device("cuda" if gpu else "cpu")
    predictor.to(device).eval()
    largest = torch.rand(max(batch_sizes), *predictor.in_shape, device=device)
    with torch.no_grad():
        predictor(largest[:1])  # libraries allocate their working memory at the first call
        memory = peak_memory(lambda: predictor(largest), device)
    speed, single = [], throughput(predictor, predictor.in_shape, rounds=1, warm_up=1)
    for size in batch_sizes:
        rounds = min(10, max(1, int(ENOUGH_S / (single.seconds_per_batch * size))))
        warm_up = 1 + rounds // 5
        found = throughput(predictor, predictor.in_shape, size, rounds=rounds, warm_up=warm_up)
        speed.append(dataclasses.asdict(found))
    return {"throughput": speed, "inference_memory": {"bytes": memory, "batch_size": len(largest)}}


def measure_run(run_dir: Path, batch_sizes: list[int]) -> None:
    """Write measured.json and sequence.npz into the directory of a run made on this machine."""
    cfg = OmegaConf.load(run_dir / "config.yaml")
    predictor = predcnn.load_predictor(run_dir / "checkpoints" / "best.ckpt", trusted=True)
    if cfg.channels_last:  # another layout rounds otherwise
        predictor.to(memory_format=torch.channels_last)
    measured = inference_costs(predictor, batch_sizes, cfg.trainer.accelerator)
    _save_sequence(predictor, cfg, run_dir / "sequence.npz")
    write_json(run_dir / "measured.json", measured)


def _save_sequence(predictor: nn.Module, cfg: DictConfig, path: Path) -> None:
    frames = to_float(instantiate(cfg.data).split("test").batch(0, [SHOWN]))
    past, future = frames[:, : predictor.in_shape[0]], frames[0, predictor.in_shape[0] :]
    device = next((p.device for p in predictor.parameters()), torch.device("cpu"))
    pred = predictor.predict(past.to(device), horizon=len(future))[0].cpu()
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary, past=_bytes(past[0]), truth=_bytes(future), prediction=_bytes(pred)
        )


def _bytes(frames: Tensor) -> np.ndarray:
    return (frames.clamp(0, 1) * 255).round().byte().numpy()


def measure_untrained(path: Path, batch_sizes: list[int], *overrides: str) -> None:
    """Write parameters, multiply–adds and speed of the untrained predictor of ``overrides``."""
    cfg = compose_run(overrides)
    torch.manual_seed(0)
    predictor = instantiate(cfg.model.net)
    if cfg.channels_last:
        predictor.to(memory_format=torch.channels_last)
    if hasattr(predictor, "fit"):  # its costs do not depend on the data
        predictor.fit([torch.zeros(1, *predictor.in_shape)])
    counted = predcnn.profile(predictor, predictor.in_shape)
    keys = ("params", "params_published", "macs", "macs_published")
    costs = {key: getattr(counted, key) for key in keys}
    write_json(path, costs | inference_costs(predictor, batch_sizes, cfg.trainer.accelerator))


if __name__ == "__main__":
    what, target, sizes, *rest = sys.argv[1:]
    measure = {"run": measure_run, "costs": measure_untrained}[what]
    measure(Path(target), [int(size) for size in sizes.split(",") if size], *rest)
