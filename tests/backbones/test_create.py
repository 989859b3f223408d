"""Names and options of backbones, errors for wrong ones, common behaviour of the families."""

import pytest
import timm
import torch
from torch import nn

import predcnn
from predcnn.backbones.staged import StagedBackbone
from predcnn.ops import DropPath
from predcnn.registry import BACKBONES

NAMES = {
    "moganet": "xtiny tiny small base large xlarge",
    "van": "b0 b1 b2 b3 b4 b5 b6",
    "hornet": "tiny_7x7 tiny_gf small_7x7 small_gf base_7x7 base_gf large_7x7 large_gf",
    "replknet": "31b 31l xl",
    "slak": "tiny small base",
    "unireplknet": "a f p n t s b l xl",
    "internimage": "t s b l xl",
    "flashinternimage": "t s b l",
    "uniformer": "small small_plus base",
    "vmamba": "tiny small base v0_tiny v0_small v0_base",
}
SMALLEST = {
    "moganet_xtiny": {"dims": (8, 16, 24, 32)},
    "van_b0": {"dims": (8, 16, 24, 32)},
    "hornet_tiny_gf": {"dims": (16, 32, 48, 64)},
    "replknet_31b": {"dims": (8, 16, 24, 32)},
    "slak_tiny": {"dims": (8, 16, 24, 32)},
    "unireplknet_t": {"dims": (8, 16, 24, 32)},
    "internimage_s": {"dims": (16, 16, 32, 32), "groups": (1, 1, 2, 2)},
    "flashinternimage_t": {"dims": (16, 16, 32, 32), "groups": (1, 1, 2, 2)},
    "uniformer_small_plus": {"dims": (8, 16, 32, 64), "head_dim": 16},
    "vmamba_tiny": {"dims": (8, 16, 24, 32)},
    "vmamba_v0_tiny": {"dims": (8, 16, 24, 32)},
}


def small(name: str, **options: object) -> nn.Module:
    return predcnn.create_backbone(name, depths=(1, 1, 2, 1), **SMALLEST[name], **options)


def test_every_published_size_has_a_name():
    expected = [f"{family}_{size}" for family, sizes in NAMES.items() for size in sizes.split()]
    assert predcnn.list_backbones() == sorted(expected)
    assert predcnn.list_backbones("van_*") == [f"van_b{i}" for i in range(7)]
    assert predcnn.list_backbones("timm/convnextv2_at*") == ["timm/convnextv2_atto"]
    assert predcnn.list_backbones("timm/predcnn*") == []


@pytest.mark.parametrize("name", SMALLEST)
def test_every_parameter_of_every_family_has_a_gradient(name):
    net = small(name, num_classes=3, in_chans=2, drop_path_rate=0.2).train()
    out = net(torch.rand(2, 2, 45, 64))
    assert out.shape == (2, 3)
    out.square().sum().backward()
    dead = [key for key, p in net.named_parameters() if p.grad is None]
    assert dead == []
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", SMALLEST)
def test_stochastic_depth_is_linear_over_the_blocks(name):
    net = small(name, drop_path_rate=0.4)
    blocks = [block for stage in net.stages for block in stage.blocks]
    for i, block in enumerate(blocks):
        rates = {part.drop_prob for part in block.modules() if isinstance(part, DropPath)}
        assert sorted(rates) == pytest.approx([0.1 * i])


def test_classifier():
    net = small("van_b0", num_classes=0).eval()
    x = torch.rand(1, 3, 32, 32)
    assert net(x).shape == (1, net.num_features) == (1, 32)
    net.reset_classifier(5)
    assert net(x).shape == (1, net.num_classes) == (1, 5)
    assert net.get_classifier() is net.head.fc
    pooled = net.forward_head(net.forward_features(x), pre_logits=True)
    assert torch.equal(net.get_classifier()(pooled), net(x))
    with pytest.raises(ValueError, match="max"):
        net.reset_classifier(5, "max")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("moganet_tinny", {}, KeyError, "did you mean moganet_tiny"),
        ("timm/convnext_tinny", {}, KeyError, "did you mean timm/convnext_tiny"),
        ("van_b0", {"depth": (1, 1, 1, 1)}, TypeError, "did you mean depths"),
        ("timm/convnextv2_atto", {"depht": 1}, TypeError, "unexpected keyword argument 'depht'"),
        ("van_b0", {"dims": (8, 16)}, ValueError, "one value per stage"),
        ("van_b0", {"mlp_ratios": (8, 4)}, ValueError, "mlp_ratios is one value per stage"),
        ("internimage_t", {"groups": (4, 8)}, ValueError, "groups is one value per stage"),
        ("uniformer_small", {"head_dim": 48}, ValueError, "head_dim 48"),
        (5, {}, TypeError, "named by a string"),
        ("van_b0", {"drop_path_rate": 2.0}, ValueError, "probability"),
        ("van_b0", {"num_classes": -1}, ValueError, "num_classes"),
        ("van_b0", {"out_indices": (1,)}, ValueError, "features_only"),
        ("van_b0", {"weights": "nowhere.pth"}, FileNotFoundError, "nowhere.pth"),
    ],
)
def test_wrong_input_is_an_error(name, options, error, message):
    with pytest.raises(error, match=message):
        predcnn.create_backbone(name, **options)


class Own(nn.Module):
    def __init__(self, *, num_classes=1000, in_chans=3, drop_path_rate=0.0, width=4):
        super().__init__()
        self.fc = nn.Linear(width, num_classes)


def test_a_class_of_the_user_is_created_by_its_path():
    assert predcnn.create_backbone(f"{__name__}.Own", width=2).fc.in_features == 2


def test_options_are_passed_to_timm():
    net = predcnn.create_backbone("timm/convnextv2_atto", num_classes=7, in_chans=1)
    assert net(torch.rand(1, 1, 32, 32)).shape == (1, 7)


def test_our_backbones_are_registered_in_timm():
    ours = set(timm.list_models("predcnn_*"))
    assert ours == {f"predcnn_{name}" for name in BACKBONES.names()}
    for name in timm.list_models():
        module = timm.models.model_entrypoint(name).__module__
        assert module.startswith("predcnn.") == (name in ours), name
    net = timm.create_model("predcnn_van_b0", num_classes=4, drop_path_rate=0.1)
    assert isinstance(net, StagedBackbone)
    assert net.num_classes == 4
    with pytest.raises(ValueError, match="load_official_weights"):
        timm.create_model("predcnn_van_b0", pretrained=True)
