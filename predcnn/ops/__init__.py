"""Tensor operators without paper names, each implemented once.

In a signature, ``dim`` and ``channels`` are the C of the shapes in the docstring, ``out`` the
channels of the result (``dim`` if None), ``hidden`` those inside.
"""

from predcnn.native import plain
from predcnn.ops.drop_path import DropPath
