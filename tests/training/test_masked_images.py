"""The LightningModule of masked image models: masks, rates, weight decay."""

from types import SimpleNamespace

import pytest
import torch

from predcnn.pretraining import create_method
from predcnn.training.callbacks.weight_decay import WeightDecaySchedule
from predcnn.training.masked_images import MaskedImages, slow_down
from predcnn.training.optim import layered_optimizer
from tests.pretraining.networks import tiny


def adamw(groups: list[dict]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=0.1, weight_decay=0.05)


@pytest.mark.parametrize("name", ["a2mim", "spark"])
def test_tokens_have_a_lower_rate_and_no_weight_decay(name):
    method = create_method(name, tiny(), 64)
    optimizer = layered_optimizer(method, optimizer=adamw)
    slow_down(optimizer, method.tokens(), 0.1)
    tokens = {id(parameter) for parameter in method.tokens()}
    seen = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            is_token = id(parameter) in tokens
            assert group["lr"] == pytest.approx(0.01 if is_token else 0.1)
            assert not (is_token and group["weight_decay"])
            seen.append(id(parameter))
    assert sorted(seen) == sorted(id(parameter) for parameter in method.parameters())


def test_masks_depend_on_their_key_alone():
    method = create_method("simmim", tiny(), 64)
    module = MaskedImages(method, {}, adamw, None, seed=1).eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        (one, first), (two, again), (_, other) = (module.reconstruct(images, i) for i in (0, 0, 1))
    assert torch.equal(first, again)
    assert torch.equal(one.loss, two.loss)
    assert not torch.equal(first, other)


def test_weight_decay_rises_along_half_a_cosine_and_zero_stays_zero():
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1.0, weight_decay=0.04)
    trainer = SimpleNamespace(optimizers=[optimizer], estimated_stepping_batches=101)
    schedule, seen = WeightDecaySchedule(end=0.2), []
    schedule.on_fit_start(trainer, None)
    for step in (0, 50, 100):
        trainer.global_step = step
        schedule.on_train_batch_start(trainer, None, None, 0)
        seen.append([group["weight_decay"] for group in optimizer.param_groups])
    assert seen == [pytest.approx([value, 0.0]) for value in (0.04, 0.12, 0.2)]
    with pytest.raises(ValueError, match="at least 0"):
        WeightDecaySchedule(end=-1)
