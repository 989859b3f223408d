"""Tools that show what image networks and video predictors respond to, in plain PyTorch.

Every tool uses a network through the interface of `predcnn.analysis.subject`.
"""

from predcnn.analysis.channels import channel_profile
from predcnn.analysis.classifier import ClassifierSubject
from predcnn.analysis.erf import effective_receptive_field, high_contribution_area
from predcnn.analysis.gradcam import grad_cam
from predcnn.analysis.interactions import interaction_strength, measure_interactions
from predcnn.analysis.predictor import PredictorSubject
from predcnn.analysis.shape_bias import shape_bias
from predcnn.analysis.subject import Subject

__all__ = [
    "ClassifierSubject",
    "PredictorSubject",
    "Subject",
    "channel_profile",
    "effective_receptive_field",
    "grad_cam",
    "high_contribution_area",
    "interaction_strength",
    "measure_interactions",
    "shape_bias",
]
