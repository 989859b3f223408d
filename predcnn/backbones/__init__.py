"""ImageNet networks made of the blocks of `predcnn.blocks`. Importing this room registers them.

They are registered with timm as well, as ``predcnn_<name>``.
"""

from predcnn.backbones import moganet, timm_names, van
