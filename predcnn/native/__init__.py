"""Optional compiled kernels for CPUs, built on first use, never at import.

C++ without dependencies is compiled into the user's cache folder and called through ctypes: seconds
instead of the minutes of an extension that includes torch's headers. Without a compiler everything
runs in PyTorch. `plain` selects the reference implementations, with which tests compare kernels.
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
