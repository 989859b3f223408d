"""Stage a: outputs and gradients on the GPU equal those of the CPU."""

import copy
import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import predcnn
from predcnn.blocks.s4d import LongConv1d
from predcnn.ops.deform import deformable_sampling
from predcnn.ops.depthwise import depthwise_conv2d
from predcnn.ops.scan import selective_scan
from scripts.dev.gpu.stage import FIRST, Setting, Stage
from scripts.dev.gpu.timing import tf32
from scripts.dev.speed.comparing import largest_error

FLOAT32, BFLOAT16 = 1e-4, 2e-2
SMALL = {"hid_S": 16, "hid_T": 64, "N_S": 2, "N_T": 2}
PUBLISHED = ("moganet", "gsta", "van", "vmamba", "predrnn", "convlstm")
BACKBONES = (
    *("moganet_xtiny", "van_b0", "unireplknet_a", "internimage_t", "vmamba_tiny"),
    "hornet_tiny_gf",  # two-dimensional FFT
)


def predictor(name: str, scale: str) -> nn.Module:
    """A predictor, or SimVP with the translator ``name``."""
    torch.manual_seed(0)
    shape = (10, 1, 64, 64) if scale == "published" else (4, 1, 32, 32)
    if name in predcnn.list_translators():
        sizes = SMALL if scale == "small" else {}
        return predcnn.create_predictor("simvp", in_shape=shape, translator=name, **sizes)
    net = predcnn.create_predictor(name, in_shape=shape, scale=scale)
    return net.fit([torch.rand(2, *shape)]) if name == "mean_frame" else net


def output_and_gradients(net: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of its mean square."""
    out = net(x)
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    if not weights:
        return [out]
    loss = out.float().square().mean()
    return [out, *torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)]


def on_host(tensors: list[Tensor]) -> list[Tensor]:
    """Copies in float32 on the CPU."""
    return [tensor.detach().float().cpu() for tensor in tensors]


def distance(ours: list[Tensor], other: list[Tensor]) -> float:
    """Norm of the difference relative to the norm, the worse of output and gradients together."""

    def of(a: list[Tensor], b: list[Tensor]) -> float:
        if not b:
            return 0.0
        a, b = (torch.cat([tensor.flatten() for tensor in part]) for part in (a, b))
        return ((a - b).norm() / b.norm().clamp(min=1e-30)).item()

    return max(of(ours[:1], other[:1]), of(ours[1:], other[1:]))


def compare(make: Callable[[], nn.Module], shape: tuple[int, ...], setting: Setting) -> dict:
    """float32 without TF32, and bfloat16 autocast, compared with float32 on the CPU."""
    net = make().eval()
    x = torch.rand(2 if shape[-1] < 64 else 1, *shape)
    expected = on_host(output_and_gradients(net, x))
    net, x = copy.deepcopy(net).to(setting.device), x.to(setting.device)
    with tf32(False):
        exact = on_host(output_and_gradients(net, x))
    with torch.autocast(setting.device.type, torch.bfloat16):
        rough = on_host(output_and_gradients(net, x))
    row = {"float32": largest_error(exact, expected), "bfloat16": distance(rough, expected)}
    return row | {"equal": row["float32"] <= FLOAT32 and row["bfloat16"] <= BFLOAT16}


def compare_compiled(name: str, setting: Setting) -> dict:
    """``torch.compile`` on the GPU, compared with eager on the CPU."""
    net = predictor(name, "small").eval()
    x = torch.rand(2, *net.in_shape)
    expected = on_host(output_and_gradients(net, x))
    net, x = net.to(setting.device), x.to(setting.device)
    net.compile(dynamic=False)
    with tf32(False):
        found = on_host(output_and_gradients(net, x))
    error = largest_error(found, expected)
    return {"float32": error, "equal": error <= FLOAT32}


def operators() -> Iterator[tuple[str, Callable[..., Tensor], list[Tensor]]]:
    """(name, function, arguments on the CPU) of the paths with a formulation of their own."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    states = -torch.arange(1.0, 9.0).repeat(32, 1)
    scan = [draw(2, 32, 64), draw(2, 32, 64) - 2, states, draw(2, 8, 64), draw(2, 8, 64)]
    yield "selective scan", functools.partial(selective_scan, delta_softplus=True), scan
    for version, points in (("DCNv3", 9), ("DCNv4 without centre", 8)):
        sample = functools.partial(deformable_sampling, groups=2, remove_center=points == 8)
        sizes = (32, 2 * points * 2, 2 * points)
        yield f"{version} sampling", sample, [draw(2, 8, 8, size) for size in sizes]
    for kernel, dilation in ((7, 1), (7, 3), (31, 1)):
        depthwise = functools.partial(depthwise_conv2d, bias=None, dilation=dilation)
        maps = [draw(2, 16, 24, 24), draw(16, 1, kernel, kernel)]
        yield f"depthwise {kernel}x{kernel} dilation {dilation}", depthwise, maps
    yield "FFT convolution", LongConv1d(), [draw(2, 16, 64), draw(16, 64)]


def compare_operator(
    function: Callable[..., Tensor], arguments: list[Tensor], setting: Setting
) -> dict:
    """Output and gradients of all arguments, float32."""

    def run(leaves: list[Tensor]) -> list[Tensor]:
        leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
        out = function(*leaves)
        return on_host([out, *torch.autograd.grad(out.square().mean(), leaves)])

    with tf32(False):
        found = run([argument.to(setting.device) for argument in arguments])
    error = largest_error(found, run(arguments))
    return {"float32": error, "equal": error <= FLOAT32}


def run(stage: Stage, setting: Setting) -> None:
    """The most important models first."""
    if setting.dry:
        stage.run("moganet small", lambda: _of_predictor("moganet", "small", setting))
        name, function, arguments = next(operators())
        stage.run(name, lambda: compare_operator(function, arguments, setting))
        return
    for name in FIRST:
        stage.run(f"{name} small", functools.partial(_of_predictor, name, "small", setting))
    for name, function, arguments in operators():
        stage.run(name, functools.partial(compare_operator, function, arguments, setting))
    for name in PUBLISHED:
        stage.run(f"{name} published", functools.partial(_of_predictor, name, "published", setting))
    others = [name for name in predcnn.list_predictors() if name != "simvp"]
    for name in [*predcnn.list_translators(), *others]:
        if name not in FIRST:
            stage.run(f"{name} small", functools.partial(_of_predictor, name, "small", setting))
    for name in BACKBONES:
        make = functools.partial(predcnn.create_backbone, name)
        stage.run(name, functools.partial(compare, make, (3, 224, 224), setting))
    for name in predcnn.list_translators() if setting.full else FIRST:
        stage.run(f"{name} compiled", functools.partial(compare_compiled, name, setting))


def _of_predictor(name: str, scale: str, setting: Setting) -> dict:
    net = predictor(name, scale)
    return compare(lambda: net, net.in_shape, setting)
