"""Stop a training on a signal, at a moment from which it can be continued."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


class Interrupted(BaseException):
    """A signal stopped the training, after its state was saved."""

    def __init__(self, number: signal.Signals, where: str) -> None:
        super().__init__(f"stopped by {number.name} {where}")
        self.signal = number


@contextlib.contextmanager
def loud_interrupts(trainer: "Trainer") -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning exits silently on Ctrl-C."""
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


class StopSignals:
    """The first stop signal, as ``received``, or None; a second Ctrl-C stops immediately."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def watch(self, *others: signal.Signals) -> None:
        """Handle stop signals in the main thread; a Ctrl-C that was ignored stays so."""
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, *others):
            if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Restore the previous handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: object) -> None:
        if self.received is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.received = signal.Signals(number)
        again = "; Ctrl-C again stops at once" if number == signal.SIGINT else ""
        text = f"\n{self.received.name}: saving after this step or validation{again}\n"
        os.write(sys.__stderr__.fileno(), text.encode())  # print is not re-entrant


def requeue_signal(trainer: "Trainer") -> signal.Signals | None:
    """Return the signal on which SLURM wants its job requeued; None outside SLURM."""
    # imported here: the command line imports this file for --help
    from lightning.fabric.plugins.environments import SLURMEnvironment

    from predcnn.native.private import cluster_environment

    environment = cluster_environment(trainer)
    if environment is None and SLURMEnvironment.detect():
        environment = SLURMEnvironment()
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal
    return None


def requeue_slurm_job() -> None:
    """Ask SLURM to run this job again; the same command then continues its run."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    subprocess.run(["scontrol", "requeue", job], check=True)


def requeued() -> bool:
    """Return whether SLURM has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
