"""Standard deviations of the initial weights of the blocks."""

from math import prod, sqrt

import pytest
import torch
from torch import nn

import predcnn
from predcnn.ops.norm import LayerScale

DIM = 64


def fan_out(layer: nn.Conv2d) -> float:
    return sqrt(2 * layer.groups / (prod(layer.kernel_size) * layer.out_channels))


def truncated(layer: nn.Module) -> float:
    return 0.02


def default(layer: nn.Module) -> float:
    """Torch's default: uniform in +-1/sqrt(fan_in)."""
    return 1 / sqrt(3 * prod(layer.weight.shape[1:]))


# block -> (scheme, {path prefix: other scheme}, layer scale)
PUBLISHED = {
    "gsta": (fan_out, {}, 1e-2),
    "tau": (fan_out, {"attn": default}, 1e-2),
    "van": (fan_out, {}, 1e-2),
    "moganet": (fan_out, {}, 1e-5),
    "hornet": (fan_out, {"mlp": truncated}, 1e-6),
    "convnext": (fan_out, {}, 1e-6),
    "convmixer": (fan_out, {}, None),
    "mlpmixer": (truncated, {}, None),
    "poolformer": (truncated, {}, 1e-5),
    "swin": (truncated, {}, None),
    "vit": (truncated, {}, None),
    "gatedtransformer": (truncated, {}, None),
    "uniformer": (truncated, {"position": default}, 1e-6),
    "uniformer local": (fan_out, {}, None),
}


def layers(module: nn.Module):
    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            yield path, part


def assert_drawn(path: str, layer: nn.Module, scheme) -> None:
    """Check the deviation (within five standard errors), the mean and the bias."""
    expected, count = scheme(layer), layer.weight.numel()
    assert layer.weight.std().item() == pytest.approx(expected, rel=max(0.05, 5 / sqrt(count))), (
        path
    )
    assert abs(layer.weight.mean().item()) <= 5 * expected / sqrt(count), path
    if layer.bias is None:
        return
    if scheme is default:
        bound = 1 / sqrt(prod(layer.weight.shape[1:]))
        assert 0 < layer.bias.abs().max().item() <= bound, path
    else:
        assert not layer.bias.any(), path


@pytest.mark.parametrize("case", PUBLISHED)
def test_weights(case):
    scheme, special, scale = PUBLISHED[case]
    name, *local = case.split()
    options = {"local": True} if local else {}
    block = predcnn.create_block(name, DIM, resolution=(16, 16), mlp_ratio=8.0, **options)
    for path, layer in layers(block):
        own = [special[prefix] for prefix in special if path.startswith(prefix)]
        assert_drawn(path, layer, own[0] if own else scheme)
    for part in block.modules():
        if isinstance(part, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            assert (part.weight == 1).all()
            assert not part.bias.any()
    scales = [part.gamma for part in block.modules() if isinstance(part, LayerScale)]
    assert bool(scales) == (scale is not None)
    for gamma in scales:
        assert torch.equal(gamma, torch.full_like(gamma, scale))


def test_offset_bias_of_swin():
    table = predcnn.create_block("swin", DIM, window_size=8).attn.offset_bias
    assert table.std().item() == pytest.approx(0.02, rel=0.1)


def test_encoder_decoder_and_projections():
    predictor = predcnn.create_predictor(
        "simvp", in_shape=(4, 1, 16, 16), hid_S=32, hid_T=64, N_S=2, N_T=3
    )
    for part in (predictor.encoder.layers, predictor.decoder.layers):
        for path, layer in layers(part):
            assert_drawn(path, layer, truncated)
    assert_drawn("readout", predictor.decoder.readout, default)
    for stage in (predictor.translator.stages[0], predictor.translator.stages[-1]):
        assert_drawn("project", stage.project, default)


def test_inception_units():
    predictor = predcnn.create_predictor(
        "simvp", in_shape=(4, 1, 16, 16), translator="incepu", hid_S=16, hid_T=64, N_S=2, N_T=2
    )
    for path, layer in layers(predictor.translator):
        assert_drawn(path, layer, default)
