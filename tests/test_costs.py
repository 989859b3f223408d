"""Counts against arithmetic done by hand, against published counts, and nothing left behind."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import predcnn
from predcnn.costs import Profile, describe_device, peak_memory, profile, throughput


class Call(nn.Module):
    """A function of (module, x) as a module."""

    def __init__(self, function, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.function(self, x)


def attention(module, x):
    return functional.scaled_dot_product_attention(x, x, x)


# module, shape of one sample, multiply–adds, the same by fvcore's convention
COUNTED = {
    "conv": (nn.Conv2d(4, 8, 3, stride=2, padding=1), (4, 13, 15), 8 * 7 * 8 * 4 * 9, None),
    "grouped dilated": (
        nn.Conv2d(4, 8, 3, groups=2, dilation=2),
        (4, 13, 15),
        8 * 9 * 11 * 2 * 9,
        None,
    ),
    "transposed": (
        nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2),
        (4, 13, 15),
        4 * 13 * 15 * 4 * 9,
        None,
    ),
    "3d": (nn.Conv3d(2, 3, (2, 5, 5)), (2, 4, 9, 8), 3 * 3 * 5 * 4 * 2 * 50, None),
    "1d": (nn.Conv1d(2, 3, 5), (2, 11), 3 * 7 * 2 * 5, None),
    "padding same": (nn.Conv2d(4, 6, 3, padding="same"), (4, 5, 7), 6 * 35 * 36, 0),
    "functional conv": (
        Call(lambda m, x: functional.conv2d(x, x[:, :, :3, :3])),
        (4, 6, 8),
        4 * 6 * 4 * 9,
        None,
    ),
    "linear": (nn.Linear(6, 7), (4, 5, 6), 20 * 42, None),
    "linear without bias": (nn.Linear(6, 7, bias=False), (4, 5, 6), 20 * 42, None),
    "matmul": (Call(lambda m, x: x @ x.mT), (3, 5, 6), 3 * 5 * 6 * 5, None),
    "einsum": (
        Call(lambda m, x: torch.einsum("bchw,bcvw->bchv", x, x)),
        (3, 5, 6),
        3 * 5 * 6 * 5,
        None,
    ),
    "attention": (Call(attention), (2, 5, 8), 2 * (2 * 5 * 5 * 8), None),
    "MultiheadAttention": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        (5, 8),
        5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8 + 2 * 5 * 8 * 16,
        5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8 + 2 * 5 * 8 * 16 + 2 * 40 * 5,
    ),
    "batch norm": (nn.BatchNorm2d(4), (4, 5, 6), 0, 2 * 120),
    "batch norm without affine": (nn.BatchNorm2d(4, affine=False), (4, 5, 6), 0, 120),
    "instance norm": (nn.InstanceNorm2d(4, affine=True), (4, 5, 6), 0, 5 * 120),
    "group norm": (nn.GroupNorm(2, 4), (4, 5, 6), 0, 5 * 120),
    "layer norm": (nn.LayerNorm(6), (4, 5, 6), 0, 5 * 120),
    "layer norm without affine": (
        nn.LayerNorm(6, elementwise_affine=False),
        (4, 5, 6),
        0,
        4 * 120,
    ),
    "global pooling": (nn.AdaptiveAvgPool2d(1), (4, 5, 6), 0, 120),
    "adaptive pooling": (nn.AdaptiveAvgPool2d(2), (4, 5, 6), 0, 120),
    "nearest": (nn.Upsample(scale_factor=2), (4, 5, 6), 0, 480),
    "nearest in 3d": (nn.Upsample(scale_factor=2), (4, 3, 5, 6), 0, 0),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (4, 5, 6), 0, 4 * 480),
    "not counted": (
        nn.Sequential(nn.GELU(), nn.Softmax(-1), nn.AvgPool2d(2), nn.MaxPool2d(1)),
        (4, 6, 6),
        0,
        0,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts_by_hand(name):
    module, shape, macs, published = COUNTED[name]
    counted = profile(module, shape)
    assert counted.macs == macs
    assert counted.macs_published == (macs if published is None else published)
    assert sum(a for a, _ in counted.by_operator.values()) == counted.macs
    assert sum(b for _, b in counted.by_operator.values()) == counted.macs_published


def test_operators_are_told_apart():
    net = Call(
        lambda m, x: m.head(m.norm(m.conv(x)).flatten(2) @ torch.ones(20, 3)),
        conv=nn.Conv2d(2, 4, 1),
        norm=nn.BatchNorm2d(4),
        head=nn.Linear(3, 5),
    )
    assert profile(net, (2, 4, 5)).by_operator == {
        "batch_norm": (0, 2 * 80),
        "conv": (160, 160),
        "linear": (60, 60),
        "matmul": (240, 240),
    }


class SlowConv(nn.Conv2d):
    """A convolution computed wastefully: twice, on a padded map."""

    def forward(self, x):
        wide = functional.conv2d(functional.pad(x, (4, 4, 4, 4)), self.weight, self.bias)
        return 0.5 * (wide + wide)[..., 4:-4, 4:-4]


def test_a_convolution_counts_as_its_mathematics_however_it_is_run():
    plain = nn.Conv2d(3, 5, 3)
    assert profile(SlowConv(3, 5, 3), (3, 9, 9)) == profile(plain, (3, 9, 9))


class FastProduct(nn.Module):
    """x @ x.mT by an operator that nothing can see into."""

    def forward(self, x):
        return (x[..., :, None, :] * x[..., None, :, :]).sum(-1)

    def true_macs(self, shape):
        return shape[0] * shape[1] * shape[2] * shape[1]


class Corrected(nn.Sequential):
    """Published code that also runs a 2x2 map for nothing."""

    def published_macs(self, counted, shape):
        return counted + 4 * shape[0]


def test_declarations():
    assert profile(FastProduct(), (5, 6)).macs == 150
    assert profile(FastProduct(), (5, 6)).macs_published == 150
    corrected = profile(Corrected(nn.Linear(6, 7)), (6,))
    assert (corrected.macs, corrected.macs_published) == (42, 46)
    conv = nn.Conv2d(2, 2, 3, padding=1)
    conv.uncounted_by_fvcore = True
    norm = nn.Sequential(nn.LayerNorm(6))
    norm.uncounted_by_fvcore = True
    net = profile(nn.Sequential(conv, nn.Conv2d(2, 3, 1), norm), (2, 5, 6))
    assert (net.macs, net.macs_published) == (2 * 30 * 18 + 3 * 30 * 2, 3 * 30 * 2)


def test_nested_declarations_do_not_mix():
    inner = Corrected(nn.Linear(6, 7))
    outer = Corrected(inner, nn.Linear(7, 2))
    counted = profile(outer, (6,))
    assert counted.macs == 42 + 14
    assert counted.macs_published == (42 + 4) + 14 + 4


def test_parameters():
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, nn.Sequential(shared, nn.Linear(4, 3)))
    net.unused_published_params = 10
    net[1].unused_published_params = 7
    counted = profile(net, (4,))
    assert counted.params == 20 + 15
    assert counted.params_published == 35 + 17


def test_nothing_about_the_module_changes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.BatchNorm2d(4))
    net.train()
    net[3].eval()  # a frozen norm must not wake up
    before = {key: value.clone() for key, value in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    profile(net, (2, 9, 9))
    throughput(net, (2, 9, 9), rounds=1, warm_up=0)
    assert [part.training for part in net.modules()] == modes
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key
    for part in net.modules():
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
    assert all(p.grad is None for p in net.parameters())
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_failing_module_is_left_clean():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(3, 3)).train()
    with pytest.raises(RuntimeError, match="shape"):
        profile(net, (4,))
    assert all(part.training and not part._forward_hooks for part in net.modules())


def test_dtype_of_the_module_is_used():
    assert profile(nn.Linear(4, 4).double(), (4,)).macs == 16
    assert profile(nn.Linear(4, 4).bfloat16(), (4,)).macs == 16


def test_reads_as_a_table():
    lines = str(profile(nn.Conv2d(10, 10, 3, padding="same"), (10, 64, 64))).splitlines()
    assert lines[0].split() == ["operator", "multiply–adds", "published", "count"]
    assert lines[1].split() == ["conv", "3,686,400", "0"]
    assert lines[-1].split() == ["parameters", "910", "910"]


def test_is_frozen():
    counted = Profile(1, 1, 2, 2)
    with pytest.raises(AttributeError):
        counted.params = 3


# Counts of the published code by fvcore, one sequence: 4 frames of 1x32x32, and 5 of 3x64x48.
SMALL = {"hid_S": 16, "hid_T": 64, "N_S": 2, "N_T": 4}
PUBLISHED = {
    "convnext": (292241, 93601792),
    "gsta": (386705, 116670464),
    "hornet": (365329, 111747072),
    "incepu": (460945, 138297344),
    "mlpmixer": (346385, 94912512),
    "moganet": (387157, 116269056),
    "poolformer": (280209, 90718208),
    "swin": (347825, 109592576),
    "tau": (378257, 112549888),
    "uniformer": (342545, 131465216),
    "van": (370065, 112476160),
    "vit": (346257, 141049856),
}


@pytest.mark.parametrize("translator", PUBLISHED)
def test_published_simvp(translator):
    net = predcnn.create_predictor("simvp", in_shape=(4, 1, 32, 32), translator=translator, **SMALL)
    counted = profile(net, (4, 1, 32, 32))
    params, macs = PUBLISHED[translator]
    assert counted.params_published == params
    assert counted.macs_published == pytest.approx(macs, rel=5e-3)


def test_count_is_of_one_sample():
    net = predcnn.create_predictor("simvp", in_shape=(4, 1, 32, 32), translator="gsta", **SMALL)
    conv = profile(net, net.in_shape).by_operator["conv"]
    assert conv == (115343360, 115343360)


def test_throughput():
    calls = []
    net = Call(lambda m, x: calls.append((x.shape, m.training, torch.is_grad_enabled())) or x)
    measured = throughput(net.train(), (2, 3), batch_size=5, rounds=4, warm_up=3)
    assert calls == [((5, 2, 3), False, False)] * 7
    assert measured.sequences_per_second == pytest.approx(5 / measured.seconds_per_batch)
    assert (measured.batch_size, measured.rounds) == (5, 4)
    assert measured.device == describe_device("cpu")
    with pytest.raises(ValueError, match="at least 1"):
        throughput(net, (2, 3), batch_size=0)


def test_throughput_takes_the_median_after_warm_up(monkeypatch):
    durations = iter([100.0, 1.0, 9.0, 2.0])
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def work(module, x):
        clock[0] += next(durations)
        return x

    assert throughput(Call(work), (1,), rounds=3, warm_up=1).seconds_per_batch == 2.0


def test_peak_memory_of_the_cpu_is_that_of_tensors():
    def chain():
        first = torch.ones(1 << 20)
        second = first * 2
        del first
        return second + 1  # a third one, where the first is gone

    assert peak_memory(chain) == pytest.approx(8 << 20, abs=100)  # the numbers are tensors, too
    assert peak_memory(lambda: None) == 0


def test_peak_memory_does_not_depend_on_what_ran_before():
    net = predcnn.create_predictor("convlstm", in_shape=(2, 1, 16, 16), frames_out=2).eval()
    x = torch.rand(4, 2, 1, 16, 16)
    with torch.no_grad():
        net(x)  # freed memory stays with the process
        peaks = {peak_memory(lambda: net(x)) for _ in range(3)}
    assert len(peaks) == 1
    assert peaks.pop() > x.nbytes


def test_peak_memory_under_a_profiler_is_refused():
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]),
        pytest.raises(RuntimeError, match="already running"),
    ):
        peak_memory(lambda: None)


def test_device_is_described():
    text = describe_device("cpu")
    assert torch.__version__ in text
    assert "threads" in text
