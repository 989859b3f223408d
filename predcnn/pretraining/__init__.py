"""Masked image modelling: backbones that learn from images without labels.

Importing this package registers its methods: (backbone, image size) -> a `MaskedImageModel`.
"""

from predcnn.pretraining import a2mim, fcmae, simmim, spark
from predcnn.pretraining.method import create_method
