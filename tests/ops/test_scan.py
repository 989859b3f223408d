"""The selective scan: reference values, agreement of the back ends, strong decay, speed."""

import sys
import time
import types

import pytest
import torch

from predcnn.ops import plain, scan_compiled
from predcnn.ops.scan import (
    BACKENDS,
    DIRECTIONS,
    choose_backend,
    cross_merge,
    cross_scan,
    selective_scan,
)
from tests.ops.reference import assert_near, reference

OURS = [name for name in BACKENDS if name != "mamba_ssm"]


def inputs(batch, channels, state, length, groups=1, *, decay=1.0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)

    return {
        "u": normal(batch, channels, length),
        "delta": normal(batch, channels, length) - 1,
        "A": -decay * normal(channels, state).exp(),
        "B": normal(batch, groups, state, length),
        "C": normal(batch, groups, state, length),
        "D": normal(channels),
        "delta_bias": normal(channels),
    }


def run(arguments, backend):
    """y and the gradients under a fixed loss."""
    arguments = {k: v.detach().clone().requires_grad_() for k, v in arguments.items()}
    y = selective_scan(**arguments, delta_softplus=True, backend=backend)
    draw = torch.Generator().manual_seed(4)
    weights = torch.randn(y.shape, generator=draw, dtype=torch.float64)
    loss = (y * weights.to(y.dtype)).sum()
    return y, *torch.autograd.grad(loss, list(arguments.values()))


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("backend", OURS)
@pytest.mark.parametrize("name", ["selective_scan_0", "selective_scan_2"])
def test_values_and_gradients_match_the_reference_code(name, backend):
    values = reference(name)
    names = [k.removeprefix("grad_") for k in values if k.startswith("grad_") and k != "grad_out"]
    arguments = {k: values[k].requires_grad_() for k in names}
    scanned = {k: v for k, v in arguments.items() if k != "z"}  # the gate is Mamba's own
    y = selective_scan(**scanned, delta_softplus=True, backend=backend)
    y = y * torch.nn.functional.silu(arguments["z"]) if "z" in arguments else y
    assert_near(y, values["output"])
    y.backward(values["grad_out"])
    for key, argument in arguments.items():
        assert_near(argument.grad, values[f"grad_{key}"])


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("backend", ["compiled", "parallel"])
@pytest.mark.parametrize(
    "shape",
    [(2, 6, 4, 33, 2), (1, 5, 1, 1, 1), (3, 8, 16, 64, 4), (1, 4, 3, 130, 4), (2, 150, 3, 18, 1)],
)
def test_backends_agree_with_the_textbook(shape, backend):
    arguments = inputs(*shape)
    expected, got = run(arguments, "textbook"), run(arguments, backend)
    for a, b in zip(got, expected, strict=True):
        assert_near(a, b, 1e-4)
    if backend == "compiled":
        quiet = selective_scan(
            **arguments, delta_softplus=True
        )  # without gradients: states are not kept
        assert torch.equal(quiet, got[0])


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("backend", OURS)
def test_strong_decay_is_finite_and_exact(backend):
    arguments = inputs(1, 4, 2, 200, decay=300.0)
    expected = run({k: v.double() for k, v in arguments.items()}, "textbook")
    got = run(arguments, backend)
    for a, b in zip(got, expected, strict=True):
        assert a.isfinite().all()
        assert_near(a.double(), b, 1e-4)


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("backend", ["compiled", "parallel", "doubling"])
def test_gradients_match_finite_differences(backend):
    small = inputs(2, 4, 2, 5, 2, dtype=torch.float64)
    small = {k: v.requires_grad_() for k, v in small.items()}

    def scan(*values):
        arguments = dict(zip(small, values, strict=True))
        return selective_scan(**arguments, delta_softplus=True, backend=backend)

    assert torch.autograd.gradcheck(scan, tuple(small.values()))


def test_scan_without_options_follows_the_recurrence():
    arguments = inputs(2, 4, 3, 7)
    u, delta, A, B, C = (arguments[k].abs() for k in ("u", "delta", "A", "B", "C"))
    A = -A
    h, rows = torch.zeros(2, 4, 3), []
    for step in range(7):
        b, c = B[:, 0, None, :, step], C[:, 0, None, :, step]
        d = delta[:, :, step, None]
        h = torch.exp(d * A) * h + d * b * u[:, :, step, None]
        rows.append((h * c).sum(-1))
    expected = torch.stack(rows, -1)
    assert_near(selective_scan(u, delta, A, B, C), expected)
    assert_near(selective_scan(u, delta, A, B[:, 0], C[:, 0], backend="parallel"), expected)


