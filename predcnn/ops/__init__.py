"""Tensor operators without paper names, each implemented once; the common layers by name.

In a signature, ``dim`` and ``channels`` are C in the shapes of the docstring, ``out`` is the number
of output channels (``dim`` if None), ``hidden`` that of hidden channels.
"""

from predcnn.native import plain
from predcnn.ops.attention import MapAttention, MultiHeadAttention
from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.drop_path import DropPath
from predcnn.ops.fold import fold_norm_into_next
from predcnn.ops.init import init_fan_out, init_trunc_normal
from predcnn.ops.mlp import ConvMlp, TokenMlp
from predcnn.ops.norm import GRN, LayerNorm2d, LayerScale
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.ops.reparam import ConvBN, absorb_, depthwise_bn
