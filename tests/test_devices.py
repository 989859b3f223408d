"""GPU behaviour that can be checked without a GPU: devices, types and synchronisation."""

import contextlib
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import instantiate
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

import predcnn
from predcnn.app.build import build_module, build_trainer, describe_device
from predcnn.data import MovingMNISTOptions, SequenceDataModule
from predcnn.data.frames import transferred_to_float
from predcnn.data.sequences import SETS
from predcnn.metrics import frame_error, ssim, video_metrics
from predcnn.metrics.streaming import MAX_FRAMES
from predcnn.native import choice
from predcnn.training.callbacks import StopOnNonFinite
from predcnn.training.callbacks.averaging import AveragedWeights
from predcnn.training.muon import Muon
from predcnn.training.objectives import FRAME_TERMS, FrameLoss
from predcnn.training.sampling import Progress
from predcnn.training.unrolled import UnrolledLoss
from tests.fake_cuda import Watch, bfloat16_autocast, fake_cuda, on_cuda
from tests.predictors.recurrent_cases import SIZE, recurrent_names, tiny

BACKBONES = (
    *("flashinternimage_t", "hornet_tiny_7x7", "hornet_tiny_gf", "internimage_t"),
    *("moganet_xtiny", "replknet_31b", "slak_tiny", "uniformer_small", "unireplknet_a", "van_b0"),
    *("vmamba_tiny", "vmamba_v0_tiny"),
)
PRECISIONS = {"float32": contextlib.nullcontext, "bfloat16": bfloat16_autocast}
precisions = pytest.mark.parametrize("precision", PRECISIONS)
PREDICTORS = [name for name in predcnn.list_predictors() if name != "simvp"]


def simvp(translator):
    sizes = {"hid_S": 8, "hid_T": 32, "N_S": 2, "N_T": 2, "mlp_ratio": 2.0}
    return predcnn.create_predictor(
        "simvp", in_shape=(4, 1, *SIZE), frames_out=3, translator=translator, **sizes
    ).eval()


def predictor(name):
    if name in recurrent_names():
        return tiny(name)
    if name not in PREDICTORS:
        return simvp(name)
    net = predcnn.create_predictor(name, in_shape=(4, 1, *SIZE), scale="small").eval()
    return net.fit([torch.rand(2, 4, 1, *SIZE)]) if name == "mean_frame" else net


def test_every_backbone_family_is_tried():
    families = {name.split("_")[0] for name in predcnn.list_backbones()}
    assert {name.split("_")[0] for name in BACKBONES} == families


def test_autocast_of_fake_tensors_computes_in_bfloat16():
    with fake_cuda(), bfloat16_autocast():
        x, weight = torch.empty(1, 2, 8, 8, device="cuda"), torch.empty(4, 2, 3, 3, device="cuda")
        assert torch.nn.functional.conv2d(x, weight).dtype == torch.bfloat16


@precisions
@pytest.mark.parametrize("name", [*PREDICTORS, *predcnn.list_translators()])
@torch.no_grad()
def test_a_forward_pass_stays_on_the_gpu(name, precision):
    net = predictor(name)
    with fake_cuda() as watch, PRECISIONS[precision]():
        past = torch.empty(2, *net.in_shape, device="cuda")
        out = functional_call(net, on_cuda(net), (past,))
        assert out.device.type == "cuda"
        assert out.shape == (2, net.frames_out, 1, *SIZE)
    assert watch.reads == 0
    assert watch.doubles == []


@precisions
@pytest.mark.parametrize("name", BACKBONES)
@torch.no_grad()
def test_a_backbone_stays_on_the_gpu(name, precision):
    with torch.device("meta"):
        net = predcnn.create_backbone(name).eval()
    with fake_cuda() as watch, PRECISIONS[precision]():
        out = functional_call(net, on_cuda(net), (torch.empty(2, 3, 224, 224, device="cuda"),))
        assert out.device.type == "cuda"
    assert watch.reads == 0
    assert watch.doubles == []


@pytest.mark.parametrize("term", FRAME_TERMS)
def test_a_loss_stays_on_the_gpu(term):
    loss = FrameLoss({term: 1.0})
    with fake_cuda() as watch:
        pred, target = torch.empty(2, 2, 4, 1, *SIZE, device="cuda").unbind()
        assert loss.frame_loss(pred, target)["loss"].dtype == torch.float32
    assert watch.reads == 0
    assert watch.doubles == []


