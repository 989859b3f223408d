"""Tensor operators without paper names, each implemented once."""

from predcnn.native import plain
from predcnn.ops.drop_path import DropPath
