"""Kill real trainings with SIGKILL at random moments, resume them, compare with undisturbed ones.

``python scripts/dev/kill_test.py --kills 32`` takes some minutes; it exits with 1 and names the
folder of a run whose end differs. Trainings are forked from this process, so that starting one does
not cost its imports.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

import predcnn.app.train  # noqa: F401  imported once, before the forks
from predcnn.app import cli
from predcnn.app.resume import states

RUN = (
    "data.source=embedded", "data.height=32", "data.train_sequences=24", "data.val_sequences=5",
    "data.test_sequences=5", "data.batch_size=2", "trainer.max_epochs=3", "trainer.accelerator=cpu",
    "trainer.devices=1", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1",
    "callbacks.drawing=null", "callbacks.checkpoint.every_minutes=0.004", "keep_memory=false",
    "hydra.run.dir=run",
)  # fmt: skip
SIMVP = ("translator=moganet", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.drop_path=0.1")
RECURRENT = (
    "model=convlstm", "model.net.num_hidden=[8,8]", "model.net.filter_size=3",
    "scale.sampling_steps=24",
)  # fmt: skip
SETTINGS = {
    f"{name}, {workers} workers": (*words, *RUN, f"data.num_workers={workers}")
    for name, words in (("SimVP", SIMVP), ("ConvLSTM, scheduled sampling", RECURRENT))
    for workers in (0, 2)
}


def start(folder: Path, words: tuple[str, ...]) -> int:
    """Begin ``train.py words`` in ``folder`` in a process of its own; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(folder)
    sys.argv = ["train.py", *words]
    code = 0
    try:
        cli.train()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        print(stop.code or "", flush=True)
    finally:
        sys.stdout.flush()
        os._exit(code)


def run(folder: Path, words: tuple[str, ...]) -> float:
    """Let a training end by itself; returns its seconds."""
    began = time.monotonic()
    _, status = os.waitpid(start(folder, words), 0)
    if status:
        raise SystemExit(f"a training failed, see {folder / 'log.txt'}")
    return time.monotonic() - began


def killed(folder: Path, words: tuple[str, ...], after: float) -> bool:
    """Kill a training ``after`` some seconds; False if it ended before."""
    pid, deadline = start(folder, words), time.monotonic() + after
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def final(folder: Path) -> dict:
    """What must be equal at the end of two trainings."""
    path = folder / "run"
    kept = torch.load(path / "checkpoints/last.ckpt", weights_only=True)
    best = torch.load(path / "checkpoints/best.ckpt", weights_only=True)
    results = json.loads((path / "results.json").read_text())
    results.pop("timing")
    return {
        "weights": kept["state_dict"],
        "optimizer": kept["optimizer_states"],
        "schedule": kept["lr_schedulers"],
        "best weights": best["state_dict"],
        "metrics.csv": (path / "metrics.csv").read_bytes(),
        "results.json": results,
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


def disturb(folder: Path, words: tuple[str, ...], seconds: float, kills: int, seen: dict) -> int:
    """Kill one training again and again until it ends; returns how often."""
    done = 0
    folder.mkdir()
    while True:
        resume = ("resume=true",) if states(folder / "run") else ()
        if done == kills or not killed(folder, (*words, *resume), random.uniform(0.1, seconds)):
            break
        done += 1
        seen["before the first state"] += not states(folder / "run")
        seen["while a file was written"] += any((folder / "run").rglob(".*.part*"))
        seen["after the last step"] += (folder / "run/checkpoints/last.ckpt").exists() and (
            torch.load(folder / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 36
        )
    if done == kills:
        run(folder, (*words, *resume))
    return done


def main() -> None:
    """Run all settings and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=32, help="in all, over the four settings")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    torch.set_num_threads(1)
    scratch, different = Path(tempfile.mkdtemp(prefix="kill_test_")), []
    seen = dict.fromkeys(
        ("before the first state", "while a file was written", "after the last step"), 0
    )
    for name, words in SETTINGS.items():
        whole = scratch / f"{name} whole"
        whole.mkdir()
        seconds, done, runs = run(whole, words), 0, 0
        wanted, expected = -(-given.kills // len(SETTINGS)), final(whole)
        while done < wanted:
            runs += 1
            cut = scratch / f"{name} {runs}"
            done += disturb(cut, words, seconds, min(4, wanted - done), seen)
            found = final(cut)
            wrong = [key for key in expected if not equal(expected[key], found[key])]
            if wrong:
                different.append(f"{cut}: {', '.join(wrong)}")
        print(f"{name}: {seconds:.0f} s undisturbed, {done} kills over {runs} runs", flush=True)
    print(f"kills {', '.join(f'{key}: {count}' for key, count in seen.items())}")
    print("\n".join(different) or "every run ended as the undisturbed one, to the last bit")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
