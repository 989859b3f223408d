"""Sparse training: constant density, changing masks, masked weights zero after every step."""

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from predcnn.blocks.slak import SLaKBlock
from predcnn.training.callbacks.sparse_mask import (
    SparseMask,
    moved_mask,
    random_mask,
    sensitive_counts,
)


class Regression(pl.LightningModule):
    """A SLaK block and a readout on fixed random maps."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        block = SLaKBlock(8, kernel_size=7, mlp_ratio=2.0, layer_scale=1.0)
        self.net = nn.Sequential(block, nn.Conv2d(8, 1, 1))

    def training_step(self, batch, _):
        x, y = batch
        return (self.net(x) - y).square().mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)

    def train_dataloader(self):
        draw = torch.Generator().manual_seed(1)
        data = torch.utils.data.TensorDataset(
            torch.randn(16, 8, 6, 6, generator=draw), torch.randn(16, 1, 6, 6, generator=draw)
        )
        return torch.utils.data.DataLoader(data, batch_size=16)


class Watch(pl.Callback):
    """After every step: the masks, and whether a masked weight is not zero."""

    def __init__(self, sparse):
        self.sparse, self.masks, self.densities, self.leaks = sparse, [], [], 0

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.masks.append({k: m.clone() for k, m in self.sparse.masks.items()})
        masks = list(self.sparse.masks.values())
        self.densities.append(sum(int(m.sum()) for m in masks) / sum(m.numel() for m in masks))
        for name, weight in self.sparse.weights(pl_module).items():
            self.leaks += int((weight[~self.sparse.masks[name]] != 0).sum())


def run(folder, sparse, steps, resume=None, extra=()):
    model, watch = Regression(), Watch(sparse)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[sparse, watch, *extra],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, ckpt_path=resume)
    return trainer, model, watch


def test_density_is_constant_masks_change_and_masked_weights_are_zero(tmp_path):
    sparse = SparseMask(density=0.6, update_every=3, prune_rate=0.5)
    _, model, watch = run(tmp_path, sparse, 8)
    assert len(watch.masks) == 8
    assert watch.densities == pytest.approx([0.6] * 8, abs=0.01)
    assert watch.leaks == 0
    moved = [
        sum(int((new[k] != old[k]).sum()) for k in new)
        for old, new in zip(watch.masks[:-1], watch.masks[1:], strict=True)
    ]
    assert [count > 0 for count in moved] == [False, True, False, False, True, False, False]
    assert moved[1] > moved[4]  # the moving share falls along the cosine
    for name, weight in sparse.weights(model).items():
        assert int((weight != 0).sum()) <= int(sparse.masks[name].sum())


def test_scope_strips_masks_only_the_long_kernels(tmp_path):
    sparse = SparseMask(density=0.3, update_every=2, scope="strips")
    _, model, watch = run(tmp_path, sparse, 3)
    assert set(sparse.masks) == {f"net.0.large_kernel.LoRA{i}.conv.weight" for i in (1, 2)}
    assert watch.densities == pytest.approx([0.3] * 3, abs=0.01)
    assert (model.net[0].pwconv1.weight != 0).all()
    with pytest.raises(ValueError, match="nothing to mask"):
        sparse.weights(nn.Linear(2, 2))


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    class SaveHalfway(pl.Callback):
        def on_train_epoch_end(self, trainer, _):
            if trainer.global_step == 4:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    uninterrupted = SparseMask(update_every=3)
    _, model, _ = run(tmp_path, uninterrupted, 8, extra=[SaveHalfway()])
    assert torch.load(tmp_path / "half.ckpt", weights_only=True)["global_step"] == 4
    resumed = SparseMask(update_every=3, seed=99)
    _, again, watch = run(tmp_path, resumed, 8, resume=tmp_path / "half.ckpt")
    assert len(watch.masks) == 4
    for name, mask in uninterrupted.masks.items():
        assert torch.equal(mask, resumed.masks[name])
    for old, new in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(old, new)


def test_sensitive_layers_keep_more_weights():
    scores = {"low": torch.full((10, 10), 1e-3), "high": torch.full((10, 10), 1.0)}
    scores["high"][0] = 1e-6
    counts = sensitive_counts(scores, 0.6)
    assert counts == {"low": 30, "high": 90}
    assert sensitive_counts(scores, 1e-9) == {"low": 1, "high": 1}


def test_the_smallest_weights_are_replaced_and_the_count_stays():
    draw = torch.Generator().manual_seed(0)
    weight = torch.arange(1.0, 101.0)
    mask = random_mask(weight, 40, draw)
    assert int(mask.sum()) == 40
    new = moved_mask(weight, mask, 0.25, draw)
    assert int(new.sum()) == 40
    kept = mask.nonzero().flatten()
    assert new[kept[10:]].all()  # the thirty largest stay
    assert (new & ~mask).sum() >= 5  # most of the ten came from elsewhere
    full = torch.ones(100, dtype=torch.bool)
    assert torch.equal(moved_mask(weight, full, 0.5, draw), full)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 1.5}, "density is a share"),
        ({"prune_rate": 0.0}, "prune_rate is a share"),
        ({"update_every": 0}, "at least 1"),
        ({"scope": "long"}, "'all' or 'strips'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        SparseMask(**options)
