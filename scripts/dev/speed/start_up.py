"""Start-up time of a command, compared with that of importing torch."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.dev.speed.comparing import How, Row, row_of

_COMMANDS = {
    "help": [sys.executable, "-c", "from predcnn.app.cli import run; run('train')", "--help"],
    "import": [sys.executable, "-c", "import predcnn"],
}


@dataclass(frozen=True)
class _StartCase:
    """A process of ours against one that imports torch."""

    name: str
    command: tuple[str, ...]
    tolerance: float = 0.0
    note: str = "plain: `import torch`; the difference is ours"

    def measure(self, how: How) -> Row:
        """Wall time of complete processes, alternating, after one of each."""
        bare = (sys.executable, "-c", "import torch")
        seconds: list[list[float]] = [[], []]
        for round_ in range(how.rounds + 1):
            for command, found in zip((self.command, bare), seconds, strict=True):
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                if round_:
                    found.append(time.perf_counter() - start)
        return row_of(self, *seconds, error=0.0)


def cases(wanted: Callable[[str], bool]) -> Iterator[_StartCase]:
    """``train.py --help`` and ``import predcnn``."""
    for name, command in _COMMANDS.items():
        if wanted(name):
            yield _StartCase(f"start of {name}", tuple(command))
