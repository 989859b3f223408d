"""The examples of docs/how-to/downstream.md run forward and backward on a real backbone."""

import re
from pathlib import Path

import pytest
import torch

import predcnn
from predcnn.backbones.pose import TopDownPose, draw_heat_maps
from predcnn.backbones.pyramid import FeaturePyramid

TEXT = (Path(__file__).resolve().parent.parent / "docs/how-to/downstream.md").read_text(
    encoding="utf-8"
)
EXAMPLES = dict(re.findall(r"<!-- python (\w+) -->\n```python\n(.*?)```", TEXT, re.DOTALL))
OPTIONAL = {"fpn", "upernet"}
FOUND = {
    "retinanet": {"boxes", "scores", "labels"},
    "mask_rcnn": {"boxes", "scores", "labels", "masks"},
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_forward_and_backward(name):
    if name in OPTIONAL:
        reason = "segmentation_models_pytorch is not installed (extra: downstream)"
        pytest.importorskip("segmentation_models_pytorch", reason=reason)
    code = EXAMPLES[name]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    found: dict = {}
    exec(code, found)
    found["loss"].backward()
    backbone = [(n, p) for n, p in found["model"].named_parameters() if ".stages." in n]
    assert backbone
    without = [n for n, p in backbone if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not without
    assert any(p.grad.abs().sum() > 0 for n, p in backbone if ".stages.0." in n)
    if name in FOUND:
        assert set(found["found"][0]) == FOUND[name]


def test_every_head_has_its_example():
    assert set(EXAMPLES) == {"retinanet", "mask_rcnn", "pose"} | OPTIONAL


def small(**options):
    return predcnn.create_backbone("van_b0", features_only=True, depths=(1, 1, 1, 1), **options)


def test_pyramid_levels_have_the_strides_of_their_detectors():
    for extra, sizes in (
        ("pool", [16, 8, 4, 2, 1]),
        ("p6p7", [16, 8, 4, 2, 1, 1]),
        (None, [16, 8, 4, 2]),
    ):
        maps = FeaturePyramid(small(), out_channels=8, extra=extra)(torch.rand(1, 3, 64, 64))
        assert [m.shape[-1] for m in maps.values()] == sizes
        assert {m.shape[1] for m in maps.values()} == {8}


def test_isotropic_networks_make_no_pyramid():
    with pytest.raises(ValueError, match="isotropic"):
        predcnn.create_backbone("timm/vit_tiny_patch16_224", features_only=True, img_size=64)
    flat = predcnn.create_backbone(
        "timm/vit_tiny_patch16_224", features_only=True, img_size=64, out_indices=(5, 11)
    )
    with pytest.raises(ValueError, match=r"strides double, not \[16, 16\]"):
        FeaturePyramid(flat)
    heat_maps = TopDownPose(flat, joints=2)(torch.rand(1, 3, 64, 64))
    assert heat_maps.shape == (1, 2, 32, 32)


def test_a_head_needs_feature_maps():
    for head in (FeaturePyramid, TopDownPose):
        with pytest.raises(TypeError, match="features_only=True"):
            head(torch.nn.Identity())
    with pytest.raises(ValueError, match="p6p7"):
        FeaturePyramid(small(), extra="p6")


def test_heat_maps_are_gaussians_at_the_joints():
    joints = torch.tensor([[[20.0, 12.0]]])
    maps = draw_heat_maps(joints, (16, 12), stride=4, sigma=2.0)
    assert maps.shape == (1, 1, 16, 12)
    for y in range(16):
        for x in range(12):
            expected = torch.exp(torch.tensor(-((x - 5) ** 2 + (y - 3) ** 2) / 8.0))
            assert maps[0, 0, y, x] == pytest.approx(float(expected), abs=1e-6)


def test_decoding_gives_the_joints_back():
    model = TopDownPose(small(), joints=50)
    joints = torch.rand(2, 50, 2) * torch.tensor([36.0, 52.0]) + 4  # not in the last cells
    places, scores = model.decode(draw_heat_maps(joints, (16, 12), model.stride))
    assert (places - joints).abs().max() <= model.stride / 4 + 1e-4
    assert scores.min() > 0.9


def test_an_invisible_joint_has_no_loss():
    model = TopDownPose(small(), joints=2)
    maps = torch.zeros(1, 2, 16, 12, requires_grad=True)
    joints, visible = torch.tensor([[[20.0, 12.0], [8.0, 8.0]]]), torch.tensor([[True, False]])
    model.loss(maps, joints, visible).backward()
    assert maps.grad[0, 0].abs().sum() > 0
    assert maps.grad[0, 1].abs().sum() == 0
    assert float(model.loss(maps, joints, torch.zeros(1, 2, dtype=torch.bool))) == 0.0
