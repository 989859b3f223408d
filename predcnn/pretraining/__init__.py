"""Masked image modelling: backbones that learn from images without labels.

Importing this room registers its methods: (backbone, image size) -> a `MaskedImageModel`.
"""

from predcnn.pretraining import a2mim, fcmae, simmim, spark
