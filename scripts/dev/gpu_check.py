"""Check this package on a GPU: equality, speed, loader, the published recipe, two processes.

    python scripts/dev/gpu_check.py --minutes 8 --out gpu_report     # needs no network
    python scripts/dev/gpu_check.py --make-wheels wheels             # beforehand, with a network
    python scripts/dev/gpu_check.py --wheels wheels                  # installs what is missing
    python scripts/dev/gpu_check.py --resume gpu_report --out more   # continues stage d's training
    python scripts/dev/gpu_check.py --dry-run                        # on a CPU, in two minutes

report.json and report.md are written after every row, so that a check that is cut off keeps what
it has; what was not reached is listed there as "not run".
"""

import argparse
import datetime
import sys
import time
from pathlib import Path

# a script's path starts at its own folder; `predcnn`, `scripts` and `tests` lie in the root
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.dev.gpu import packages

STAGES = {
    "a": ("equality", 0.20),
    "b": ("speed", 0.35),
    "c": ("feeding", 0.05),
    "d": ("recipe", 0.30),
    "e": ("two_nodes", 0.10),
}
"""Letter -> module, share of the minutes."""


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("gpu_report"))
    parser.add_argument("--stages", default="abcde", help="letters of the stages to run")
    parser.add_argument("--wheels", type=Path, help="folder to install missing packages from")
    parser.add_argument("--make-wheels", type=Path, metavar="DIR", help="fill such a folder")
    parser.add_argument("--resume", type=Path, help="folder of an earlier check")
    parser.add_argument("--epochs", type=int, default=200, help="of stage d; 10 fit into an hour")
    parser.add_argument("--full", action="store_true", help="everything, whatever time it takes")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on a CPU")
    found = parser.parse_args(words)
    if unknown := set(found.stages) - set(STAGES):
        parser.error(f"--stages takes letters among {''.join(STAGES)}, not {''.join(unknown)}")
    return found


def _check_options(options: argparse.Namespace) -> None:
    import torch

    if not options.dry_run and not torch.cuda.is_available():
        raise RuntimeError("torch finds no CUDA device here; --dry-run checks the script on a CPU")
    if (options.out / "report.json").exists():
        raise RuntimeError(f"--out {options.out} holds a report already: name another folder")


def _about(device: str, peak: float) -> dict[str, object]:
    import torch

    return {
        "date": datetime.date.today().isoformat(),
        "device": device,
        "torch": torch.__version__,
        "command": " ".join(["gpu_check.py", *sys.argv[1:]]),
        "matrix product, T multiply–adds/s": peak / 1e12,
    }


def _seconds(letter: str, options: argparse.Namespace, end: float) -> float:
    """Return the time of a stage; "d" takes what is left, but for the share of those after it."""
    seconds = STAGES[letter][1] * options.minutes * 60
    if letter == "d":
        seconds = end - time.monotonic() - STAGES["e"][1] * options.minutes * 60
    return max(seconds, 3600.0) if options.full else seconds


def check(options: argparse.Namespace) -> None:
    """Run the stages in order and write the report."""
    import importlib

    import torch

    from predcnn.costs import describe_device
    from scripts.dev.gpu import report
    from scripts.dev.gpu.stage import Setting, Stage
    from scripts.dev.gpu.timing import matrix_peak

    _check_options(options)
    device = torch.device("cpu" if options.dry_run else "cuda")
    options.out.mkdir(parents=True, exist_ok=True)
    setting = Setting(
        device=device,
        dry=options.dry_run,
        full=options.full,
        out=options.out.resolve(),
        resume=None if options.resume is None else options.resume.resolve(),
        epochs=options.epochs,
        peak=matrix_peak(device),
    )
    about = _about(describe_device(device), setting.peak)
    end = time.monotonic() + options.minutes * 60
    stages: list[Stage] = []

    def save() -> None:
        report.write(setting.out, about, [stage.record() for stage in stages])

    for letter in options.stages:
        module, seconds = STAGES[letter][0], _seconds(letter, options, end)
        stages.append(Stage(f"{letter}. {module}", max(seconds, 0.0), save))
        importlib.import_module(f"scripts.dev.gpu.{module}").run(stages[-1], setting)
        save()
    print(f"report: {options.out / 'report.md'}")


def main() -> None:
    """Run from the shell; report missing packages in one sentence."""
    options = arguments()
    try:
        if options.make_wheels is not None:
            packages.make_wheels(options.make_wheels)
            return
        packages.prepare(options.wheels)
        check(options)
    except RuntimeError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
