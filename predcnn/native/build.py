"""Compile the kernels into the user's cache folder and load them."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import warnings
from pathlib import Path

from predcnn.files import replacing

HERE = Path(__file__).resolve().parent
SOURCES = tuple(sorted(path.name for path in HERE.glob("*.cpp")))
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-std=c++17", "-fopenmp", "-fPIC")
FLAGS += ("-shared", "-fno-math-errno", "-fno-trapping-math")
FLAGS += ("-Wno-psabi", "-Wno-ignored-attributes")
SWITCH = "PREDCNN_KERNELS"  # environment variable; 0 disables the kernels


def _processor() -> str:
    """Describe the processor, on which -march=native depends."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features")
    lines = info.read_text().splitlines()
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _identity(compiler: str) -> str:
    """Hash everything that determines the compiled library."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    parts = [version, " ".join(FLAGS), _processor()]
    parts += [(HERE / name).read_text(encoding="utf-8") for name in ("vectors.h", *SOURCES)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@functools.cache
def load() -> ctypes.CDLL | str:
    """Load the compiled kernels once per process, or return why there are none."""
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}=0"
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next((path for name in names if name and (path := shutil.which(name))), None)
    if compiler is None:
        return "no C++ compiler (c++, g++, clang++ or $CXX)"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        target = cache / "predcnn" / f"kernels-{_identity(compiler)}.so"
        if not target.exists():
            with replacing(target) as temporary:  # safe if several processes compile
                sources = [str(HERE / source) for source in SOURCES]
                command = [compiler, *FLAGS, "-o", str(temporary), *sources]
                subprocess.run(command, capture_output=True, text=True, check=True)
        return ctypes.CDLL(str(target))
    except subprocess.CalledProcessError as error:
        reason = f"{compiler} failed: {error.stderr.strip()[-500:]}"
    except OSError as error:
        reason = f"not loadable: {error}"
    warnings.warn(f"predcnn runs without compiled kernels: {reason}", stacklevel=2)
    return reason
