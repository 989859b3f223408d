"""Winograd's 3x3 convolution against torch's, and when it is used."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from predcnn.ops import plain
from predcnn.ops.winograd import WinogradConv2d, convolve

# torch < 2.14 compiles no vmap of a channels-last map
VMAPS_CHANNELS_LAST = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 14)

SIZES = [
    (2, 64, 64, 16, 16),
    (1, 3, 5, 7, 9),
    (2, 37, 19, 1, 1),
    (3, 5, 70, 2, 13),
    (1, 200, 24, 5, 4),
    (7, 16, 33, 6, 3),
]


def _given(size: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    B, C, out, H, W = size
    draw = torch.Generator().manual_seed(0)
    shapes = ((B, C, H, W), (out, C, 3, 3), (out,))
    x, weight, bias = (torch.randn(s, generator=draw, dtype=dtype) for s in shapes)
    return x.to(memory_format=torch.channels_last), weight, bias


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-13), (torch.float32, 2e-5)], ids=["double", "float"]
)
def test_it_matches_conv2d(
    size: tuple[int, ...], biased: bool, dtype: torch.dtype, error: float
) -> None:
    x, weight, bias = _given(size, dtype)
    bias = bias if biased else None
    expected = functional.conv2d(x, weight, bias, padding=1)
    got = convolve(x, weight, bias)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert (got - expected).abs().max() <= error * expected.abs().max()
    assert torch.equal(convolve(x.contiguous(), weight, bias), got)


@pytest.mark.usefixtures("kernels")
def test_result_is_independent_of_threads_and_batch() -> None:
    x, weight, bias = _given((5, 32, 40, 18, 18), torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        expected = convolve(x, weight, bias)
        torch.set_num_threads(1)
        assert torch.equal(convolve(x, weight, bias), expected)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(convolve(x[3:4], weight, bias), expected[3:4])


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_non_finite_values_stay_in_their_tiles(value: float) -> None:
    x, weight, bias = _given((1, 32, 32, 8, 8), torch.float32)
    x[0, 0, 0, 0] = value
    assert not convolve(x, weight, bias)[0, :, 0, 0].isfinite().any()
    assert convolve(x, weight, bias)[0, :, 4:, 4:].isfinite().all()


@pytest.mark.usefixtures("either_kernels")
@torch.no_grad()
@pytest.mark.parametrize("channels", [16, 64])
def test_wrong_channels_raise(channels: int) -> None:
    x = _map(channels)
    with pytest.raises(RuntimeError, match="channels"):
        _net(32)(x)
    with pytest.raises(RuntimeError, match="channels"):
        convolve(x, torch.rand(8, 32, 3, 3), None)
    with pytest.raises(RuntimeError, match="bias"):
        convolve(x, torch.rand(8, channels, 3, 3), torch.rand(7))


def _used(net: WinogradConv2d, x: Tensor) -> bool:
    """Return whether the result differs (slightly) from that of torch."""
    expected = functional.conv2d(
        x, net.weight, net.bias, net.stride, net.padding, net.dilation, net.groups
    )
    got = net(x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    return not torch.equal(got, expected)


def _net(channels: int = 32, out: int = 48, **options: int) -> WinogradConv2d:
    net = WinogradConv2d(channels, out, 3, **{"padding": 1} | options)
    return net.to(memory_format=torch.channels_last)


def _map(channels: int = 32, batch: int = 8, size: int = 16) -> Tensor:
    return torch.randn(batch, channels, size, size).to(memory_format=torch.channels_last)


@pytest.mark.usefixtures("kernels")
def test_used_without_gradients_where_it_is_faster() -> None:
    x = _map()
    assert not _used(_net(), x)
    with torch.no_grad():
        assert _used(_net(), x)
        assert not _used(_net(), x.contiguous())
        assert not _used(_net(), x[:7])
        assert not _used(_net(channels=31), _map(31))
        assert not _used(_net(out=31), x)
        assert not _used(_net(channels=256, out=160), _map(256))
        assert not _used(_net(stride=2), x)
        assert not _used(_net(padding=0), x)
        assert not _used(_net(padding=2, dilation=2), x)
        assert not _used(_net(groups=2), x)
        with torch.autograd.forward_ad.dual_level():
            assert not _used(_net(), x)
        assert not _used(_net().double(), x.double())
        with plain():
            assert not _used(_net(), x)
    with torch.inference_mode():
        assert _used(_net(), x)


@torch.no_grad()
def test_other_padding_modes_and_unbatched_maps_use_torch() -> None:
    x = torch.rand(64, 64, 64)
    mirrored = torch.nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect")
    ours = WinogradConv2d(64, 64, 3, padding=1, padding_mode="reflect")
    ours.load_state_dict(mirrored.state_dict())
    last = x[None].to(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(last), mirrored(last))
    assert WinogradConv2d(64, 64, 3, padding=1)(x).shape == x.shape


@pytest.mark.usefixtures("no_kernels")
@torch.no_grad()
def test_without_kernels_torch_is_used() -> None:
    assert not _used(_net(), _map())
    compiled = torch.compile(_net(), backend="eager", fullgraph=True)
    assert not _used(compiled, _map())


@torch.no_grad()
def test_autocast_and_modes_get_the_operator() -> None:
    net, x = _net(), _map()
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x).dtype == torch.bfloat16
    with FlopCounterMode(display=False) as counter:
        net(x)
    assert counter.get_total_flops() == 2 * 8 * 256 * 9 * 32 * 48


@pytest.mark.usefixtures("kernels")
@torch.no_grad()
def test_compiled_graphs_contain_the_operator_and_exported_ones_a_convolution() -> None:
    net, x = _net(), _map()
    torch.compiler.reset()
    frozen = torch.compile(net, fullgraph=True, options={"freezing": True})
    assert torch.equal(frozen(x), net(x))
    assert frozen(x).is_contiguous(memory_format=torch.channels_last)
    free = {"x": {0: torch.export.Dim("batch", min=1)}}  # on both sides of FEWEST_TILES
    exported = torch.export.export(net, (x,), dynamic_shapes=free).graph_module.code
    assert "conv2d" in exported
    assert "winograd" not in exported
    for bias in (net.bias, None):
        torch.library.opcheck(torch.ops.predcnn.winograd_conv2d.default, (x, net.weight, bias))


@pytest.mark.usefixtures("kernels")
def test_graphs_with_gradients_autocast_or_a_transform_contain_the_convolution() -> None:
    net, x, seen = _net(), _map(), []

    def keep(graph: torch.fx.GraphModule, _: object) -> torch.fx.GraphModule:
        seen.append(graph.code)
        return graph

    def calls(function: Callable[[Tensor], Tensor], given: Tensor) -> bool:
        torch.compiler.reset()
        seen.clear()
        torch.compile(function, backend=keep)(given)
        return any("winograd" in code for code in seen)

    assert not calls(net, x)
    with torch.no_grad():
        assert calls(net, x)
        with torch.autocast("cpu", torch.bfloat16):
            assert not calls(net, x)
        with plain():
            assert not calls(net, x)
        if VMAPS_CHANNELS_LAST:
            assert not calls(torch.func.vmap(net), x[None])
        torch.testing.assert_close(torch.func.vmap(net)(x[None])[0], net(x), rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        assert calls(net, x)
