"""Stopping a training at a moment that it can be continued from."""

import os
import signal
import subprocess
import sys
import threading


class Interrupted(BaseException):
    """A training stopped because a signal asked for it, after its state was saved.

    Attributes:
        signal: the signal.
    """

    def __init__(self, number: signal.Signals, where: str) -> None:
        super().__init__(f"stopped by {number.name} {where}")
        self.signal = number


class StopSignals:
    """Ctrl-C, SIGTERM and a cluster's requeue signal as a wish, read between two steps.

    A second Ctrl-C is a KeyboardInterrupt, wherever the training is.

    Attributes:
        received: the first signal that came; None: none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def watch(self, *others: signal.Signals) -> None:
        """Listen to SIGINT, SIGTERM and ``others``; only a main thread can.

        Ctrl-C stays without effect where it had none: on a process that a shell started with ``&``.
        """
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, *others):
            if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back to whoever had them."""
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
        # not print: the signal may have come in the middle of one
        text = f"\n{self.received.name}: saving after this step or validation{again}\n"
        os.write(sys.__stderr__.fileno(), text.encode())


def requeue_slurm_job() -> None:
    """Ask SLURM to run this job again; the same command then continues its run.

    Raises:
        OSError, subprocess.CalledProcessError: there is no scontrol, or it refused.
    """
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    subprocess.run(["scontrol", "requeue", job], check=True)


def requeued() -> bool:
    """Whether SLURM has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
