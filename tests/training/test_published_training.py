"""The training loop compared with the published optimizer and schedule in plain tensors."""

import copy
import math

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import instantiate

from predcnn.app.build import build_module, build_trainer
from predcnn.ops import DropPath

STEPS, BATCH = 20, 2
NET = ("scale=published", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=3")
RUN = (
    f"data.train_sequences={STEPS * BATCH}",
    "data.val_sequences=2",
    f"data.batch_size={BATCH}",
    "trainer.max_epochs=1",
)


def one_cycle(step: int, peak: float) -> tuple[float, float]:
    """Learning rate and beta1 of a step: cosine from peak/25 up over 30 %, down to peak/25e4."""

    def cosine(start: float, end: float, share: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    top = 0.3 * STEPS - 1
    if step <= top:
        return cosine(peak / 25, peak, step / top), cosine(0.95, 0.85, step / top)
    share = (step - top) / (STEPS - 1 - top)
    return cosine(peak, peak / 25 / 1e4, share), cosine(0.85, 0.95, share)


def reference_losses(net: torch.nn.Module, batches: list[torch.Tensor], peak: float) -> list[float]:
    """Losses of Adam (beta2 0.999, eps 1e-8, no decay) under OneCycle."""
    params = list(net.parameters())
    m = [torch.zeros_like(p) for p in params]
    v = [torch.zeros_like(p) for p in params]
    losses = []
    for step, frames in enumerate(batches):
        frames = frames.float() / 255
        loss = ((net(frames[:, :10]) - frames[:, 10:]) ** 2).mean()
        losses.append(loss.item())
        grads = torch.autograd.grad(loss, params)
        lr, beta = one_cycle(step, peak)
        with torch.no_grad():
            for p, g, a, b in zip(params, grads, m, v, strict=True):
                a.mul_(beta).add_(g, alpha=1 - beta)
                b.mul_(0.999).addcmul_(g, g, value=0.001)
                size = lr / (1 - beta ** (step + 1))
                p -= size * a / ((b / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    return losses


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, *rest: object) -> None:
        self.seen.append(outputs["loss"].item())


@pytest.mark.parametrize("translator", ["gsta", "moganet", "convnext", "swin"])
def test_twenty_steps_equal_the_reference_loop(tiny_cfg, tmp_path, translator):
    cfg = tiny_cfg(*NET, *RUN, f"translator={translator}", run_dir=tmp_path)
    torch.manual_seed(0)
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    module = build_module(cfg, datamodule)
    for part in module.modules():
        if isinstance(part, DropPath):
            part.drop_prob = 0.0  # the reference draws nothing
    reference = copy.deepcopy(module.predictor).train()
    train_set = datamodule.split("train")
    batches = [train_set.batch(0, range(i * BATCH, (i + 1) * BATCH)) for i in range(STEPS)]
    expected = reference_losses(reference, batches, cfg.optimizer.lr)

    losses = Losses()
    trainer = build_trainer(cfg, tmp_path)
    trainer.callbacks.append(losses)
    trainer.fit(module, datamodule=datamodule)
    assert losses.seen == pytest.approx(expected, rel=1e-4)
    assert losses.seen[-1] < losses.seen[0]
