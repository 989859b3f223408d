"""ImageNet networks made of the blocks of `predcnn.blocks`. Importing this room registers them.

They are registered with timm as well, as ``predcnn_<name>``.
"""

from predcnn.backbones import (
    hornet,
    internimage,
    moganet,
    replknet,
    slak,
    uniformer,
    unireplknet,
    van,
    vmamba,
)

from predcnn.backbones import timm_names  # isort: skip  # after all families
