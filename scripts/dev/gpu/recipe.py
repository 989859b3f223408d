"""Stage d: the published recipe with the ordinary command, as far as the time reaches."""

import functools
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import torch

from scripts.dev.gpu.stage import Setting, Stage

ROOT = Path(__file__).resolve().parents[3]
RECIPE = ("scale=published", "translator=moganet")
TINY = (
    *("scale=small", "translator=moganet", "model.net.hid_S=4", "model.net.hid_T=8"),
    *("model.net.N_T=2", "data.source=embedded", "data.train_sequences=16"),
    *("data.val_sequences=4", "data.test_sequences=4", "data.height=32", "optimizer=adam"),
    "scheduler=constant",  # so that --resume can train longer
    *("trainer.accelerator=cpu", "callbacks.drawing=null"),
)
TESTING_S = 60
"""Kept for the test, which begins when the training's time is over."""


def train(seconds: float, setting: Setting) -> dict:
    """One run of scripts/train.py in a process of its own; its results, extrapolated."""
    folder = setting.out / "recipe"
    recipe = TINY if setting.dry else (*RECIPE, *setting.best)
    epochs = setting.epochs if not setting.dry else 1 if setting.resume is None else 2
    overrides = [
        *recipe,
        f"trainer.max_epochs={epochs}",
        f"hydra.run.dir={folder}",
        "trainer.enable_progress_bar=false",
    ]
    used = 0.0
    if setting.resume is not None:
        last = setting.resume / "recipe/checkpoints/last.ckpt"
        overrides.append(f"ckpt_path={last}")
        used = _elapsed(last)
    if not setting.dry:
        overrides.append(f"trainer.max_time={_clock(used + max(30.0, seconds - TESTING_S))}")
    command = [sys.executable, str(ROOT / "scripts/train.py"), *overrides]
    with open(setting.out / "recipe.log", "w", encoding="utf-8") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, timeout=seconds + 600
        )
    if done.returncode:
        text = (setting.out / "recipe.log").read_text(encoding="utf-8").strip()
        raise RuntimeError(f"train.py failed: {text.splitlines()[-1] if text else 'no output'}")
    return {"command": " ".join(["scripts/train.py", *overrides]), **_results(folder, setting)}


def _results(folder: Path, setting: Setting) -> dict:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    timing = results["timing"]
    step = timing["steps_s"] / timing["steps"]
    batch = timing["sequences"] / timing["steps"]
    pictures = sorted(path.name for path in folder.rglob("*") if path.suffix in (".gif", ".png"))
    return {
        "best epoch": results["checkpoint"]["epoch"],
        "steps": timing["steps"],
        "training seq/s": batch / step,
        "of peak": 3 * results["macs"] * batch / step / setting.peak,
        "200 epochs, hours": step * 10_000 / batch * 200 / 3600,
        **{f"test {name}": value for name, value in results["metrics"].items()},
        "pictures": ", ".join(pictures),
    }


def _elapsed(checkpoint: Path) -> float:
    """Seconds that ``trainer.max_time`` has counted already; it goes on from there."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    timer = state["callbacks"].get("Timer", {})
    return float(timer.get("time_elapsed", {}).get("train", 0.0))


def _clock(seconds: float) -> str:
    """Seconds as trainer.max_time reads them: DD:HH:MM:SS."""
    whole = timedelta(seconds=int(seconds))
    minutes, rest = divmod(whole.seconds, 60)
    return f"{whole.days:02d}:{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def run(stage: Stage, setting: Setting) -> None:
    """One row; validation is in recipe/metrics.csv, curves and GIFs are under recipe/."""
    stage.run("published recipe", functools.partial(train, stage.left, setting))
