"""1x1 convolutions against torch's, in every memory format."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from predcnn.ops import plain
from predcnn.ops.pointwise import PointwiseConv2d, pointwise_conv2d

LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "slice": lambda x: torch.cat([x, x], 1).contiguous(memory_format=torch.channels_last)[
        :, : x.shape[1]
    ],
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}
SIZES = [(2, 6, 5, 7, 9), (1, 1, 4, 4, 3), (3, 8, 1, 1, 1), (2, 5, 1, 6, 4)]


def _given(size: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    B, C, H, W, out = size
    draw = torch.Generator().manual_seed(0)
    shapes = ((B, C, H, W), (out, C, 1, 1), (out,), (B, out, H, W))
    return tuple(torch.randn(s, generator=draw, dtype=torch.float64) for s in shapes)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("biased", [True, False])
def test_it_matches_conv2d(layout: str, size: tuple[int, ...], biased: bool) -> None:
    x, weight, bias, grad = _given(size)
    x = LAYOUTS[layout](x)
    learned = [t.requires_grad_() for t in ((x, weight, bias) if biased else (x, weight))]
    out = pointwise_conv2d(x, weight, bias if biased else None)
    with plain():
        expected = pointwise_conv2d(x, weight, bias if biased else None)
    torch.testing.assert_close(out, expected)
    found = torch.autograd.grad(out, learned, grad)
    wanted = torch.autograd.grad(expected, learned, grad)
    torch.testing.assert_close(found, wanted)


def test_second_derivatives() -> None:
    x, weight, bias, _ = _given((2, 3, 2, 3, 4))
    x = x.contiguous(memory_format=torch.channels_last)
    given = [t.requires_grad_() for t in (x, weight, bias)]
    assert torch.autograd.gradgradcheck(pointwise_conv2d, given)


def test_memory_format_is_kept() -> None:
    net = PointwiseConv2d(6, 8)
    x = torch.randn(2, 6, 5, 7)
    last = x.contiguous(memory_format=torch.channels_last)
    assert net(last).is_contiguous(memory_format=torch.channels_last)
    assert net(x).is_contiguous()
    net.to(memory_format=torch.channels_last)
    assert net(last).is_contiguous(memory_format=torch.channels_last)


def test_channels_last_is_a_matrix_product_unless_plain() -> None:
    def operators() -> set[str]:
        with FlopCounterMode(display=False) as counter:
            net(x)
        return {str(name) for name in counter.get_flop_counts()["Global"]}

    net, x = PointwiseConv2d(6, 8), torch.randn(2, 6, 5, 7).to(memory_format=torch.channels_last)
    assert operators() == {"aten.addmm"}
    with plain():
        assert operators() == {"aten.convolution"}


def test_compiled_graphs_contain_a_product_and_exported_ones_a_convolution() -> None:
    seen = []
    net, x = PointwiseConv2d(6, 8), torch.randn(2, 6, 5, 7).to(memory_format=torch.channels_last)
    compiled = torch.compile(net, backend=lambda graph, _: seen.append(graph.code) or graph)
    torch.testing.assert_close(compiled(x), net(x))
    assert "linear" in seen[0]
    assert "conv2d" not in seen[0]
    exported = torch.export.export(net, (x,)).graph_module.code
    assert "conv2d" in exported
    assert "linear" not in exported


def test_initial_weights_and_keys_are_those_of_conv2d() -> None:
    torch.manual_seed(0)
    ours = PointwiseConv2d(6, 8, bias=False)
    torch.manual_seed(0)
    theirs = nn.Conv2d(6, 8, 1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours.weight, theirs.weight)
    x = torch.randn(1, 6, 4, 4)
    torch.testing.assert_close(ours(x), functional.conv2d(x, theirs.weight))


@pytest.mark.parametrize("channels", [5, 7])
def test_wrong_channels_raise(channels: int) -> None:
    x = torch.randn(1, channels, 4, 4).to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match=r"shapes|channels"):
        PointwiseConv2d(6, 8)(x)
