"""Loaders give the same bytes for any number of workers and ranks, and after interruptions."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

import predcnn.data
from predcnn.data import SequenceDataModule, create_datamodule, to_float

SMALL = {
    "source": "embedded",
    "train_sequences": 23,
    "val_sequences": 5,
    "test_sequences": 7,
    "frames_in": 2,
    "frames_out": 1,
    "batch_size": 4,
}


def _small(**options: object) -> SequenceDataModule:
    return create_datamodule("moving_mnist", **{**SMALL, "seed": 3, "num_workers": 0, **options})


def _names(loader: torch.utils.data.DataLoader) -> list[str]:
    return [hashlib.md5(batch.numpy()).hexdigest() for batch in loader]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing(workers: int) -> None:
    alone, helped = _small(), _small(num_workers=workers)
    for name in ("train", "val", "test"):
        loaders = [getattr(module, f"{name}_dataloader")() for module in (alone, helped)]
        for epoch in range(2):
            for loader in loaders:
                loader.batch_sampler.set_epoch(epoch)
            first, second = map(_names, loaders)
            assert first == second
            assert len(set(first)) == len(first)


@pytest.mark.slow  # a spawned process imports torch again
def test_spawned_workers_change_nothing() -> None:
    module = _small()
    loader = torch.utils.data.DataLoader(
        module.split("val"),
        batch_sampler=module.val_dataloader().batch_sampler,
        collate_fn=module.val_dataloader().collate_fn,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    assert _names(loader) == _names(module.val_dataloader())


def test_two_ranks_see_the_batches_of_one_process_with_twice_the_batch_size() -> None:
    one = _small(batch_size=4)
    ranks = [_small(batch_size=2), _small(batch_size=2)]
    for rank, module in enumerate(ranks):
        module.trainer = SimpleNamespace(global_rank=rank, world_size=2, current_epoch=0)
    for name in ("train", "val", "test"):
        whole, *parts = (list(getattr(module, f"{name}_dataloader")()) for module in (one, *ranks))
        for k, batch in enumerate(whole):
            halves = [part[k] for part in parts if k < len(part)]
            assert sorted(x.numpy().tobytes() for half in halves for x in half) == sorted(
                x.numpy().tobytes() for x in batch
            )


def test_a_pickled_split_gives_the_same_bytes() -> None:
    dataset = _small().split("train")
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again.batch(2, [1, 22]), dataset.batch(2, [1, 22]))


def test_loading_does_not_change_the_global_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    for _ in _small(num_workers=1).train_dataloader():
        pass
    assert torch.equal(torch.rand(1), expected)


class Recorder(lightning.LightningModule):
    """Records its training batches."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        self.seen: list[str] = []

    def training_step(self, batch: Tensor) -> Tensor:
        self.seen.append(hashlib.md5(batch.numpy()).hexdigest())
        return self.linear(batch.float().mean()[None]).sum()

    def validation_step(self, batch: Tensor) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def _fit(root: Path, *, checkpoint: Path | None = None, data: dict, **options: object) -> list[str]:
    module, folder = Recorder(), root / "checkpoints"
    keep = [
        ModelCheckpoint(folder, "step-{step}", every_n_train_steps=1, save_top_k=-1),
        ModelCheckpoint(
            folder, "end-{step}", save_top_k=-1, save_on_train_epoch_end=True, every_n_epochs=1
        ),
        ModelCheckpoint(
            folder, "val-{step}", save_top_k=-1, save_on_train_epoch_end=False, mode="max"
        ),
    ]
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        callbacks=[] if checkpoint else keep,
        enable_checkpointing=not checkpoint,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        default_root_dir=root,
        **options,
    )
    trainer.fit(module, _small(**data), ckpt_path=checkpoint, weights_only=True)
    return module.seen


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize(
    ("options", "workers"),
    [({}, 0), ({"limit_train_batches": 3}, 0), ({"val_check_interval": 2}, 1)],
)
def test_training_resumes_on_the_next_batch(tmp_path: Path, options: dict, workers: int) -> None:
    data = {"num_workers": workers}
    whole = _fit(tmp_path, data=data, **options)
    assert len(set(whole)) == len(whole) == 2 * options.get("limit_train_batches", 5)
    checkpoints = sorted((tmp_path / "checkpoints").iterdir())
    if workers:
        checkpoints = checkpoints[::4]
    left = set()
    for checkpoint in checkpoints:
        rest = _fit(tmp_path, checkpoint=checkpoint, data=data, **options)
        assert rest == whole[len(whole) - len(rest) :], checkpoint.name
        step = int(checkpoint.stem.rpartition("=")[2])
        assert len(rest) == len(whole) - step, checkpoint.name
        left.add(len(rest))
    assert len(left) > 2


def test_resuming_on_other_data_is_an_error(tmp_path: Path) -> None:
    _fit(tmp_path, data={})
    checkpoint = tmp_path / "checkpoints" / "step-step=3.ckpt"
    with pytest.raises(ValueError, match="training data changed since the checkpoint"):
        _fit(tmp_path, checkpoint=checkpoint, data={"digits": 1})
    with pytest.raises(ValueError, match="4 sequences per step, now there are 2"):
        _fit(tmp_path, checkpoint=checkpoint, data={"batch_size": 2})


