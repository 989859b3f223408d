"""Tools that show what image networks and video predictors respond to, in plain PyTorch.

Every tool uses a network through the interface of `predcnn.analysis.subject`.
"""

from predcnn.analysis.channels import channel_profile
from predcnn.analysis.erf import effective_receptive_field, high_contribution_area
from predcnn.analysis.gradcam import grad_cam
from predcnn.analysis.interactions import interaction_strength, measure_interactions
from predcnn.analysis.shape_bias import shape_bias
from predcnn.analysis.subject import ClassifierSubject, PredictorSubject, Subject
