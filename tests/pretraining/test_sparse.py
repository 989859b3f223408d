"""The masked pass: hiding half of a map equals a smaller map.

A convolution pads with zeros, and hidden pixels are zeros: the visible left half of a masked map
must come out as the dense network computes it from the left half alone, gradients included.
"""

import pytest
import timm
import torch
from torch import Tensor, nn

import predcnn
from predcnn import blocks  # noqa: F401  registers them
from predcnn.pretraining.sparse import SparseContext
from predcnn.registry import BLOCKS

MIXING = {
    *("dcnv3", "dcnv4", "gatedtransformer", "mamba", "mlpmixer", "s4d", "swin", "uniformer"),
    *("vit", "vmamba"),
}
"""Blocks that combine pixels in other ways than convolutions and means."""
POOLING = {"poolformer"}
"""Blocks whose windows count hidden pixels as zeros."""
CONVOLUTIONAL = sorted(set(BLOCKS.names()) - MIXING)


def right_half(batch: int) -> Tensor:
    """Masks of 2x4 cells with the right half hidden."""
    mask = torch.zeros(batch, 2, 4, dtype=torch.bool)
    mask[:, :, 2:] = True
    return mask


def drawn(width: int = 16) -> Tensor:
    """A map of 8 rows; double precision, so that a wrong pixel differs from rounding."""
    return torch.randn(2, 16, 8, width, dtype=torch.float64)


def near(found: Tensor, expected: Tensor) -> None:
    """Assert equality within 1e-9 of the largest value."""
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9 * scale)


def make_block(name: str, train: bool) -> nn.Module:
    torch.manual_seed(0)
    block = predcnn.create_block(name, 16, resolution=(8, 16)).double().train(train)
    for parameter in block.parameters():  # no layer scale near 0 hides an error
        if parameter.numel() == max(parameter.shape, default=1):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return block


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", sorted(set(CONVOLUTIONAL) - POOLING))
def test_hiding_half_equals_a_smaller_map(name, train):
    context = SparseContext(right_half(2))
    x, gradient = drawn(), drawn(8)
    dense, masked = make_block(name, train), make_block(name, train)
    expected = dense(x[..., :8])
    with context:
        found = masked(x)
    near(found[..., :8], expected)
    expected.backward(gradient)
    context.hide(found).backward(torch.cat([gradient, torch.randn_like(gradient)], dim=3))
    for one, other in zip(masked.parameters(), dense.parameters(), strict=True):
        near(one.grad, other.grad)
    for one, other in zip(masked.buffers(), dense.buffers(), strict=True):
        near(one, other)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_nothing_hidden_equals_the_dense_pass(name):
    x, block = drawn(), make_block(name, train=False)
    with SparseContext(torch.zeros(2, 2, 4, dtype=torch.bool)):
        found = block(x)
    near(found, block(x))


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_hidden_pixels_have_no_influence(name):
    torch.manual_seed(1)
    mask = torch.rand(2, 2, 4) < 0.5
    block, context = make_block(name, train=False), SparseContext(mask)
    x = drawn()
    other = torch.where(context.hide(torch.ones_like(x)) > 0, x, torch.randn_like(x))
    with context:
        one, two = block(x), block(other)
    assert torch.equal(context.hide(one), context.hide(two))


@pytest.mark.parametrize("name", sorted(MIXING))
def test_blocks_that_mix_pixels_otherwise_raise(name):
    block = make_block(name, train=False)
    with pytest.raises(ValueError, match="a masked pass"), SparseContext(right_half(2)):
        block(drawn())


@pytest.mark.parametrize("name", ["resnet10t", "convnextv2_atto", "seresnet18"])
def test_networks_of_timm(name):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=0).double()
    x = torch.randn(2, 3, 64, 128, dtype=torch.float64)
    expected = net.forward_intermediates(x[..., :64], intermediates_only=True)
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=0).double()
    context = SparseContext(right_half(2))
    with context:
        found = net.forward_intermediates(x, intermediates_only=True)
    for one, other in zip(found, expected, strict=True):
        near(one[..., : other.shape[3]], other)


def test_group_norm_counts_visible_pixels():
    norm = nn.GroupNorm(4, 16).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 3 + 2 * drawn()
    with SparseContext(right_half(2)):
        found = norm(x)
    torch.testing.assert_close(found[..., :8], norm(x[..., :8]))
    assert not found[..., 8:].any()


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.mean((1, 2, 3)),
        lambda x: x.mean(2),
        lambda x: torch.linalg.vector_norm(x, ord=1, dim=(2, 3)),
        lambda x: nn.functional.adaptive_avg_pool2d(x, 2),
        lambda x: nn.functional.layer_norm(x, x.shape[1:]),
        lambda x: nn.functional.linear(x.flatten(2), drawn()[0, :3].flatten(1)),
        lambda x: torch.fft.rfft2(x),
        lambda x: x.flip(3),
        lambda x: x @ x.transpose(2, 3),
    ],
)
def test_other_operations_raise(operation):
    with pytest.raises(ValueError, match="a masked pass"), SparseContext(right_half(2)):
        operation(drawn())


def test_nothing_is_masked_after_the_context():
    with SparseContext(right_half(2)):
        pass
    assert torch.fft.rfft2(drawn()).any()