def test_descriptions_for_tables() -> None:
    module = _small(noise="missing")
    assert module.in_shape == (2, 1, 64, 64)
    assert (module.frames_in, module.frames_out) == (2, 1)
    assert (module.protocol, module.source) == ("isolated", "embedded (2,000+500 MNIST digits)")
    assert module.description["sequences"] == "23 train, 5 val, 7 test"
    assert module.description["noise"] == "missing"
    assert len(module.fingerprint) == 64
    assert module.fingerprint != _small().fingerprint
    assert module.train_dataloader().dataset.in_shape == module.in_shape


def test_setup_opens_every_split_with_the_right_shapes() -> None:
    module = create_datamodule(
        "mmnist_cifar", **{**SMALL, "height": 40, "width": 56, "eval_batch_size": 3}
    )
    module.setup("fit")
    assert next(iter(module.train_dataloader())).shape == (4, 3, 3, 40, 56)
    assert [len(batch) for batch in module.test_dataloader()] == [3, 3, 1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"frame_in": 5}, TypeError, "did you mean data.frames_in"),
        ({"frames_in": 0}, ValueError, "data.frames_in is a whole number, at least 1"),
        ({"frames_in": 2.5}, ValueError, "data.frames_in is a whole number"),
        ({"noise": "mising"}, ValueError, "did you mean missing"),
        ({"protocol": "openST"}, ValueError, "did you mean openstl"),
        ({"source": "cifar"}, ValueError, "accepted: auto, embedded, mnist"),
        ({"source": "auto+mnist"}, ValueError, "only names of sets"),
        ({"digits": []}, ValueError, "digits is empty"),
        ({"digits": 0}, ValueError, "data.digits is a whole number, at least 1"),
        ({"digits": [1, "2"]}, ValueError, "whole number, at least 1, not '2'"),
        ({"digits": 1000}, ValueError, "at most 100"),
        ({"height": 20}, ValueError, "data.height is a whole number, at least 28"),
        ({"speed": 0}, ValueError, "positive number"),
        ({"speed": float("nan")}, ValueError, "positive number"),
        ({"speed": "fast"}, ValueError, "positive number"),
        ({"batch_size": 0}, ValueError, "data.batch_size is a whole number, at least 1"),
        ({"num_workers": -1}, ValueError, "data.num_workers"),
        ({"verify": "no"}, ValueError, "true or false"),
        ({"seed": "x"}, ValueError, "data.seed is a whole number"),
        ({"in_shape": [10, 3, 64, 64]}, ValueError, r"gives \[2, 1, 64, 64\]"),
    ],
)
def test_wrong_options_are_errors(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        create_datamodule("moving_mnist", **{**SMALL, **options})


def test_unknown_sets_and_splits_are_errors() -> None:
    with pytest.raises(KeyError, match="did you mean moving_mnist"):
        create_datamodule("moving_mnits")
    with pytest.raises(ValueError, match="accepted: train, val, test"):
        _small().split("valid")
    with pytest.raises(ValueError, match="accepted: auto, fashion_mnist"):
        create_datamodule("moving_fmnist", source="embedded")
    with pytest.raises(ValueError, match="less than one batch"):
        _small(train_sequences=3).train_dataloader()


@pytest.mark.usefixtures("either_kernels")
def test_bytes_are_divided_by_255_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(3, 1)
    expected = torch.arange(256, dtype=torch.float64).div(255).float().repeat(3, 1)
    assert torch.equal(to_float(levels), expected)
    assert torch.equal(to_float(levels.t()), expected.t())
    assert to_float(levels[:0]).shape == (0, 256)


def test_to_float() -> None:
    stored = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert torch.equal(to_float(stored), torch.tensor([0.0, 0.2, 1.0]))
    assert to_float(torch.tensor([0.5], dtype=torch.float64)).dtype == torch.float32
    assert to_float(torch.empty(0, 3)).shape == (0, 3)
    for value in (float("nan"), float("inf"), -0.1, 1.1):
        with pytest.raises(ValueError, match="float frames must"):
            to_float(torch.tensor([0.5, value]))
    with pytest.raises(TypeError, match="int64"):
        to_float(torch.tensor([1]))


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, predcnn.data; predcnn.data.to_float; "
        "heavy = {'lightning', 'cv2', 'skimage', 'hydra'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    root = str(Path(predcnn.data.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert set(predcnn.data.__all__) <= set(dir(predcnn.data))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = predcnn.data.nothing


def test_opencv_without_libgl_suggests_the_headless_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="opencv-python-headless"):
        create_datamodule("mmnist_cifar", **SMALL).split("val").batch(0, [0])


def test_no_photograph_is_in_two_splits() -> None:
    from predcnn.data.generated.pools import PHOTOGRAPHS, photograph_crops

    names = [set(group) for group in PHOTOGRAPHS.values()]
    assert not names[0] & names[1]
    assert not names[2] & (names[0] | names[1])
    crops = photograph_crops("val")
    assert crops.shape == (500, 32, 32, 3)
    assert not crops.flags.writeable
    assert len({crop.tobytes() for crop in crops}) > 450
    assert np.abs(crops[0].astype(int) - crops[1]).mean() > 1