# Without a GPU, autograd runs no backward pass of fake CUDA tensors: gradients are tried on the
# meta device, whose tensors cannot be read or mixed with those of another device either. They are
# plain tensors, so that this also shows that no kernel is asked for what does not lie on a CPU.
@pytest.mark.parametrize("name", [*recurrent_names(), "predformer", *predcnn.list_translators()])
def test_gradients_need_neither_the_host_nor_cpu_kernels(name, monkeypatch):
    asked = []
    monkeypatch.setattr(choice.Kernels, "__call__", lambda self, name, *rest: asked.append(name))
    net = predictor(name).train().to("meta")
    frames = torch.empty(2, net.in_shape[0] + net.frames_out, 1, *SIZE, device="meta")
    if name in recurrent_names():
        loss = UnrolledRun(net)(frames)["loss"]
    else:
        past, future = frames.split([net.in_shape[0], net.frames_out], dim=1)
        loss = FrameLoss({"mse": 1.0}).frame_loss(net(past), future)["loss"]
    weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
    with Watch() as watch:
        grads = torch.autograd.grad(loss, weights, allow_unused=True)
    assert {g.device.type for g in grads if g is not None} == {"meta"}
    assert (watch.reads, watch.doubles, asked) == (0, [], [])


@pytest.mark.parametrize("compat", [None, "openstl"])
@torch.no_grad()
def test_dmvfn_predicts_the_same_with_every_block_computed(compat):
    net = tiny("dmvfn", compat=compat)
    first, second = torch.rand(2, 5, 1, *SIZE)
    for bias in (-5.0, 0.0, 5.0):  # few, some and all blocks are used
        net.l1.bias.fill_(bias)
        torch.manual_seed(0)
        sparse = net.evaluated(first, second, sparse=True)
        torch.manual_seed(0)
        torch.testing.assert_close(net.evaluated(first, second, sparse=False), sparse)


METRICS = ["mse", "mae", "rmse", "ssim", "psnr", "ssim_per_frame"]


def test_metrics_stay_on_the_gpu_in_float32():
    with fake_cuda() as watch:
        meters = video_metrics(METRICS).to("cuda")
        for _ in range(2):
            meters.update(*torch.empty(2, 2, 3, 1, *SIZE, device="cuda").unbind())
        states = [value for meter in meters.values() for value in meter.metric_state.values()]
        assert {value.device.type for value in states} == {"cuda"}
    assert watch.reads == 0
    assert watch.doubles == []


@pytest.fixture
def float32_metrics(monkeypatch):
    """Metrics as they compute on an accelerator, on the CPU."""
    for module in (frame_error, ssim):
        monkeypatch.setattr(module, "widened", lambda frames: frames.float())
    monkeypatch.setattr(ssim, "kernels_for", lambda *tensors: None)

    def make():
        meters = video_metrics(METRICS)
        for meter in meters.values():
            meter.total = meter.total.float()
        return meters

    return make


def test_float32_sums_are_as_exact_as_double_sums(float32_metrics):
    narrow, wide = float32_metrics(), video_metrics(METRICS)
    for _ in range(50):
        pred = torch.rand(4, 3, 1, *SIZE)
        target = (pred + 0.1 * torch.randn_like(pred)).clamp(0, 1)
        narrow.update(pred, target)
        wide.update(pred, target)
    assert {meter.total.dtype for meter in narrow.values()} == {torch.float32}
    values = narrow.compute()
    for name, value in wide.compute().items():
        torch.testing.assert_close(values[name], value, rtol=2e-6, atol=0)


def test_small_numbers_are_not_lost_in_a_large_float32_sum():
    meter = video_metrics(["mse"])["mse"]
    meter.total = meter.total.float()
    meter._add(torch.full((MAX_FRAMES,), 2.0**26))
    for _ in range(1000):
        meter._add(torch.ones(MAX_FRAMES))
    assert (meter.total.double() + meter.rest)[0] == 2.0**26 + 1000


def test_values_that_are_not_finite_raise_when_the_metric_of_an_accelerator_is_computed():
    meter = video_metrics(["mse"])["mse"]
    meter.update(*torch.rand(2, 2, 3, 1, *SIZE))
    meter.bad = meter.bad + torch.tensor([2, 0])
    with pytest.raises(ValueError, match="2 values of pred were NaN or Inf"):
        meter.compute()


