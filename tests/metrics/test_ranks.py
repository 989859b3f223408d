"""Two processes that each score a part give the numbers of one that scores everything."""

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from predcnn.metrics import video_metrics
from predcnn.metrics.fields import FIELD_METRICS, FieldScores

NAMES = ("mse", "rmse", "mae", "ssim", "psnr", "mse_per_frame", "rmse_per_frame", "ssim_per_frame")
SHARES = {"uneven": [[0, 1, 2], [3]], "none on rank 1": [[0, 1, 2, 3], []]}


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    sizes = (2, 2, 1, 3)
    shapes = [(size, 3, 1, 10, 12) for size in sizes]
    return [tuple(torch.rand(s, generator=generator) for _ in range(2)) for s in shapes]


def field_scores(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    latitudes, mean = np.linspace(-70, 70, 10), np.full((1, 10, 12), 0.4)
    scores = FieldScores(FIELD_METRICS.names(), ["rain"], [0.5, 0.8], latitudes, mean)
    for pred, target in parts:
        scores.update(pred, target, target > 0.1)
    return dict(scores.compute())


def score(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        data = batches()
        results = {}
        for name, shares in SHARES.items():
            metrics = video_metrics(NAMES)
            for index in shares[rank]:
                metrics.update(*data[index])
            results[name] = {**metrics.compute(), **field_scores([data[i] for i in shares[rank]])}
        different = video_metrics(["mse"])
        different.update(*(torch.rand(1, 3 + rank, 1, 8, 8) for _ in range(2)))
        try:
            different.compute()
        except ValueError as error:
            results["different lengths"] = str(error)
        torch.save(results, f"{folder}/rank{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path):
    mp.start_processes(score, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    whole = video_metrics(NAMES)
    for pred, target in batches():
        whole.update(pred, target)
    expected = {**whole.compute(), **field_scores(batches())}
    assert not any(value.isnan().any() for value in expected.values())
    for rank in range(2):
        results = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        for share in SHARES:
            for name in expected:
                torch.testing.assert_close(
                    results[share][name], expected[name], rtol=1e-12, atol=0, msg=f"{share} {name}"
                )
        assert "different lengths" in results["different lengths"]
