"""Compiled kernels for CPUs: optional, built once on first use, never at import.

C++ without dependencies, compiled by the machine's own compiler into the user's cache folder and
called through ctypes, which takes seconds where an extension against torch's headers takes minutes.
Without a compiler everything runs as plain PyTorch. Every operator that has a kernel has a plain
twin that it is tested against; `plain` switches all fast paths off.
"""

from predcnn.native.choice import (
    BYTES,
    Kernels,
    describe,
    kernels_for,
    kernels_in_graph,
    plain,
    plain_wanted,
)
