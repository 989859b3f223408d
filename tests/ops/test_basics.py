"""Stochastic depth, norms, MLPs, initial weights, folding."""

import pytest
import torch
from torch import nn

from predcnn.ops import DropPath
from predcnn.ops.fold import fold_norm_into_next, fold_norm_into_previous
from predcnn.ops.init import init_fan_out, init_trunc_normal
from predcnn.ops.mlp import ConvMlp, TokenMlp
from predcnn.ops.norm import GRN, LayerNorm2d, LayerScale
from tests.ops.reference import assert_near, loaded, reference


def test_drop_path_skips_samples_and_keeps_the_mean():
    x = torch.ones(4000, 2, 3, 3)
    y = DropPath(0.25).train()(x)
    values = y.flatten(1)
    assert (values == values[:, :1]).all()
    assert values.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert y.mean().item() == pytest.approx(1.0, abs=0.05)


def test_drop_path_in_special_cases():
    x = torch.randn(3, 4)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath().train()(x) is x
    assert not DropPath(1.0).train()(x).any()
    changed = DropPath(0.7).train()
    changed.drop_prob = 0.0
    assert changed(x) is x
    with pytest.raises(ValueError, match="probability"):
        DropPath(1.5)


def test_layer_norm_of_maps_is_layer_norm_of_each_pixel():
    x = torch.randn(2, 6, 3, 5)
    norm = LayerNorm2d(6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    y = norm(x)
    centred = x - x.mean(1, keepdim=True)
    expected = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    expected = expected * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(y, expected)


def test_layer_scale_of_both_layouts():
    scale = LayerScale(3, 0.5)
    with torch.no_grad():
        scale.gamma.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert scale(torch.ones(1, 3, 2, 3))[0, :, 0, 0].tolist() == [1, 2, 3]
    tokens = LayerScale(3, 0.5, channels_last=True)
    assert (tokens(torch.ones(1, 4, 3)) == 0.5).all()


@pytest.mark.parametrize("name", ["grn", "grn_unireplk"])
def test_grn_matches_the_reference_code(name):
    values = reference(name)
    assert_near(loaded(GRN(12), name)(values["input"]), values["output"])


def test_grn_starts_as_the_identity():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(GRN(5)(x), x)


def test_grn_does_not_overflow_in_half_precision():
    norm = GRN(4)
    torch.nn.init.ones_(norm.gamma)
    x = torch.full((1, 40, 40, 4), 3000.0, dtype=torch.float16)
    y = norm(x)  # every channel has the mean energy: gain 2
    assert y.dtype == torch.float16
    assert_near(y.float(), 2 * x.float())


def test_conv_mlp_is_token_mlp_of_each_pixel():
    conv, token = ConvMlp(4, 10), TokenMlp(4, 10)
    conv.load_state_dict(
        {k: v[..., None, None] if "weight" in k else v for k, v in token.state_dict().items()}
    )
    x = torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(conv(x), token(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_conv_mlp_options():
    mlp, wide = ConvMlp(4, 8), ConvMlp(4, 8, depthwise=3, middle=nn.Dropout(1.0))
    x = torch.zeros(1, 4, 5, 5)
    x[..., 2, 2] = 1.0
    assert wide.depthwise.groups == 8
    silent = mlp(torch.zeros_like(x))
    assert ((mlp(x) - silent).abs().sum(1) > 0).sum() == 1
    wide.train()
    torch.testing.assert_close(wide(x)[0, :, 0, 0], wide.fc2.bias)
    wide.eval()
    assert ((wide(x) - wide(torch.zeros_like(x))).abs().sum(1) > 0).sum() == 9


def test_initial_weights():
    net = nn.Sequential(nn.Conv2d(32, 64, 3, groups=4), nn.Linear(200, 200))
    init_fan_out(net)
    assert net[0].weight.std().item() == pytest.approx((2 / (9 * 64 / 4)) ** 0.5, rel=0.05)
    assert net[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    init_trunc_normal(net, 0.1)
    assert net[0].weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert not any(layer.bias.any() for layer in net)


def norm_with_statistics(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 2.0)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_folding_is_exact(bias):
    x = torch.randn(2, 6, 5, 5)
    norm, conv = norm_with_statistics(6), nn.Conv2d(6, 9, 1, bias=bias)
    expected = conv(norm(x))
    rest = fold_norm_into_next(norm, conv)
    torch.testing.assert_close(conv(rest(x)), expected, rtol=1e-4, atol=1e-5)
    assert fold_norm_into_next(rest, conv) is rest
    conv, norm = (
        nn.Conv2d(6, 9, 3, stride=2, padding=1, groups=3, bias=bias),
        norm_with_statistics(9),
    )
    expected = norm(conv(x))
    rest = fold_norm_into_previous(conv, norm)
    torch.testing.assert_close(rest(conv(x)), expected, rtol=1e-4, atol=1e-5)
    assert fold_norm_into_previous(conv, rest) is rest


def test_folding_into_a_3x3_convolution_raises():
    with pytest.raises(ValueError, match="1x1"):
        fold_norm_into_next(norm_with_statistics(4), nn.Conv2d(4, 4, 3, padding=1))
