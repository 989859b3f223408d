"""Optional compiled kernels for CPUs, built on first use, never at import.

C++ without dependencies, compiled into the user's cache folder and called through ctypes. That
takes seconds, where an extension against torch's headers takes minutes. Without a compiler
everything runs in PyTorch. Every kernel is tested against a reference implementation, which
`plain` selects.
"""

from predcnn.native.choice import (
    BYTES,
    Kernels,
    describe,
    kernels_for,
    kernels_in_graph,
    kernels_of,
    plain,
    plain_wanted,
)
