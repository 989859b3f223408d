"""The block protocol, for every registered name."""

import pytest
import torch
from torch import nn

import predcnn
from predcnn.blocks.protocol import check_protocol
from predcnn.ops import DropPath
from predcnn.registry import BLOCKS

predcnn.list_translators()  # registers them
DIM, SIZE = 32, (8, 8)
NAMES = BLOCKS.names()


def make(name: str, *, size=SIZE, dim=DIM, seed=0, **options) -> nn.Module:
    """A small block in eval mode, constant parameters randomised so that every branch matters."""
    torch.manual_seed(seed)
    block = predcnn.create_block(name, dim, resolution=size, mlp_ratio=2.0, **options)
    with torch.no_grad():
        for parameter in block.parameters():
            if parameter.unique().numel() == 1:
                scale = 0.5 if parameter.ndim == 1 else 0.0
                parameter.add_(scale + 0.1 * torch.randn_like(parameter))
    return block.eval()


def maps(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Equal within ``tolerance`` of the largest expected magnitude."""
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_constructor_follows_the_protocol(name):
    check_protocol(name, BLOCKS[name])
    assert BLOCKS[name].__module__ == f"predcnn.blocks.{name}"


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (6, 16)])
def test_any_size_is_kept(name, size):
    block = make(name, size=size)
    x = maps(2, DIM, *size)
    with torch.no_grad():
        y = block(x)
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert not torch.equal(x, y)


def test_size_matters_only_where_declared(name):
    block, other = make(name), maps(1, DIM, 9, 6)
    if getattr(BLOCKS[name], "needs_resolution", False):
        with pytest.raises(ValueError, match="8x8"):
            block(other)
        with pytest.raises(ValueError, match="resolution"):
            predcnn.create_block(name, DIM)
    else:
        assert block(other).shape == other.shape
        assert predcnn.create_block(name, DIM)(other).shape == other.shape


def test_divisibility_is_declared(name):
    multiple = getattr(BLOCKS[name], "dim_multiple", 1)
    make(name, dim=3 * multiple)
    if multiple > 1:
        with pytest.raises(ValueError, match=f"divisible by {multiple}"):
            make(name, dim=3 * multiple + 1)


def test_gradient_reaches_every_parameter_and_the_input(name):
    block = make(name)
    x = maps(2, DIM, *SIZE).requires_grad_()
    (block(x) * maps(2, DIM, *SIZE, seed=2)).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().min() > 0
    for key, parameter in block.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


def test_train_mode_is_finite(name):
    block = make(name, drop_path=0.5).train()
    assert block(maps(4, DIM, *SIZE)).isfinite().all()


def test_eval_is_deterministic_and_samples_are_independent(name):
    block, x = make(name, drop_path=0.5), maps(3, DIM, *SIZE)
    with torch.no_grad():
        first, again = block(x), block(x)
        separate = torch.cat([block(sample[None]) for sample in x])
    assert torch.equal(first, again)
    assert_near(separate, first)


def test_memory_format_does_not_matter(name):
    block, x = make(name), maps(2, DIM, *SIZE)
    with torch.no_grad():
        expected = block(x)
        last = block.to(memory_format=torch.channels_last)(
            x.contiguous(memory_format=torch.channels_last)
        )
    assert_near(last, expected)


def test_bfloat16_autocast(name):
    block, x = make(name), maps(2, DIM, *SIZE)
    with torch.no_grad():
        exact = block(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = block(x)
    assert rough.isfinite().all()
    assert (rough.float() - exact).norm() <= 0.05 * exact.norm()


def test_state_dict_round_trip(name):
    block, other = make(name, seed=0), make(name, seed=5)
    x = maps(1, DIM, *SIZE)
    with torch.no_grad():
        assert not torch.equal(block(x), other(x))
        other.load_state_dict(block.state_dict())
        assert torch.equal(block(x), other(x))


def test_stochastic_depth_is_declared(name):
    for rate in (0.0, 0.25):
        block = make(name, drop_path=rate)
        rates = [part.drop_prob for part in block.modules() if isinstance(part, DropPath)]
        foreign = [
            part
            for part in block.modules()
            if type(part).__name__ == "DropPath" and not isinstance(part, DropPath)
        ]
        assert rates
        assert not foreign
        assert set(rates) <= {0.0, rate}


def test_merging_keeps_the_output(name):
    block, x = make(name), maps(2, DIM, *SIZE)
    block.train()(maps(4, DIM, *SIZE, seed=3))  # updates the statistics of batch norms
    block.eval()
    with torch.no_grad():
        before = block(x)
        for part in reversed(list(block.modules())):
            if hasattr(part, "merge_"):
                part.merge_()
                part.merge_()
        after = block(x)
    assert_near(after, before)


def test_unknown_options_raise(name):
    with pytest.raises(TypeError, match=r"no option 'dropp_path'.*mean drop_path.*accepted: .*"):
        predcnn.create_block(name, DIM, resolution=SIZE, dropp_path=0.1)


def test_exports(name):
    block, x = make(name), maps(2, DIM, *SIZE)
    with torch.no_grad():
        program = torch.export.export(block, (x,))
        assert_near(program.module()(x), block(x))


@pytest.mark.slow
def test_compiles_to_one_graph(name):
    torch.compiler.reset()
    block, x = make(name), maps(2, DIM, *SIZE)
    compiled = torch.compile(block, fullgraph=True)
    with torch.no_grad():
        assert_near(compiled(x), block(x), 1e-3)
    block = make(name, drop_path=0.1).train()
    trained = torch.compile(block, fullgraph=True, backend="aot_eager")
    trained(x).sum().backward()
