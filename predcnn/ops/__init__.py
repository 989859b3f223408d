"""Tensor operators without paper names, each implemented once."""

from predcnn.ops.drop_path import DropPath
