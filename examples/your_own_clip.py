"""Train on one clip of your own, compare with two baselines on its end, predict what follows.

python examples/your_own_clip.py [clip] [override=value …]    for instance model.net.residual=true
"""

import json
import sys
from pathlib import Path

from hydra import compose, initialize_config_module

from predcnn.app.predict import predict
from predcnn.app.train import train
from predcnn.training.csv_logger import read_history

clip, *overrides = sys.argv[1:] or [Path(__file__).resolve().parent / "data/carphone_pristine.mp4"]
run, data_overrides = (
    Path("runs/your_own_clip"),
    [text for text in overrides if text.startswith("data.")],
)
task = [
    "data=video_folder", f"data.root='{clip}'", "data.protocol=by_time", "data.channels=1",
    "data.test_share=0.25", "data.train_sequences=64", "trainer.max_epochs=30",
    "trainer.check_val_every_n_epoch=10", "trainer.log_every_n_steps=8",
]  # fmt: skip
with initialize_config_module("predcnn.configs", version_base="1.3"):
    mean_overrides = [*task, *data_overrides, "model=mean_frame", f"run_dir={run}/mean_frame"]
    mean, mse = (
        train(compose("train", w)) for w in (mean_overrides, [*task, f"run_dir={run}", *overrides])
    )
    best = f"ckpt_path={run}/checkpoints/best.ckpt"
    predict(compose("predict", [best, f"input='{clip}'", "size=model", "horizon=30"]))
copy_last = json.loads((run / "results.json").read_text())["copy_last"]["metrics"]["mse"]
losses = read_history(run / "metrics.csv")["train/loss"][1]
print(f"training loss {losses[0]:.5f} -> {losses[-1]:.5f}, {losses[0] / losses[-1]:.0f} times less")
print(f"MSE of the clip's end: {mse:.2f}; copy last {copy_last:.2f}, mean frame {mean:.2f}")
