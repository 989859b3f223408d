"""Lightning data modules: the same batches for any number of workers, ranks and interruptions."""

import hashlib
from collections.abc import Sequence

import lightning
import torch
from torch.utils.data import DataLoader, default_convert

import predcnn.data.arrays.array_data
import predcnn.data.clips.video_folder
import predcnn.data.generated.moving_mnist  # noqa: F401  these modules register their sets
from predcnn.checks import one_of, whole_number
from predcnn.data.frames import check_floats
from predcnn.data.options import options_from
from predcnn.data.processes import start_worker
from predcnn.data.sampler import SequenceSampler
from predcnn.data.scale import Units
from predcnn.data.sequences import SETS
from predcnn.data.splits import SPLITS, SequenceFamily, SplitDataset, SplitFamily

GPU_WORKERS = 2  # a step on a GPU is short enough to notice a millisecond of drawing


class SequenceLoader(DataLoader):
    """A DataLoader of complete batches; `SplitDataModule` saves and restores its position."""

    def state_dict(self) -> dict[str, object]:
        """Return nothing; without this method Lightning warns about unfinished epochs."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        pass


class SplitDataModule(lightning.LightningDataModule):
    """Loaders of the three splits of a data set.

    The Trainer must leave sharding to the module: ``use_distributed_sampler=False``.

    Args:
        batch_size: training samples per process and step.
        eval_batch_size: samples per validation and test batch; None: ``batch_size``.
        num_workers: loader processes; None: 2 with a GPU, else 0 (a batch takes about 1 ms).
        pin_memory: page-locked batches; None: when there is a GPU.
    """

    one, unit = "a sample", "samples"  # in tables and messages
    units: Units | None = None  # of batches that are not frames in [0, 1]

    def __init__(
        self,
        family: SplitFamily,
        *,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        # a rank may have nothing to test when there are fewer samples than ranks
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.family = family
        self.batch_size = whole_number("data.batch_size", batch_size)
        eval_size = self.batch_size if eval_batch_size is None else eval_batch_size
        self.eval_batch_size = whole_number("data.eval_batch_size", eval_size)
        gpu = torch.cuda.is_available()
        workers = GPU_WORKERS * gpu if num_workers is None else num_workers
        self.num_workers = whole_number("data.num_workers", workers, 0)
        self.pin_memory = gpu if pin_memory is None else pin_memory
        self._splits: dict[str, SplitDataset] = {}
        self._saved: dict[str, object] | None = None

    def prepare_data(self) -> None:
        """Download and verify missing files if ``download`` is set; runs once per machine."""
        if self.family.download:
            self.family.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Open all three splits, so that a missing or damaged file shows before the first step."""
        for name in SPLITS:
            self.split(name)

    def split(self, name: str) -> SplitDataset:
        """Return the split "train", "val" or "test"; ``.batch(0, [0, 1])`` gives a batch."""
        one_of("split", name, SPLITS)
        if name not in self._splits:
            self._splits[name] = self.family.split(name)
        return self._splits[name]

    def train_dataloader(self) -> SequenceLoader:
        """Complete batches of the training stream, from the position of a loaded checkpoint."""
        loader = self._loader("train", self.batch_size)
        if self.trainer is not None:
            loader.batch_sampler.set_epoch(self.trainer.current_epoch)
        if self._saved is not None:
            self._resume(loader.batch_sampler, self._saved)
            self._saved = None
        return loader

    def val_dataloader(self) -> SequenceLoader:
        """Every validation sample once; rank r of W has every W-th from the r-th on."""
        return self._loader("val", self.eval_batch_size)

    def test_dataloader(self) -> SequenceLoader:
        return self._loader("test", self.eval_batch_size)

    def on_before_batch_transfer(self, batch: object, dataloader_idx: int) -> object:
        """Call ``on_between_steps`` of callbacks and check floats before their transfer.

        Only here is the last training step logged and the next not yet counted: Lightning calls
        ``on_train_batch_end`` before the former and ``on_train_batch_start`` after the latter.
        """
        if self.trainer is None:
            return batch
        for callback in self.trainer.callbacks if self.trainer.training else ():
            if hasattr(callback, "on_between_steps"):
                callback.on_between_steps(self.trainer)
        frames = isinstance(batch, torch.Tensor) and self.units is None
        if frames and batch.is_floating_point() and self.trainer.strategy.root_device.type != "cpu":
            check_floats(batch)  # on the device the check would synchronise
        return batch

    @property
    def protocol(self) -> str:
        """How the splits were made."""
        return self.family.protocol

    @property
    def source(self) -> str:
        """Origin of the training images, and of the test images if it differs."""
        train, test = self.split("train").source, self.split("test").source
        return train if train == test else f"{train}; test: {test}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of the three splits."""
        prints = (self.split(name).fingerprint for name in SPLITS)
        return hashlib.sha256("".join(prints).encode()).hexdigest()

    @property
    def lengths(self) -> str:
        """Samples of each split, for tables."""
        return ", ".join(f"{len(self.split(name)):,} {name}" for name in SPLITS)

    def state_dict(self) -> dict[str, object]:
        """Return the position in the training stream and the data fingerprint, for a checkpoint.

        The position counts batches that were trained on, not batches a worker has drawn.
        """
        if self.trainer is None:
            return {}
        loop = self.trainer.fit_loop
        epoch = max(loop.epoch_progress.current.ready - 1, 0)
        batch = loop.epoch_loop.batch_progress.current.processed
        if batch >= self.trainer.num_training_batches:
            epoch, batch = epoch + 1, 0
        return {
            "position": {"epoch": epoch, "start_batch": batch},
            "global_batch": self.batch_size * self.trainer.world_size,
            "fingerprint": self.split("train").fingerprint,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Continue at a saved position when training next starts."""
        self._saved = state

    def _resume(self, sampler: SequenceSampler, saved: dict[str, object]) -> None:
        now, then = self.split("train").fingerprint, str(saved["fingerprint"])
        if now != then:
            raise ValueError(
                f"the training data changed since the checkpoint (fingerprint {now[:12]}, before "
                f"{then[:12]}): restore files and data options, or start a new run from its weights"
            )
        size = self.batch_size * sampler.world_size
        if saved["position"]["start_batch"] and saved["global_batch"] != size:
            raise ValueError(
                f"the checkpoint stopped within an epoch of {saved['global_batch']} {self.unit} "
                f"per step, now there are {size}: keep data.batch_size * number of processes"
            )
        sampler.load_state_dict(saved["position"])

    def _loader(self, name: str, batch_size: int) -> SequenceLoader:
        dataset, trainer, train = self.split(name), self.trainer, name == "train"
        sampler = SequenceSampler(
            len(dataset),
            batch_size,
            train=train,
            shuffle=train and dataset.finite,
            seed=self.family.options.seed,
            rank=0 if trainer is None else trainer.global_rank,
            world_size=1 if trainer is None else trainer.world_size,
        )
        return SequenceLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=default_convert,
            num_workers=self.num_workers,
            worker_init_fn=start_worker,
            persistent_workers=self.num_workers > 0,
            pin_memory=self.pin_memory,
            # its own, so that a loader draws nothing from the stream of drop-path and dropout
            generator=torch.Generator(),
        )


class SequenceDataModule(SplitDataModule):
    """Loaders of batches ``frames`` (B, T_in+T_out, C, H, W), uint8 or float32 in [0, 1]."""

    family: SequenceFamily
    one, unit = "a sequence", "sequences"

    @property
    def in_shape(self) -> tuple[int, int, int, int]:
        """(T_in, C, H, W)."""
        return tuple(self.family.in_shape)

    @property
    def frames_in(self) -> int:
        return self.in_shape[0]

    @property
    def frames_out(self) -> int:
        return self.family.frames_out

    @property
    def units(self) -> Units | None:
        return self.family.units

    @property
    def description(self) -> dict[str, str]:
        """Rows of the table at the start of a run, label -> text."""
        frames_in, channels, height, width = self.in_shape
        return {
            "data": self.family.name,
            "source": self.source,
            "protocol": self.protocol,
            "sequences": self.lengths,
            "frames": f"{frames_in} -> {self.frames_out} of {channels}x{height}x{width}",
            **self.family.facts,
            "batch": f"{self.batch_size} sequences per process, {self.num_workers} workers",
            "fingerprint": self.fingerprint[:12],
        }


def list_datasets() -> list[str]:
    """Return the names of all data sets of sequences, sorted."""
    return SETS.names()


def create_datamodule(
    name: str,
    *,
    in_shape: Sequence[int] | None = None,
    batch_size: int = 16,
    eval_batch_size: int | None = None,
    num_workers: int | None = None,
    pin_memory: bool | None = None,
    **options: object,
) -> SequenceDataModule:
    """Create the data module of a data set by name; ``configs/data/*.yaml`` call this.

    Args (others: see `SplitDataModule`):
        in_shape: (T, C, H, W), compared with that of the data; None, or with None: not.
        options: of the data set, as in its file in ``configs/data``.

    Raises:
        KeyError: unknown data set. TypeError: unknown option. ValueError: value not accepted.
    """
    kind = SETS[name]
    family = kind(options_from(kind.Options, options))
    known = in_shape is not None and None not in in_shape
    if known and tuple(in_shape) != tuple(family.in_shape):
        raise ValueError(
            f"data.in_shape={list(in_shape)} but {name} gives {list(family.in_shape)}: set "
            "data.frames_in, data.height and data.width, which determine it"
        )
    loading = {"eval_batch_size": eval_batch_size, "num_workers": num_workers}
    return SequenceDataModule(family, batch_size=batch_size, pin_memory=pin_memory, **loading)
