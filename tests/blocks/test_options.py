"""Options of single blocks."""

import pytest
import torch

import predcnn
from predcnn.blocks.swin import published_window
from predcnn.blocks.tau import published_squeeze


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def randomised(block: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return block.eval()


def shuffled(block: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (block of shuffled pixels, shuffled result of the block)."""
    order = torch.randperm(x.shape[2] * x.shape[3])

    def shuffle(maps: torch.Tensor) -> torch.Tensor:
        return maps.flatten(2)[..., order].view_as(maps)

    with torch.no_grad():
        return block(shuffle(x)), shuffle(block(x))


def test_position_of_vit():
    x = maps(1, 16, 6, 6)
    torch.testing.assert_close(*shuffled(randomised(predcnn.create_block("vit", 16)), x))
    first, second = shuffled(randomised(predcnn.create_block("vit", 16, position=True)), x)
    assert (first - second).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("dim", "width"), [(640, 16), (512, 16), (64, 16), (40, 10), (24, 6), (2, 1)]
)
def test_squeeze_of_tau(dim, width):
    assert published_squeeze(dim) == width
    assert predcnn.create_block("tau", dim).attn.gate.fc[0].out_features == width
    assert predcnn.create_block("tau", dim, squeeze=5).attn.gate.fc[0].out_features == 5


@pytest.mark.parametrize(
    ("resolution", "side"),
    [((16, 16), 4), ((14, 14), 7), ((80, 80), 5), ((256, 256), 8), ((2, 9), 2), (None, 4)],
)
def test_window_of_swin(resolution, side):
    assert published_window(resolution) == side


def reach(block: torch.nn.Module, size: tuple[int, int]) -> torch.Tensor:
    """Return which input pixels the top left output pixel depends on, (H, W) bool."""
    x = maps(1, 16, *size).requires_grad_()
    block(x)[0, :, 0, 0].sum().backward()
    return x.grad.abs().sum((0, 1)) > 1e-9


def test_mask_of_swin_separates_opposite_borders():
    for masked, others in ((False, True), (True, False)):
        block = predcnn.create_block("swin", 16, window_size=4, shift=True, mask_shift=masked)
        seen = reach(randomised(block), (8, 8))
        assert seen[:2, :2].all()
        assert bool(seen[6:, 6:].all()) == bool(seen[6:, 6:].any()) == others
        assert not seen[2:6].any()
        assert not seen[:, 2:6].any()


def test_padding_of_swin_is_masked():
    torch.manual_seed(3)
    block = randomised(predcnn.create_block("swin", 16, window_size=4, mask_shift=True))
    x = maps(1, 16, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(block(x[..., :6, :8])[..., :4, :], block(x)[..., :4, :])
        cut = block(x[..., :6, :5])
        # the last column is alone in its windows: the columns before do not matter
        x[..., :4] += 1
        torch.testing.assert_close(block(x[..., :6, :5])[..., 4:], cut[..., 4:])


def test_shift_of_swin_by_depth():
    predictor = predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 32, 32), translator="swin", hid_S=8, hid_T=16, N_S=2, N_T=4
    )
    assert [stage.block.shift for stage in predictor.translator.stages] == [0, 2, 0, 2]


@pytest.mark.parametrize(
    ("hid_T", "local"), [(16, [True, False, False, False]), (24, [True, False, False, True])]
)
def test_kind_of_uniformer_by_depth(hid_T, local):
    predictor = predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 8, 8), translator="uniformer", hid_S=8, hid_T=hid_T, N_S=2, N_T=4
    )
    assert [stage.block.local for stage in predictor.translator.stages] == local


def test_uniformer_without_layer_scale():
    block = predcnn.create_block("uniformer", 16, layer_scale=None)
    assert not any("scale" in key for key, _ in block.named_parameters())


def test_stochastic_depth_of_convmixer():
    x = maps(64, 16, 4, 4)
    for asked in (False, True):
        torch.manual_seed(0)
        block = predcnn.create_block("convmixer", 16, drop_path=1.0, stochastic_depth=asked)
        block.depthwise.requires_grad_(True)
        block.train()(x).sum().backward()
        assert bool(block.depthwise.weight.grad.any()) != asked


@pytest.mark.parametrize("order", [2, 3, 5])
def test_order_and_scale_of_hornet(order):
    block = randomised(predcnn.create_block("hornet", 32, order=order))
    assert tuple(block.gnconv.dims) == tuple(32 // 2**i for i in reversed(range(order)))
    x = maps(1, 32, 6, 6)
    with torch.no_grad():
        for widen in block.gnconv.pws:
            widen.bias.zero_()
        full = block.gnconv(x) - block.gnconv.proj_out.bias.view(-1, 1, 1)
        block.gnconv.scale = 0.5
        scaled = block.gnconv(x) - block.gnconv.proj_out.bias.view(-1, 1, 1)
    # without inner biases the interaction is homogeneous of degree `order` in the neighbourhood
    torch.testing.assert_close(scaled, full * 0.5**order, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="divisible by 16"):
        predcnn.create_block("hornet", 24, order=5)


@pytest.mark.parametrize("name", ["gsta", "tau", "van", "moganet"])
def test_inner_shortcut(name):
    torch.manual_seed(0)
    block = randomised(predcnn.create_block(name, 16))
    without = predcnn.create_block(name, 16, inner_shortcut=False).eval()
    without.load_state_dict(block.state_dict())
    x = maps(1, 16, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(block.attn(x), without.attn(x) + x)
        before = without(x)
        without.merge_()
        torch.testing.assert_close(without(x), before)
    assert isinstance(without.norm1, torch.nn.Identity)
    assert isinstance(without.norm2, torch.nn.Identity)


@pytest.mark.parametrize(
    ("name", "key"),
    [("convnext", "scale.gamma"), ("gsta", "scale1.gamma"), ("moganet", "scale2.gamma")],
)
def test_layer_scale_option(name, key):
    block = predcnn.create_block(name, 16, layer_scale=0.3)
    assert (block.state_dict()[key] == 0.3).all()
