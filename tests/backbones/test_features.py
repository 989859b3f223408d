"""Feature maps with timm's interface, of our networks and of timm's."""

import pytest
import timm
import torch

import predcnn
from tests.backbones.test_create import SMALLEST, small


@pytest.mark.parametrize("name", SMALLEST)
def test_pyramid(name):
    net = small(name, features_only=True).eval()
    maps = net(torch.rand(1, 3, 64, 96))
    assert net.feature_info.reduction() == [4, 8, 16, 32]
    assert [m.shape[1] for m in maps] == net.feature_info.channels()
    for stride, m in zip(net.feature_info.reduction(), maps, strict=True):
        assert m.shape[2:] == (64 // stride, 96 // stride)
    assert not any("head" in key for key, _ in net.named_parameters())


def test_forward_intermediates():
    net = small("uniformer_small_plus").eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        last, maps = net.forward_intermediates(x, indices=[0, -1])
        assert torch.equal(last, net.forward_features(x))
        assert torch.equal(last, net.norm(maps[1]))
        assert torch.equal(net.forward_intermediates(x, indices=1, norm=True)[1][0], last)
        early, (second,) = net.forward_intermediates(x, indices=[1], stop_early=True)
        assert torch.equal(early, second)
        only = net.forward_intermediates(x, intermediates_only=True)
    assert len(only) == 4
    assert torch.equal(only[0], maps[0])
    with pytest.raises(ValueError, match="NCHW"):
        net.forward_intermediates(x, output_fmt="NHWC")
    with pytest.raises(ValueError, match="4 feature maps"):
        net.forward_intermediates(x, indices=[4])


def test_pruning_keeps_what_the_maps_need():
    net = small("uniformer_small_plus").eval()
    x = torch.rand(1, 3, 32, 32)
    before = net.forward_intermediates(x, indices=[0, 2])[1]
    assert net.prune_intermediate_layers([0, 2], prune_norm=True) == [0, 2]
    assert len(net.stages) == 3
    assert list(net.head.parameters()) == list(net.norm.parameters()) == []
    after = net.forward_intermediates(x, indices=[0, 2])[1]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_timm_creates_our_feature_networks():
    net = timm.create_model("predcnn_moganet_xtiny", features_only=True, out_indices=(0, 2, 3))
    maps = net(torch.rand(1, 3, 64, 64))
    assert net.feature_info.channels() == [m.shape[1] for m in maps] == [32, 96, 192]
    assert net.feature_info.reduction() == [4, 16, 32]


@pytest.mark.parametrize(
    ("name", "options", "channels"),
    [
        ("timm/resnet10t", {}, [64, 128, 256, 512]),
        ("timm/swin_tiny_patch4_window7_224", {"strict_img_size": False}, [96, 192, 384, 768]),
    ],
)
def test_timm_pyramids_have_the_same_strides(name, options, channels):
    net = predcnn.create_backbone(name, features_only=True, **options)
    maps = net(torch.rand(1, 3, 64, 64))
    assert net.feature_info.reduction() == [4, 8, 16, 32]
    assert [m.shape[1:] for m in maps] == [
        (c, 64 // s, 64 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)
    ]


def test_isotropic_networks_need_out_indices():
    name = "timm/vit_tiny_patch16_224"
    with pytest.raises(ValueError, match=r"isotropic.* all have stride 16"):
        predcnn.create_backbone(name, features_only=True)
    net = predcnn.create_backbone(name, features_only=True, out_indices=(5, -1))
    assert [tuple(m.shape) for m in net(torch.rand(1, 3, 224, 224))] == [(1, 192, 14, 14)] * 2
