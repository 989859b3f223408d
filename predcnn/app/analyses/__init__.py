"""The kinds of analysis by their names: one file each."""

from predcnn.app.analyses.channels import CHANNELS
from predcnn.app.analyses.erf import ERF
from predcnn.app.analyses.gradcam import GRADCAM
from predcnn.app.analyses.interactions import INTERACTIONS
from predcnn.app.analyses.shape_bias import SHAPE_BIAS

ANALYSES = {
    "erf": ERF,
    "interactions": INTERACTIONS,
    "gradcam": GRADCAM,
    "channels": CHANNELS,
    "shape_bias": SHAPE_BIAS,
}
