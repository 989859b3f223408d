"""Add a trained run to the weights that ship with the package.

    python scripts/dev/ship_weights.py runs/x simvp_moganet_moving_mnist

The weights are stored as float16. The script measures them before and after rounding on the test
set of the data that ship with the package, and refuses a change of the MSE above 0.1 %.
"""

import json
import platform
import shutil
import sys
from pathlib import Path

import torch
from torch import nn

import predcnn
from predcnn.data import SequenceDataModule, create_datamodule, to_float
from predcnn.files import write_json, write_text
from predcnn.metrics import video_metrics
from predcnn.predictors.checkpoint import CONFIG, WEIGHTS, read_description
from predcnn.predictors.hub import CARD, model_card
from predcnn.weights.pretrained import FOLDER, PREFIX

METRICS = ("mse", "mae", "ssim", "psnr")
LARGEST_CHANGE = 1e-3
LARGEST_FILE = 1_000_000  # bytes


def shipped_data(run: dict) -> tuple[dict, SequenceDataModule]:
    """Return the data settings of a run with the embedded source, and their datamodule."""
    settings = {k: v for k, v in run["data"].items() if k not in ("_target_", "_convert_")}
    settings |= {"root": "datasets", "source": "embedded", "download": False}
    options = {k: v for k, v in settings.items() if k not in ("name", "in_shape")}
    return settings, create_datamodule(settings["name"], **options)


@torch.inference_mode()
def measure(predictor: nn.Module, data: SequenceDataModule) -> tuple[dict, dict]:
    """Return the test metrics of a predictor and of repeating the last frame."""
    test, (ours, copy) = data.split("test"), (video_metrics(METRICS), video_metrics(METRICS))
    for first in range(0, len(test), 20):
        frames = to_float(test.batch(0, list(range(first, min(first + 20, len(test))))))
        past, future = frames[:, : data.in_shape[0]], frames[:, data.in_shape[0] :]
        ours.update(predictor(past), future)
        copy.update(past[:, -1:].expand_as(future), future)
    return tuple({k: float(v) for k, v in m.compute().items()} for m in (ours, copy))


def training_section(trained: dict) -> str:
    """Describe the run that the weights come from, for the model card."""
    metrics = ", ".join(f"{k.upper()} {v:.4f}" for k, v in trained["metrics"].items())
    minutes = trained["timing"]["steps_s"] / 60  # of all parts, if the run was resumed
    here = ("data.root=", "hydra.run.dir=", "trainer.enable_progress_bar=")
    command = " ".join(a for a in trained["command"].split() if not a.startswith(here))
    source = trained["data"]["source"].split(" ")[0]
    terms = "The digits are MNIST's and keep its terms"
    if "cifar" in trained["data"]["name"]:
        terms = "The digits are MNIST's and the backgrounds CIFAR-10's, and keep their terms"
    return (
        f"\n## Training\n\nCommand: `{command}`\n\n"
        f"Commit {trained['git']['commit']}, torch {trained['versions']['torch']}, "
        f"{platform.machine()} CPU; "
        f"{trained['timing']['steps']:,} steps, {minutes:.0f} minutes of training "
        f"on a busy machine, seed {trained['seed']}. Its own test set ({source}, "
        f"{trained['data']['sequences']['test']} sequences): {metrics}.\n"
        f"\n{terms}; the weights are under this package's licence.\n"
    )


def main(run_dir: str, name: str) -> None:
    """Round, measure, and write the folder."""
    about, folder = read_description(run_dir), FOLDER / name
    trained = json.loads((Path(run_dir) / "results.json").read_text())
    settings, data = shipped_data(about["run"])
    before, copy = measure(predcnn.load_predictor(run_dir), data)
    run = {key: about["run"][key] for key in ("name", "seed", "metrics", "channels_last")}
    run |= {"lpips_weights": None, "data": settings, "data_fingerprint": data.fingerprint}
    shutil.rmtree(folder, ignore_errors=True)  # of the weights that these replace
    predcnn.save_predictor(predcnn.load_predictor(run_dir), folder / WEIGHTS, run, half=True)
    predictor = predcnn.load_predictor(folder / WEIGHTS)
    after, _ = measure(predictor, data)
    change, size = abs(after["mse"] / before["mse"] - 1), (folder / WEIGHTS).stat().st_size
    if change > LARGEST_CHANGE or size > LARGEST_FILE:
        shutil.rmtree(folder)
        sys.exit(f"{name}: float16 changes the MSE by {change:.2%}, the file has {size:,} bytes")
    results = {
        **{key: trained[key] for key in ("definitions", "seed", "checkpoint", "git")},
        "data": {
            "name": settings["name"],
            "split": "test",
            "protocol": settings["protocol"],
            "source": data.source,
            "fingerprint": data.fingerprint,
            "sequences": {"test": len(data.split("test"))},
        },
        "metrics": after,
        "copy_last": {"metrics": copy},
    }
    card = model_card(predictor.config, PREFIX + name, results) + training_section(trained)
    write_json(folder / CONFIG, predictor.config)
    write_json(folder / "results.json", results)
    write_text(folder / CARD, card)
    print(f"{name}: MSE {before['mse']:.4f} -> {after['mse']:.4f}, {size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
