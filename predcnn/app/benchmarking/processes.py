"""One entry, one process: started, waited for, measured, its failure said in a sentence."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TRAIN = "import sys; sys.argv[0] = 'predcnn-train'; from predcnn.app.cli import train; train()"


class EntryError(Exception):
    """A process of an entry ended badly; the message is the reason."""


@dataclass(frozen=True)
class Usage:
    """What a process took: processor seconds, and the peak of its resident memory in bytes."""

    cpu_s: float
    peak_bytes: int


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock file, waiting for whoever holds it; gives the descriptor to hand to children.

    A child that outlives a killed benchmark keeps the lock until it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def run_train(words: Sequence[str], log: Path, lock: int, device: str | None) -> Usage:
    """Run the train command with ``words``; its output goes behind what ``log`` holds."""
    return _run(["-c", TRAIN, *words], log, lock, device)


def run_module(
    module: str, words: Sequence[str], log: Path, lock: int, device: str | None
) -> Usage:
    """Run a module of this package with ``words``."""
    return _run(["-m", module, *words], log, lock, device)


def _run(words: Sequence[str], log: Path, lock: int, device: str | None) -> Usage:
    environment: Mapping[str, str] = os.environ
    if device is not None:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": device}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(lock,),
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:  # the process got the signal too and stops by itself
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise EntryError(_reason(process.returncode, log))
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _reason(code: int, log: Path) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        memory = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"killed by {name}{memory}"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line), f"exit code {code}")
    return said.removeprefix("error: ")