def test_half_precision_inputs_are_computed_in_float32():
    arguments = inputs(1, 4, 4, 20)
    halved = ("u", "delta", "B", "C")
    low = {k: v.bfloat16() if k in halved else v for k, v in arguments.items()}
    with torch.autocast("cpu", torch.bfloat16):
        y = selective_scan(**low, delta_softplus=True)
    assert y.dtype == torch.bfloat16
    exact = selective_scan(**{k: v.float() for k, v in low.items()}, delta_softplus=True)
    assert torch.equal(y, exact.bfloat16())


@pytest.mark.usefixtures("kernels")
def test_the_operators_pass_opcheck():
    time_major = {"x": torch.randn(5, 2, 2, 3), "B": torch.randn(5, 2, 2, 4)}
    arguments = (
        time_major["x"].abs().requires_grad_(),
        time_major["x"].clone().requires_grad_(),
        -torch.rand(2, 4, 3),
        time_major["B"],
        time_major["B"].flip(0),
        True,
    )
    torch.library.opcheck(scan_compiled.scan_op, arguments)


def test_choice_of_the_backend():
    assert choose_backend(torch.device("cpu")) == "compiled"
    assert choose_backend(torch.device("meta")) == "parallel"
    with plain():
        assert choose_backend(torch.device("cpu")) == "textbook"
    assert choose_backend(torch.device("cuda")) == "parallel"  # mamba-ssm is not installed here
    meta = {k: v.to("meta") for k, v in inputs(1, 4, 2, 9).items()}
    assert selective_scan(**meta, delta_softplus=True).shape == (1, 4, 9)


def test_arguments_are_converted_for_mamba_ssm(monkeypatch):
    received = {}

    def kernel(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
        received.update(u=u, delta=delta, A=A, B=B, C=C, softplus=delta_softplus)
        return "the kernel's result"

    interface = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    interface.selective_scan_fn = kernel
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    arguments = inputs(1, 4, 2, 9)
    arguments |= {"u": arguments["u"].bfloat16(), "B": arguments["B"][:, 0]}
    result = selective_scan(**arguments, delta_softplus=True, backend="mamba_ssm")
    assert result == "the kernel's result"
    assert received["B"].shape == (1, 1, 2, 9)
    assert {received[k].dtype for k in ("u", "delta", "B", "C")} == {torch.bfloat16}
    assert received["A"].dtype == torch.float32
    assert received["softplus"] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "fast"}, "accepted: compiled, parallel"),
        ({"delta": torch.zeros(1, 4, 8)}, r"not the shapes \(1, 4, 9\), \(1, 4, 8\), \(4, 2\)"),
        ({"A": torch.zeros(3, 2)}, r"A \(channels, N\)"),
        ({"B": torch.zeros(1, 3, 2, 9), "C": torch.zeros(1, 3, 2, 9)}, "dividing channels"),
        ({"C": torch.zeros(1, 1, 5, 9)}, "B and C"),
    ],
)
def test_wrong_arguments_raise(change, message):
    with pytest.raises(ValueError, match=message):
        selective_scan(**(inputs(1, 4, 2, 9) | change))


def test_cross_scan_and_merge_match_the_reference_code():
    values = reference("vmamba_cross_scan")
    assert torch.equal(cross_scan(values["x"]), values["xs"])
    merged = cross_merge(values["ys"].flatten(3), 4, 5)
    assert_near(merged.flatten(2), values["merged"])
    rows = cross_scan(values["x"], ("row", "row_reversed"))
    assert torch.equal(rows, values["xs_bidi"][:, ::2])


def test_cross_merge_inverts_cross_scan():
    x = torch.randn(2, 3, 4, 5)
    for direction in DIRECTIONS:
        assert torch.equal(cross_merge(cross_scan(x, (direction,)), 4, 5, (direction,)), x)


@pytest.mark.usefixtures("either_kernels")
def test_the_compiled_scan_is_much_faster_than_the_textbook():
    """At a size at which the textbook takes a second."""
    arguments = inputs(2, 128, 16, 256)

    def seconds(backend):
        start = time.process_time()
        run(arguments, backend)
        return time.process_time() - start

    run(arguments, "compiled")
    pairs = [(seconds("compiled"), seconds("textbook")) for _ in range(3)]
    assert min(slow / fast for fast, slow in pairs) > 5


@pytest.mark.usefixtures("kernels")
def test_a_compiled_graph_contains_the_kernel_as_one_operator_with_gradients():
    arguments = inputs(2, 6, 4, 33)
    expected = run(arguments, "compiled")
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return graph

    values = {k: v.clone().requires_grad_() for k, v in arguments.items()}
    scan = torch.compile(selective_scan, backend=keep, fullgraph=True)
    y = scan(**values, delta_softplus=True, backend="compiled")
    assert_near(y, expected[0])
    assert "predcnn.scan.default" in graphs[0].code
    y.sum().backward()
    assert values["A"].grad.abs().sum() > 0
