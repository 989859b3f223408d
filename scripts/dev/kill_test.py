"""Kill real trainings with SIGKILL at random moments, resume them, compare with undisturbed ones.

``python scripts/dev/kill_test.py`` takes some minutes; it exits with 1 and names the folder of a
run whose end differs. Trainings are forked from this process, so that starting one does not cost
its imports. The benchmark trains in child processes: half of its kills spare them.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import predcnn.app.benchmark
import predcnn.app.pretrain_backbone
import predcnn.app.train
import predcnn.app.train_backbone  # noqa: F401  all imported once, before the forks
from predcnn.app import cli
from predcnn.app.run_directory import states

SHORT = (
    "trainer.max_epochs=3", "trainer.accelerator=cpu", "trainer.devices=1",
    "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1", "callbacks.drawing=null",
    "callbacks.checkpoint.every_minutes=0.004", "keep_memory=false",
)  # fmt: skip
RUN = (*SHORT, "hydra.run.dir=run")
VIDEO = (
    "data.source=embedded", "data.height=32", "data.train_sequences=24",
    "data.val_sequences=5", "data.test_sequences=5", "data.batch_size=2",
)  # fmt: skip
SIMVP = ("translator=moganet", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.drop_path=0.1")
RECURRENT = (
    "model=convlstm", "model.net.num_hidden=[8,8]", "model.net.filter_size=3",
    "scale.sampling_steps=0.7",
)  # fmt: skip
ARRAYS = (
    "data=array", "data.root=../arrays", "data.frames_in=4", "data.frames_out=4",
    "data.batch_size=2", "data.train_sequences=24", "data.val_sequences=5",
    "data.test_sequences=5", "model.net.N_S=2",
)  # fmt: skip
IMAGES = (
    *RUN, "data.root=../images", "data.image_size=64", "data.batch_size=2", "backbone=van_b0",
    "+backbone_options={dims:[8,8,8,8],depths:[1,1,1,1]}", "drop_path=0.1", "ema=0.9",
)  # fmt: skip
MIXED = ("mixing.mixup_alpha=0.2", "mixing.cutmix_alpha=1.0", "data.re_prob=0.25")
MASKED = (
    "method=a2mim", "callbacks=[default,weight_decay,sparse_mask]",
    "callbacks.sparse_mask.update_every=5",
)  # fmt: skip
KINDS = {
    "SimVP": ("train", (*SIMVP, *RUN, *VIDEO)),
    "ConvLSTM, scheduled sampling": ("train", (*RECURRENT, *RUN, *VIDEO)),
    "arrays with gaps": ("train", (*SIMVP, *RUN, *ARRAYS)),
    "classifier": ("train_backbone", (*MIXED, *IMAGES)),
    "pre-training": ("pretrain_backbone", (*MASKED, *IMAGES)),
}
SETTINGS = {
    f"{name}, {workers} workers": (command, (*words, f"data.num_workers={workers}"))
    for name, (command, words) in KINDS.items()
    for workers in (0, 2)
}
BENCHMARK = (
    "translators=[moganet]", *SIMVP[1:], *SHORT, *VIDEO, "output=run", "batch_sizes=[]",
    "data.num_workers=0",
)  # fmt: skip
SETTINGS["benchmark"] = ("benchmark", BENCHMARK)
Setting = tuple[str, tuple[str, ...]]


def write_data(place: Path) -> None:
    """Noise of two classes for `data=image_folder`, and four sequences for `data=array`."""
    rng, folder = np.random.default_rng(0), place / "images"
    numbers = rng.normal(280, 10, (4, 20, 1, 16, 16)).astype(np.float32)
    numbers[..., :3, :3] = np.nan
    (place / "arrays").mkdir(parents=True)
    np.save(place / "arrays/a.npy", numbers)
    for split, count in (("train", 13), ("val", 2)):
        for name in ("cat", "dog"):
            inside = folder / split / name
            inside.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(inside / f"{i}.png")


def start(folder: Path, setting: Setting, *more: str) -> int:
    """Begin a command in ``folder`` in a process of its own; returns its id."""
    command, words = setting
    pid = os.fork()
    if pid:
        return pid
    os.setpgrp()
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(folder)
    sys.argv = [command, *words, *more]
    code = 0
    try:
        cli.run(command)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        print(stop.code or "", flush=True)
    finally:
        sys.stdout.flush()
        os._exit(code)


def run(folder: Path, setting: Setting, *more: str) -> float:
    """Let a training end by itself; returns its seconds."""
    began = time.monotonic()
    _, status = os.waitpid(start(folder, setting, *more), 0)
    if status:
        raise SystemExit(f"a training failed, see {folder / 'log.txt'}")
    return time.monotonic() - began


def killed(folder: Path, after: float, setting: Setting, *more: str) -> bool:
    """Kill a training ``after`` some seconds; False if it ended before."""
    pid, deadline = start(folder, setting, *more), time.monotonic() + after
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    # loader workers notice the death of their process
    alone = setting[0] != "benchmark" or random.random() < 0.5
    (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def final(folder: Path) -> dict:
    """Return the values that must be equal at the end of two trainings."""
    (file,) = (folder / "run").rglob("results.json")
    path, records = file.parent, folder / "run/records.jsonl"
    rows = map(json.loads, records.read_text().splitlines()) if records.exists() else ()
    kept = torch.load(path / "checkpoints/last.ckpt", weights_only=True)
    best = torch.load(path / "checkpoints/best.ckpt", weights_only=True)
    results = json.loads((path / "results.json").read_text())
    results.pop("timing")
    results["command"] = results["command"].replace(str(folder), "")
    return {
        "weights": kept["state_dict"],
        "optimizer": kept["optimizer_states"],
        "schedule": kept["lr_schedulers"],
        "best weights": best["state_dict"],
        "metrics.csv": (path / "metrics.csv").read_bytes(),
        "results.json": results,
        "records": [row["status"] for row in rows if row["kind"] == "run"],
    }


def equal(a: object, b: object) -> bool:
    """Equal to the last bit, whatever is nested in it."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def disturb(folder: Path, setting: Setting, seconds: float, kills: int, seen: Counter) -> int:
    """Kill one training again and again until it ends; returns how often."""
    folder.mkdir()
    path = folder / "run"
    for done in range(kills + 1):
        more = ("resume=true",) if states(path) else ()
        if done == kills:
            run(folder, setting, *more)
        elif not killed(folder, random.uniform(0.1, seconds), setting, *more):
            break
        else:
            seen["before the first state"] += not states(path)
            seen["while a file was written"] += any(path.rglob(".*.part*"))
            seen["after the last step, before results.json"] += (path / "curves.png").exists()
    return done


def main() -> None:
    """Run all settings and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=64, help="in all, over all settings")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    torch.set_num_threads(1)
    scratch, different, seen = Path(tempfile.mkdtemp(prefix="kill_test_")), [], Counter()
    wanted = -(-given.kills // len(SETTINGS))
    for name, setting in SETTINGS.items():
        place = scratch / name
        write_data(place)
        (place / "whole").mkdir()
        seconds, done, runs = run(place / "whole", setting), 0, 0
        expected = final(place / "whole")
        while done < wanted:
            runs += 1
            cut = place / f"cut {runs}"
            done += disturb(cut, setting, seconds, min(4, wanted - done), seen)
            found = final(cut)
            wrong = [key for key in expected if not equal(expected[key], found[key])]
            if wrong:
                different.append(f"{cut}: {', '.join(wrong)}")
        print(f"{name}: {seconds:.0f} s undisturbed, {done} kills over {runs} runs", flush=True)
    print("\n".join(f"{count} kills {when}" for when, count in seen.items()))
    print("\n".join(different) or "every run ended as the undisturbed one, to the last bit")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
