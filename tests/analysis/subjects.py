"""Small networks with known results, and small real ones."""

import timm
import torch
from torch import Tensor, nn

import predcnn
from predcnn.analysis import ClassifierSubject, PredictorSubject


class Convolutions(nn.Module):
    """Three 3x3 convolutions of ones without a bias, and a linear head over the mean."""

    feature_info = ({"module": "stages", "num_chs": 1, "reduction": 1},)

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(3)))
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(1, 2, bias=False)
        for conv in self.stages:
            nn.init.ones_(conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.stages(x)).mean((2, 3)))


def convolutions() -> ClassifierSubject:
    return ClassifierSubject(Convolutions(), "convolutions", mean=[0.0], std=[1.0])


def classifier(name: str = "convnext_atto", **options) -> ClassifierSubject:
    return ClassifierSubject(timm.create_model(name, num_classes=5, **options), name)


def simvp(translator: str = "gsta", **options) -> PredictorSubject:
    torch.manual_seed(0)
    net = predcnn.create_predictor(
        "simvp", in_shape=(4, 1, 16, 16), translator=translator, hid_S=4, hid_T=8, N_S=2, N_T=2
    )
    return PredictorSubject(net, translator, **options)


def clips(count: int = 2, frames: int = 1, channels: int = 3, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.rand(count, frames, channels, size, size, generator=generator)