def test_a_training_step_reads_nothing_from_the_device(tiny_cfg, tmp_path):
    cfg = tiny_cfg(
        *("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2"),
        *("data.train_sequences=16", "trainer.log_every_n_steps=1000"),
    )
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    module, trainer, counts = build_module(cfg, datamodule), build_trainer(cfg, tmp_path), []
    finite = next(part for part in trainer.callbacks if isinstance(part, StopOnNonFinite))
    finite.check = lambda trainer: None  # reads every step on a CPU, every 50 steps elsewhere

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    class CountReads(pl.Callback):
        def on_train_batch_start(self, *_):
            self.mode = Reads().__enter__()

        def on_train_batch_end(self, *_):
            self.mode.__exit__(None, None, None)
            counts.append(self.mode.count)

    trainer.callbacks.append(CountReads())
    trainer.fit(module, datamodule=datamodule)
    assert len(counts) == 8
    assert counts == [0] * 8


def test_float_batches_are_checked_before_they_are_transferred():
    family = MovingMNISTOptions(source="embedded", train_sequences=4)
    datamodule = SequenceDataModule(SETS["moving_mnist"](family))
    strategy = SimpleNamespace(root_device=torch.device("meta"))
    datamodule.trainer = SimpleNamespace(training=False, strategy=strategy)
    with pytest.raises(ValueError, match="must lie in"):
        datamodule.on_before_batch_transfer(torch.full((1, 2, 1, 4, 4), 2.0), 0)
    batch = torch.rand(1, 2, 1, 4, 4)
    assert datamodule.on_before_batch_transfer(batch, 0) is batch
    with fake_cuda() as watch:
        transferred_to_float(torch.empty(1, 2, 1, 4, 4, device="cuda", dtype=torch.float16))
    assert watch.reads == 0


@pytest.fixture
def matmul_precision():
    """Restores the precision of float32 matrix products."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("matmul_precision")
def test_the_precision_of_matrix_products_is_set_and_recorded(tiny_cfg, tmp_path):
    trainer = build_trainer(tiny_cfg("matmul_precision=null"), tmp_path)
    assert describe_device(trainer) == "cpu, precision 32-true"  # CPUs keep torch's default
    trainer = build_trainer(tiny_cfg("matmul_precision=medium"), tmp_path)
    assert torch.get_float32_matmul_precision() == "medium"
    assert describe_device(trainer) == "cpu, precision 32-true, float32 matrix products medium"
    with pytest.raises(ValueError, match="no matmul_precision 'hihg'; did you mean high"):
        build_trainer(tiny_cfg("matmul_precision=hihg"), tmp_path)


def test_averaged_weights_lie_where_the_training_does():
    module = pl.LightningModule()
    module.layer = torch.nn.Linear(2, 2)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    averaged = AveragedWeights(decay=0.9)
    averaged.setup(trainer, module, "fit")
    assert {p.device.type for p in averaged._average_model.parameters()} == {"meta"}
    assert averaged.state_key == "EMAWeightAveraging"


@pytest.mark.parametrize("make", [Muon, lambda p: torch.optim.Adam(p, fused=True)])
def test_an_optimizer_step_stays_on_the_gpu(make):
    with fake_cuda() as watch:
        shapes = [(16, 8, 3, 3), (16, 8, 3, 3), (32, 16), (16,), ()]
        weights = [torch.nn.Parameter(torch.empty(shape, device="cuda")) for shape in shapes]
        for weight in weights:
            weight.grad = torch.empty_like(weight)
        optimizer = make(weights)
        optimizer.step()
        states = [v for state in optimizer.state.values() for v in state.values()]
        assert {value.device.type for value in states} == {"cuda"}
    assert watch.reads == 0


class UnrolledRun(torch.nn.Module):
    """The training pass of a recurrent predictor as a forward pass."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.loss = UnrolledLoss({"mse": 1.0}, lambda p, batch, past, steps: truth(batch, steps))

    def forward(self, frames):
        return self.loss(self.net, frames, 3, Progress(0))


def truth(batch, steps):
    return (torch.arange(steps) < 3).expand(batch, steps)
