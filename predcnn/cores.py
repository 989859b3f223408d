"""Environment variables that torch reads when it is loaded; this module does not load it.

`adapt` chooses the number of OpenMP threads and how they wait for each other, `make_strict` fixes
the order of sums.

OpenMP threads busy-wait. On an idle machine that is fastest; where another program uses a core,
threads spend their time slices waiting for one that cannot run, and a step takes several times as
long. On a busy machine a thread per unused core, waiting passively, is fastest.
"""

import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from predcnn.checks import unknown

BUSY_CORES = 0.3  # cores used by other programs from which a machine counts as busy
WATCH_S = 0.5
EXPLICIT = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
STRICT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",  # would override OMP_NUM_THREADS for matrix products
    "ATEN_CPU_CAPABILITY": "default",  # torch's own operators without AVX2 and AVX-512
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",  # float32 products in float32
    "MKL_CBWR": "COMPATIBLE",
    "PREDCNN_KERNELS": "0",
}
"""Variables of ``deterministic=strict``."""


def machine_seconds() -> float | None:
    """Return the processor seconds of all programs since boot, where the system counts them.

    Time that the host gave to other guests is included.
    """
    counts = Path("/proc/stat")
    if not counts.exists():
        return None
    first = counts.read_text().splitlines()[0]
    user, nice, system, _, _, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Measure the cores that other programs use, from construction to `others`."""

    def __init__(self) -> None:
        self._machine, self._own, self._start = self._now()

    def _now(self) -> tuple[float | None, float, float]:
        return machine_seconds(), time.process_time(), time.perf_counter()

    def others(self, seconds: float = 0.0) -> float | None:
        """Return the cores used by others over ``seconds`` or more; None where not counted."""
        time.sleep(max(0.0, self._start + seconds - time.perf_counter()))
        machine, own, now = self._now()
        if machine is None or self._machine is None:
            return None
        used = machine - self._machine - (own - self._own)
        return max(0.0, used / max(now - self._start, 1e-3))


def thread_settings(others: float | None, cores: int) -> dict[str, str]:
    """Return the variables for ``others`` busy cores: none on an idle machine."""
    if others is None or others < BUSY_CORES:
        return {}
    unused = max(1, cores - max(1, round(others)))
    return {"OMP_NUM_THREADS": str(unused), "OMP_WAIT_POLICY": "passive"}


def adapt(watch: Watch, environment: MutableMapping[str, str] = os.environ) -> None:
    """Use fewer threads that wait passively on a busy machine, and print one line.

    To be called before torch is imported: its OpenMP library reads the environment once. Variables
    that the user has set are kept.
    """
    if any(name in environment for name in EXPLICIT):
        return
    others = watch.others(WATCH_S)
    cores = os.cpu_count() or 1
    chosen = thread_settings(others, cores)
    if chosen:
        environment.update(chosen)
        print(
            f"other programs use {others:.1f} of {cores} cores: "
            + " ".join(f"{name}={value}" for name, value in chosen.items()),
            flush=True,
        )


def make_strict(chosen: str | None, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables of ``deterministic=strict`` for this process and its children."""
    if chosen not in (None, "strict"):
        message = unknown("deterministic", chosen, ("strict", "null"))
        raise ValueError(f"{message}; algorithms on GPUs are trainer.deterministic=true")
    if chosen is None or strict_settings(environment):
        return
    if "torch" in sys.modules:
        raise ValueError(
            "deterministic=strict acts before torch is loaded: give it to a command, and to all "
            "runs of a sweep or none"
        )
    environment.update(STRICT)


def strict_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Return the variables of ``deterministic=strict`` if all are set, else None."""
    return dict(STRICT) if STRICT.items() <= dict(environment).items() else None
