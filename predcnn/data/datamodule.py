"""Three splits as loaders for Lightning: the same data for any workers, ranks and interruptions."""

import hashlib
from collections.abc import Sequence

import lightning
import torch

import predcnn.data.arrays.array_data
import predcnn.data.clips.video_folder
import predcnn.data.generated.moving_mnist  # noqa: F401  both register their sets
from predcnn.data.frames import check_floats
from predcnn.data.loader import SequenceLoader, load_batches
from predcnn.data.options import options_from
from predcnn.data.sampler import SequenceSampler
from predcnn.data.scale import Units
from predcnn.data.sequences import SETS
from predcnn.data.splits import SPLITS, SequenceFamily, SplitDataset, SplitFamily

GPU_WORKERS = 2  # a step on a GPU is short enough to notice a millisecond of drawing


class SplitDataModule(lightning.LightningDataModule):
    """Loaders of the three splits of a family, whatever its batches hold.

    ``one`` and ``unit`` are the words for a sample and several. The Trainer must leave sharding to
    the module: ``use_distributed_sampler=False``.

    Args:
        family: the data set.
        batch_size: training samples per process and step.
        eval_batch_size: samples per validation and test batch; None: ``batch_size``.
        num_workers: loader processes; None: none on a CPU, where drawing a batch takes about a
            millisecond, two with a GPU.
        pin_memory: page-locked batches; None: when there is a GPU.
        seed: of the order of finite training sets.
    """

    one, unit = "a sample", "samples"
    units: Units | None = None  # of batches that are no frames in [0, 1]

    def __init__(
        self,
        family: SplitFamily,
        *,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        # a rank may have nothing to test when there are fewer samples than ranks
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.family = family
        self.batch_size = _count("batch_size", batch_size, 1)
        self.eval_batch_size = self.batch_size
        if eval_batch_size is not None:
            self.eval_batch_size = _count("eval_batch_size", eval_batch_size, 1)
        gpu = torch.cuda.is_available()
        workers = GPU_WORKERS * gpu if num_workers is None else num_workers
        self.num_workers = _count("num_workers", workers, 0)
        self.pin_memory = gpu if pin_memory is None else pin_memory
        self.seed = seed
        self._splits: dict[str, SplitDataset] = {}
        self._saved: dict[str, object] | None = None

    def prepare_data(self) -> None:
        """Fetch and verify missing files, on one process per machine, if ``download`` is set."""
        if self.family.download:
            self.family.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Open all three splits, so that a missing or damaged file shows before the first step."""
        for name in SPLITS:
            self.split(name)

    def split(self, name: str) -> SplitDataset:
        """The split "train", "val" or "test", opened once; ``.batch(0, [0, 1])`` gives a batch."""
        if name not in self._splits:
            self._splits[name] = self.family.split(name)
        return self._splits[name]

    def train_dataloader(self) -> SequenceLoader:
        """Whole batches of the training stream, from where a loaded checkpoint stopped."""
        dataset = self.split("train")
        sampler = self._sampler(dataset, self.batch_size, train=True)
        if self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)
        if self._saved is not None:
            self._resume(sampler, self._saved)
            self._saved = None
        return self._loader(dataset, sampler)

    def val_dataloader(self) -> SequenceLoader:
        """Every validation sample once; rank r of W has the r-th and every W-th after it."""
        return self._eval_loader("val")

    def test_dataloader(self) -> SequenceLoader:
        """Every test sample once, divided among ranks like validation."""
        return self._eval_loader("test")

    def on_before_batch_transfer(self, batch: object, dataloader_idx: int) -> object:
        """Tell callbacks that the last step is over and logged, and the next has not begun.

        No other moment of Lightning's training is like that: its ``on_train_batch_end`` comes
        before the step is logged, and ``on_train_batch_start`` after the next is counted.
        """
        if self.trainer is not None and self.trainer.training:
            for callback in self.trainer.callbacks:
                if hasattr(callback, "on_between_steps"):
                    callback.on_between_steps(self.trainer)
        leaves = self.trainer is not None and self.trainer.strategy.root_device.type != "cpu"
        scaled = self.units is not None
        if leaves and not scaled and isinstance(batch, torch.Tensor) and batch.is_floating_point():
            check_floats(batch)  # on the device this would wait for it
        return batch

    @property
    def protocol(self) -> str:
        """How the splits were made."""
        return self.family.protocol

    @property
    def source(self) -> str:
        """Where the pictures come from; the test split's apart if it has another origin."""
        train, test = self.split("train").source, self.split("test").source
        return train if train == test else f"{train}; test: {test}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of the three splits."""
        joint = "".join(self.split(name).fingerprint for name in SPLITS)
        return hashlib.sha256(joint.encode()).hexdigest()

    @property
    def reader(self) -> str | None:
        """Decoder of the frames, part of the fingerprint; None if the data have none."""
        return getattr(self.family, "reader", None)

    @property
    def embedded(self) -> bool:
        """Whether all data come with the package, so that no file of the user is read."""
        return getattr(self.family, "embedded", False)

    def state_dict(self) -> dict[str, object]:
        """The position in the training stream and the fingerprint of the data, for a checkpoint.

        The position counts batches whose optimisation is complete, not batches a worker has drawn.
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
        """Continue the training stream at a saved position when training next starts."""
        self._saved = state

    def _resume(self, sampler: SequenceSampler, saved: dict[str, object]) -> None:
        now, then = self.split("train").fingerprint, str(saved["fingerprint"])
        if now != then:
            raise ValueError(
                f"the training data changed since the checkpoint: fingerprint {now[:12]}, the "
                f"checkpoint has {then[:12]}; restore the files and data options, or start a new "
                "run from its weights"
            )
        size = self.batch_size * sampler.world_size
        if saved["position"]["start_batch"] and saved["global_batch"] != size:
            raise ValueError(
                f"the checkpoint stopped within an epoch of {saved['global_batch']} {self.unit} "
                f"per step, now there are {size}: keep data.batch_size times the number of "
                "processes"
            )
        sampler.load_state_dict(saved["position"])

    def _eval_loader(self, name: str) -> SequenceLoader:
        dataset = self.split(name)
        return self._loader(dataset, self._sampler(dataset, self.eval_batch_size, train=False))

    def _sampler(self, dataset: SplitDataset, batch_size: int, *, train: bool) -> SequenceSampler:
        trainer = self.trainer
        return SequenceSampler(
            len(dataset),
            batch_size,
            train=train,
            shuffle=train and dataset.finite,
            seed=self.seed,
            rank=trainer.global_rank if trainer is not None else 0,
            world_size=trainer.world_size if trainer is not None else 1,
        )

    def _loader(self, dataset: SplitDataset, sampler: SequenceSampler) -> SequenceLoader:
        return load_batches(dataset, sampler, self.num_workers, self.pin_memory)


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
        """T_in."""
        return self.in_shape[0]

    @property
    def frames_out(self) -> int:
        """T_out."""
        return self.family.frames_out

    @property
    def units(self) -> Units | None:
        """Scale and scores of numbers with units; None for frames in [0, 1]."""
        return getattr(self.family, "units", None)

    @property
    def found(self) -> dict[str, object]:
        """Values of options that the files decide, such as a fitted scale."""
        return getattr(self.family, "found", {})

    @property
    def description(self) -> dict[str, str]:
        """Facts for the table at the start of a run, label -> text."""
        frames_in, channels, height, width = self.in_shape
        lengths = (f"{len(self.split(name)):,} {name}" for name in SPLITS)
        return {
            "data": self.family.name,
            "source": self.source,
            "protocol": self.protocol,
            "sequences": ", ".join(lengths),
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
    batch_size: int = 16,
    eval_batch_size: int | None = None,
    num_workers: int | None = None,
    pin_memory: bool | None = None,
    in_shape: Sequence[int] | None = None,
    **options: object,
) -> SequenceDataModule:
    """The data module of a data set by name; what ``configs/data/*.yaml`` call.

    Raises:
        KeyError: unknown data set; names the nearest.
        TypeError: unknown option; names the nearest.
        ValueError: an option has a value that is not accepted.
    """
    kind = SETS[name]
    family = kind(options_from(kind.Options, options))
    if in_shape is not None and tuple(in_shape) != tuple(family.in_shape):
        raise ValueError(
            f"data.in_shape={list(in_shape)} but {name} gives {list(family.in_shape)}: set "
            "data.frames_in, data.height and data.width, it follows from them"
        )
    return SequenceDataModule(
        family,
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        num_workers=num_workers,
        pin_memory=pin_memory,
        seed=family.options.seed,
    )


def _count(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"data.{name} is a whole number, at least {least}, not {value!r}")
    return value
