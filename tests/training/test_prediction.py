"""The keys of the training configuration take effect."""

import copy

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import instantiate

from predcnn.app.build import build_module, build_trainer
from predcnn.app.train import train

NET = ("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


class GradientNorms(pl.Callback):
    """Norms of the gradients after clipping."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def on_before_zero_grad(self, trainer, pl_module, optimizer) -> None:
        grads = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
        self.seen += [torch.stack(grads).norm()] if grads else []


def fitted(cfg, tmp_path, *callbacks) -> tuple:
    torch.manual_seed(0)
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    module = build_module(cfg, datamodule)
    start = copy.deepcopy(module.predictor.state_dict())
    trainer = build_trainer(cfg, tmp_path)
    trainer.callbacks.extend(callbacks)
    trainer.fit(module, datamodule=datamodule)
    return trainer, module, start


def test_onecycle_spans_the_true_number_of_steps_and_cycles_beta1(tiny_cfg, tmp_path):
    cfg = tiny_cfg(
        *NET, "data.train_sequences=24", "trainer.accumulate_grad_batches=2", "optimizer.lr=0.01"
    )
    seen = []
    from predcnn.training.prediction import VideoPrediction

    class Watched(VideoPrediction):
        def on_before_optimizer_step(self, optimizer):
            group = optimizer.param_groups[0]
            seen.append((group["lr"], group["betas"][0]))

    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    module = build_module(cfg, datamodule)
    module.__class__ = Watched
    build_trainer(cfg, tmp_path).fit(module, datamodule=datamodule)
    reference = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        reference, max_lr=0.01, total_steps=6, final_div_factor=1e4
    )
    expected = []
    for _ in range(6):
        expected.append((reference.param_groups[0]["lr"], reference.param_groups[0]["betas"][0]))
        reference.step()
        schedule.step()
    assert len(seen) == 6
    for (lr, beta), (lr2, beta2) in zip(seen, expected, strict=True):
        assert (lr, beta) == pytest.approx((lr2, beta2))
    assert max(lr for lr, _ in seen) == pytest.approx(0.01, rel=0.3)


def test_clipping_bounds_the_gradient(tiny_cfg, tmp_path):
    free, bound = GradientNorms(), GradientNorms()
    fitted(tiny_cfg(*NET, "trainer.max_steps=2"), tmp_path, free)
    fitted(tiny_cfg(*NET, "trainer.max_steps=2", "trainer.gradient_clip_val=1e-3"), tmp_path, bound)
    assert max(free.seen) > 1e-2
    assert max(bound.seen) <= 1.001e-3


@pytest.mark.parametrize("objective", ["mse", "l1", "mse_l1", "ssim", "tau"])
def test_every_objective_trains(tiny_cfg, tmp_path, objective):
    _, module, start = fitted(
        tiny_cfg(*NET, f"objective={objective}", "trainer.max_steps=1"), tmp_path
    )
    assert any(not torch.equal(v, start[k]) for k, v in module.predictor.state_dict().items())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("scheduler", ["onecycle", "cosine", "constant"])
def test_every_optimizer_and_schedule_steps(tiny_cfg, tmp_path, optimizer, scheduler):
    overrides = (f"optimizer={optimizer}", f"scheduler={scheduler}", "trainer.max_steps=1")
    trainer, _, _ = fitted(tiny_cfg(*NET, *overrides), tmp_path)
    assert trainer.global_step == 1


def test_ema_saves_the_average_and_the_weights(tiny_cfg, tmp_path):
    cfg = tiny_cfg(*NET, "ema=0.5", "optimizer.lr=0.01", run_dir=tmp_path)
    fitted(cfg, tmp_path)
    saved = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    key = next(k for k in saved["state_dict"] if k.endswith("weight"))
    assert not torch.equal(saved["state_dict"][key], saved["current_model_state"][key])


def test_bf16(tiny_cfg, tmp_path):
    trainer, module, _ = fitted(
        tiny_cfg(*NET, "trainer.precision=bf16-mixed", "trainer.max_steps=1"), tmp_path
    )
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in module.parameters())
    with trainer.precision_plugin.forward_context():
        assert module.predictor(torch.rand(1, 10, 1, 32, 32)).dtype == torch.bfloat16


@pytest.mark.slow
def test_compiled_training_steps_like_eager(tiny_cfg, tmp_path):
    words = ("trainer.max_steps=2", "model.net.drop_path=0")
    _, eager, _ = fitted(tiny_cfg(*NET, *words), tmp_path)
    _, compiled, _ = fitted(tiny_cfg(*NET, *words, "compile=true"), tmp_path)
    for a, b in zip(eager.predictor.parameters(), compiled.predictor.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)


def test_equal_seeds_give_equal_weights(tiny_cfg, tmp_path):
    weights = []
    for seed in (1, 1, 2):
        folder = tmp_path / f"{len(weights)}"
        train(tiny_cfg(*NET, f"seed={seed}", "trainer.max_steps=1", run_dir=folder))
        saved = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        weights.append(torch.cat([v.flatten().float() for v in saved.values()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_training_without_a_length_raises(tiny_cfg, tmp_path):
    with pytest.raises(ValueError, match=r"trainer\.max_epochs"):
        fitted(tiny_cfg(*NET, "trainer.max_epochs=-1", "trainer.max_time=00:00:00:01"), tmp_path)
