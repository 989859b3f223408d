"""When the compiled kernels are used, and what happens if they cannot be built."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from predcnn import native
from predcnn.native import BYTES, build, kernels_for, plain, private
from predcnn.ops.depthwise import depthwise_conv2d

load = build.load.__wrapped__


def used(*tensors: torch.Tensor | None) -> bool:
    return kernels_for(*tensors) is not None


@pytest.mark.usefixtures("kernels")
def test_kernels_support_eager_floats_of_one_type_on_a_cpu():
    x = torch.rand(2)
    assert used(x)
    assert used(x.double(), None, torch.nn.Parameter(x.double()))
    assert not used(x, x.double())
    assert not used(x.bfloat16())
    assert not used(x.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not used(x)
    with plain():
        with plain():
            assert not used(x)
        assert not used(x)
    assert used(x)


@pytest.mark.usefixtures("kernels")
def test_kernels_support_bytes_on_request():
    x = torch.zeros(2, dtype=torch.uint8)
    assert not used(x)
    assert kernels_for(x, types=BYTES) is not None
    assert kernels_for(x.float(), types=BYTES) is None


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_an_argument_may_be_none(order):
    kernels = native.Kernels(load(), "float32")  # without cached functions
    x, weight, bias = torch.ones(1, 1, 1, 1), torch.full((1, 1), 3.0), torch.full((1,), 2.0)
    for given in order:
        out = torch.empty(1)
        shape = (1, 1, 1, 1, 1, 1, 1, 0)
        kernels("depthwise", x, 1, weight, bias if given else None, out, *shape)
        assert out.item() == 3 + 2 * given


@pytest.mark.usefixtures("kernels")
def test_a_numpy_scalar_raises_and_later_calls_work():
    kernels = native.Kernels(load(), "float64")
    x, score = torch.rand(1, 8, 8, dtype=torch.float64), torch.empty(1, dtype=torch.float64)
    with pytest.raises(TypeError, match="float32"):
        kernels("ssim", x, x, score, 1, 8, 8, np.float32(1e-4), 9e-4)
    kernels("ssim", x, x, score, 1, 8, 8, 1e-4, 9e-4)
    assert score.item() == pytest.approx(1)


@pytest.mark.usefixtures("kernels")
def test_modes_and_transforms_get_operators():
    from torch._subclasses.fake_tensor import FakeTensorMode

    x, weight = torch.rand(1, 4, 5, 5), torch.rand(4, 1, 3, 3)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert not used(mode.from_tensor(x))
        assert depthwise_conv2d(mode.from_tensor(x), mode.from_tensor(weight)).shape == x.shape
    seen = []
    torch.func.vmap(lambda one: seen.append(used(one)) or one)(x[None])
    torch.compile(lambda x: seen.append(used(x)) or x + 1, backend="eager")(x)
    assert seen == [False, False]


def test_a_missing_compiler_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load() == "no C++ compiler (c++, g++, clang++ or $CXX)"


def test_a_failing_compiler_warns_and_leaves_no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    with pytest.warns(UserWarning, match="without compiled kernels: .*false failed"):
        reason = load()
    assert "false failed" in reason
    assert list((tmp_path / "predcnn").iterdir()) == []


def test_a_damaged_library_warns(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "true")  # "compiles" an empty file
    with pytest.warns(UserWarning, match="without compiled kernels"):
        assert "not loadable" in load()


def test_the_environment_disables_kernels(monkeypatch):
    monkeypatch.setenv(build.SWITCH, "0")
    assert load() == "switched off by PREDCNN_KERNELS=0"


@pytest.mark.usefixtures("kernels")
def test_kernels_are_built_once(monkeypatch):
    def fail(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(build, "replacing", fail)
    assert not isinstance(load(), str)
    assert native.describe().startswith("compiled (kernels-")


def test_importing_builds_nothing():
    code = (
        "import sys, predcnn.native.build as b, predcnn.ops.depthwise, predcnn.metrics\n"
        "print(b.load.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (private._dispatch, "_get_current_dispatch_mode"),
        (torch.autograd.forward_ad, "_current_level"),
        (torch._C, "_are_functorch_transforms_active"),
    ],
)
def test_without_a_private_function_of_torch_the_reference_path_runs(monkeypatch, owner, name):
    x, weight = torch.rand(1, 4, 5, 5), torch.rand(4, 1, 3, 3)
    expected = depthwise_conv2d(x, weight)
    assert used(x)
    monkeypatch.delattr(owner, name)
    assert not used(x)
    torch.testing.assert_close(depthwise_conv2d(x, weight), expected)
    assert native.describe() == f"none: torch {torch.__version__} has no {name}"


@pytest.mark.parametrize("fused", [True, False])
def test_foreach_works_without_fused_operators(monkeypatch, fused):
    if not fused:
        monkeypatch.delattr(torch, "_foreach_lerp")
        monkeypatch.delattr(torch, "_foreach_add_")
    first, second = [torch.zeros(2), torch.ones(3)], [torch.ones(2), torch.zeros(3)]
    between = private.foreach("lerp", first, second, 0.25)
    assert [t.tolist() for t in between] == [[0.25] * 2, [0.75] * 3]
    private.foreach("add_", first, second, alpha=2)
    assert [t.tolist() for t in first] == [[2.0] * 2, [1.0] * 3]


def test_without_its_connector_lightning_has_no_cluster():
    assert private.cluster_environment(object()) is None
