"""Keep freed memory of training steps in the process (glibc).

A training step on a CPU allocates and frees hundreds of megabytes. glibc maps every large buffer
anew and unmaps it on release, so each step pays for its page faults again.
"""

import ctypes
import sys

# Parameters of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MIB = 1 << 20


def keep_memory() -> bool:
    """Raise glibc's thresholds so that large buffers are reused; return False without glibc."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = {M_MMAP_THRESHOLD: 1024 * MIB, M_TRIM_THRESHOLD: 2047 * MIB, M_TOP_PAD: 256 * MIB}
    return all(libc.mallopt(parameter, value) == 1 for parameter, value in settings.items())
