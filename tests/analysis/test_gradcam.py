"""Grad-CAM compared with its formula, for every layout of maps and for predictors."""

import pytest
import torch

from predcnn.analysis import ClassifierSubject, grad_cam
from predcnn.analysis.subject import maps_and_gradients
from tests.analysis.subjects import classifier, clips, convolutions, simvp


def test_maps_equal_the_formula():
    subject, x = classifier(), clips(2, size=64)
    x = subject.enter(x)
    target = subject.target(x)
    net = subject.net
    maps = net.stages(net.stem(x[:, 0])).detach().requires_grad_()
    logits = net.forward_head(net.norm_pre(maps))
    (gradient,) = torch.autograd.grad(logits[range(2), target].sum(), maps)
    cam = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu().detach()
    large = torch.nn.functional.interpolate(cam, (64, 64), mode="bilinear")
    low, high = (f((1, 2, 3), keepdim=True) for f in (large.amin, large.amax))
    found = grad_cam(subject, x, target)
    assert found.shape == (1, 2, 1, 64, 64)
    torch.testing.assert_close(found[0], (large - low) / (high - low))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1), "num_heads": (1, 2), "embed_dim": 8}),
        ("vit_tiny_patch16_224", {"depth": 2, "embed_dim": 12}),
        ("mixer_s32_224", {}),
    ],
)
def test_maps_of_every_layout_are_enlarged(name, options):
    subject = classifier(name, **options)
    torch.nn.init.normal_(subject.net.get_classifier().weight)  # some begin with zeros
    x = subject.enter(clips(1, size=224))
    cam = grad_cam(subject, x, torch.tensor([1]))
    assert cam.shape == (1, 1, 1, 224, 224)
    assert (cam.amin().item(), cam.amax().item()) == (0.0, pytest.approx(1.0))


def test_in_place_operations_after_the_layer_change_nothing():
    x = -clips(1, channels=1, size=9)
    maps, gradients = maps_and_gradients(convolutions(), "stages", x, torch.tensor([0]))
    assert maps.max() < 0  # before the in-place ReLU
    assert gradients.abs().max() == 0


def test_a_predictor_has_a_map_per_past_frame_and_lead_time():
    subject, x = simvp(), clips(2, 4, 1, 16)
    cam = grad_cam(subject, x, x)
    assert cam.shape == (3, 2, 4, 16, 16)
    assert cam.amax((2, 3, 4)).min() == pytest.approx(1.0)


def test_an_unknown_layer_suggests_the_closest():
    subject = simvp(layer="encodr")
    with pytest.raises(ValueError, match="did you mean encoder"):
        grad_cam(subject, clips(1, 4, 1, 16), torch.zeros(1))


def test_a_layer_without_maps_raises():
    subject = classifier()
    subject = ClassifierSubject(subject.net, "atto", layer="head.fc")
    with pytest.raises(ValueError, match="choose another layer"):
        grad_cam(subject, clips(1, size=64), torch.tensor([0]))
