"""Single operators, contiguous maps and ATen on the plain side."""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from predcnn.ops import plain
from predcnn.ops.conv import ConvNormAct
from predcnn.ops.deform import deformable_sampling
from predcnn.ops.depthwise import depthwise_conv2d
from predcnn.ops.norm_act import group_norm_silu
from predcnn.ops.winograd import WinogradConv2d
from scripts.dev.speed.comparing import Comparison

CHANNELS, SIZE = 512, 16


def _layouts(*shape: int) -> tuple[Tensor, Tensor]:
    """The same map with channels last and contiguous."""
    x = torch.rand(*shape)
    return x.contiguous(memory_format=torch.channels_last), x


def _depthwise(kernel: int, dilation: int, batch: int) -> Comparison:
    """Forward, without gradients."""
    ours, contiguous = _layouts(batch, CHANNELS, SIZE, SIZE)
    weight, bias = torch.rand(CHANNELS, 1, kernel, kernel), torch.rand(CHANNELS)
    name = f"depthwise {kernel}x{kernel}" + (f" dilated by {dilation}" if dilation > 1 else "")
    return Comparison(
        f"{name}, forward, batch {batch}",
        lambda: depthwise_conv2d(ours, weight, bias, dilation),
        plain()(lambda: depthwise_conv2d(contiguous, weight, bias, dilation)),
        macs=batch * CHANNELS * SIZE**2 * kernel**2,
    )


def _depthwise_weights(kernel: int, dilation: int, batch: int) -> Comparison:
    """The gradient of the weights alone, through autograd."""
    ours, contiguous = _layouts(batch, CHANNELS, SIZE, SIZE)
    weight = torch.rand(CHANNELS, 1, kernel, kernel, requires_grad=True)
    ours_out = depthwise_conv2d(ours, weight, None, dilation)
    with plain():
        plain_out = depthwise_conv2d(contiguous, weight, None, dilation)
    grads = _layouts(*ours_out.shape)
    dilated = f" dilated by {dilation}" if dilation > 1 else ""
    return Comparison(
        f"depthwise {kernel}x{kernel}{dilated}, gradient of the weights, batch {batch}",
        lambda: torch.autograd.grad(ours_out, weight, grads[0], retain_graph=True),
        lambda: torch.autograd.grad(plain_out, weight, grads[1], retain_graph=True),
        macs=batch * CHANNELS * SIZE**2 * kernel**2,
    )


def _winograd(out: int, size: int) -> Comparison:
    """3x3 convolution of ten frames' 64 channels, as in SimVP's decoder, without gradients."""
    net = WinogradConv2d(64, out, 3, padding=1)
    copied = copy.deepcopy(net)
    net.to(memory_format=torch.channels_last)
    ours, contiguous = _layouts(10, 64, size, size)
    return Comparison(
        f"3x3 convolution, 64 to {out} channels, {size}x{size}, forward, batch 10",
        torch.no_grad()(lambda: net(ours)),
        torch.no_grad()(plain()(lambda: copied(contiguous))),
        macs=10 * size**2 * 64 * out * 9,
    )


def _unit(up: bool) -> Comparison:
    """SimVP's convolution, norm and activation, both directions."""
    torch.manual_seed(0)
    unit = ConvNormAct(64, 64, up=up)
    copied = ConvNormAct(64, 64, up=up)
    copied.load_state_dict(unit.state_dict())
    unit.to(memory_format=torch.channels_last)
    ours, contiguous = (x.requires_grad_() for x in _layouts(10, 64, 32, 32))

    def both_ways(part: ConvNormAct, x: Tensor) -> tuple[Tensor, ...]:
        out = part(x)
        return (out, *torch.autograd.grad(out.square().sum(), [x, *part.parameters()]))

    return Comparison(
        "convolution, pixel shuffle, norm, SiLU" if up else "convolution, norm, SiLU",
        lambda: both_ways(unit, ours),
        plain()(lambda: both_ways(copied, contiguous)),
        tolerance=1e-3,
    )


def _norm_act() -> Comparison:
    """Group norm and SiLU alone, both directions."""
    weight, bias = (torch.rand(64, requires_grad=True) for _ in range(2))
    ours, contiguous = (x.requires_grad_() for x in _layouts(10, 64, 64, 64))
    directions = _layouts(10, 64, 64, 64)

    def both_ways(x: Tensor, direction: Tensor) -> tuple[Tensor, ...]:
        out = group_norm_silu(x, weight, bias, 2, 1e-5)
        return (out, *torch.autograd.grad(out, [x, weight, bias], direction))

    return Comparison(
        "group norm, SiLU, forward + backward",
        lambda: both_ways(ours, directions[0]),
        plain()(lambda: both_ways(contiguous, directions[1])),
        tolerance=1e-3,
    )


def _deformable(remove_center: bool) -> Comparison:
    """The sampling core of DCNv3 (softmax weights) or DCNv4 (free weights), both directions."""
    batch, groups, size, channels = 4, 16, 16, 256
    points = 9 - remove_center
    leaves = [
        torch.randn(batch, size, size, channels),
        torch.randn(batch, size, size, groups * points * 2),
        torch.randn(batch, size, size, groups * points),
    ]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    direction = torch.randn(batch, size, size, channels)

    def both_ways() -> tuple[Tensor, ...]:
        out = deformable_sampling(*leaves, groups=groups, remove_center=remove_center)
        return (out, *torch.autograd.grad(out, leaves, direction))

    return Comparison(
        f"deformable sampling of {points} points, forward + backward", both_ways, plain()(both_ways)
    )


def _adam() -> Comparison:
    """One step of Adam over 40 million parameters in 200 tensors."""
    shapes = [(512, 400)] * 195 + [(512,)] * 5
    sides = []
    for fused in (True, None):
        parameters = [torch.ones(shape) for shape in shapes]
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 0.5)
        optimizer = torch.optim.Adam(parameters, fused=fused)
        sides.append(lambda o=optimizer, p=parameters: (o.step(), [p[0], p[-1]])[1])
    return Comparison("Adam, 40 M parameters", *sides)


_CASES: dict[str, Callable[[], Comparison]] = {
    "depthwise forward 5": lambda: _depthwise(5, 1, 1),
    "depthwise forward 7": lambda: _depthwise(7, 1, 1),
    "depthwise forward 7 dilated": lambda: _depthwise(7, 3, 1),
    "depthwise forward 11": lambda: _depthwise(11, 1, 1),
    "depthwise forward 21": lambda: _depthwise(21, 1, 1),
    "depthwise forward 31": lambda: _depthwise(31, 1, 1),
    "depthwise weights 3": lambda: _depthwise_weights(3, 1, 4),
    "depthwise weights 5": lambda: _depthwise_weights(5, 1, 4),
    "depthwise weights 7": lambda: _depthwise_weights(7, 1, 4),
    "depthwise weights 7 dilated": lambda: _depthwise_weights(7, 3, 4),
    "depthwise weights 11": lambda: _depthwise_weights(11, 1, 4),
    "depthwise weights 21": lambda: _depthwise_weights(21, 1, 4),
    "winograd 64": lambda: _winograd(64, 64),
    "winograd 256": lambda: _winograd(256, 32),
    "norm": _norm_act,
    "unit": lambda: _unit(up=False),
    "unit up": lambda: _unit(up=True),
    "deformable 9": lambda: _deformable(remove_center=False),
    "deformable 8": lambda: _deformable(remove_center=True),
    "adam": _adam,
}


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """All operators; ``only`` takes the keys of the list above."""
    for name, build in _CASES.items():
        if wanted(name):
            torch.manual_seed(0)
            yield build()
