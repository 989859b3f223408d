"""ImageNet networks of the blocks of `predcnn.blocks`, registered on import.

timm knows them as ``predcnn_<name>``.
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
