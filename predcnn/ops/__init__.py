"""Tensor operators without paper names, each implemented once.

In a signature, ``dim`` and ``channels`` are C in the shapes of the docstring, ``out`` is the number
of output channels (``dim`` if None), ``hidden`` that of hidden channels.
"""

from predcnn.native import plain
from predcnn.ops.drop_path import DropPath
