"""The LightningModule of every predictor: steps, metrics, optimizer and schedule."""

from collections.abc import Callable, Mapping, Sequence

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from predcnn.data import to_float
from predcnn.metrics import video_metrics
from predcnn.training.optim import scheduled
from predcnn.training.sampling import Progress
from predcnn.training.streams import step_key


class VideoPrediction(pl.LightningModule):
    """Train and evaluate a predictor on batches of frames (B, T_in + T_out, C, H, W).

    Batches are uint8 (0..255) or float in [0, 1]; the conversion happens on the device. Validation
    logs ``val/<metric>``; a test leaves ``test_results``: metrics, their values per lead time, and
    the same of repeating the last frame, the zero line of every table.

    Args:
        predictor: past (B, T_in, C, H, W) -> future (B, T_out, C, H, W).
        objective: see ``predcnn.training.objectives``. One that is ``stepwise(predictor)`` gets an
            optimizer step per ``windows(frames)``, on gradients that add up over the batch.
        optimizer: parameters -> optimizer.
        scheduler: (optimizer, total_steps=n) -> schedule, stepped per optimiser step.
        metrics: names of ``predcnn.metrics``.
        metric_options: options of single metrics, ``{"lpips": {"backbone_weights": path}}``.
        run: plain values that describe the run, kept in every checkpoint.
        seed: of what the network itself draws in training (stochastic depth). Every batch draws
            from a stream of its own, so that a resumed run draws what it would have drawn.
    """

    def __init__(
        self,
        predictor: nn.Module,
        objective: nn.Module,
        optimizer: Callable,
        scheduler: Callable,
        metrics: Sequence[str] = ("mse", "mae", "ssim", "psnr"),
        metric_options: Mapping[str, Mapping] | None = None,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.predictor = predictor
        self.objective = objective
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.metric_names = tuple(metrics)
        self.metric_options = dict(metric_options or {})
        video_metrics(
            self.metric_names, self.metric_options
        )  # a wrong name shows now, not after an epoch
        self.run_description = dict(run or {})
        self.seed = seed
        self.frames_in = predictor.in_shape[0]
        self.test_results: dict = {}
        self._total_steps: int | None = None
        stepwise = getattr(objective, "stepwise", None)
        self.automatic_optimization = stepwise is None or not stepwise(predictor)
        # Not submodules: LPIPS carries a network that must not enter the checkpoints.
        self._meters: dict[str, MetricCollection | MeanMetric] = {}

    @property
    def network(self) -> nn.Module:
        """The predictor."""
        return self.predictor

    @property
    def config(self) -> dict:
        """What `predcnn.create_predictor` needs to build the predictor again."""
        return self.predictor.config

    def _start_meters(self, *names: str) -> None:
        curves = [f"{name}_per_frame" for name in self.metric_names]
        for name in names:
            if name not in self._meters:
                wanted = self.metric_names if name == "val" else (*self.metric_names, *curves)
                self._meters[name] = video_metrics(wanted, options=self.metric_options)
            self._meters[name].to(self.device).reset()

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        index = self.trainer.fit_loop.total_batch_idx
        torch.manual_seed(step_key(self.seed, self.global_rank, index))

    def _frames(self, batch: Tensor, where: str) -> Tensor:
        """The batch as floats in [0, 1]; a batch that is not says where it came."""
        try:
            return to_float(batch)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        frames = self._frames(batch, f"training step {self.global_step}")
        progress = Progress(
            self.global_step,
            self.current_epoch,
            rank=self.global_rank,
            ranks=self.trainer.world_size,
            total=self._total_steps,
        )
        if self.automatic_optimization:
            parts = self.objective(self.predictor, frames, self.frames_in, progress)
        else:
            parts = self._optimise_windows(frames, progress)
        shown = {f"train/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(shown, sync_dist=True)
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return parts["loss"]

    def _optimise_windows(self, frames: Tensor, progress: Progress) -> dict[str, Tensor]:
        """An optimizer step per window of a batch; returns the mean of their terms."""
        optimizer = self.optimizers()
        optimizer.zero_grad()
        windows, found = self.objective.windows(frames), []
        for window in windows:
            parts = self.objective(self.predictor, window, self.frames_in, progress)
            self.manual_backward(parts["loss"])
            found.append({name: value.detach() for name, value in parts.items()})
            if len(found) < len(windows):
                # past the trainer's count: schedules, logs and resume count batches
                self.trainer.strategy.optimizer_step(optimizer.optimizer, lambda: None)
        optimizer.step()
        self.lr_schedulers().step()
        return {name: torch.stack([parts[name] for parts in found]).mean() for name in found[0]}

    def on_validation_epoch_start(self) -> None:
        self._start_meters("val")
        # Lightning's own mean is wrong where ranks have different numbers of sequences.
        self._meters["val/loss"] = MeanMetric().to(self.device)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        frames = self._frames(batch, f"validation batch {batch_idx}")
        past, future = frames[:, : self.frames_in], frames[:, self.frames_in :]
        pred = self.predictor(past)
        loss = self.objective.frame_loss(pred, future)["loss"]
        self._meters["val/loss"].update(loss, len(frames))
        self._meters["val"].update(pred, future)

    def on_validation_epoch_end(self) -> None:
        values = {"loss": self._meters["val/loss"].compute(), **self._meters["val"].compute()}
        self.log_dict({f"val/{name}": value for name, value in values.items()}, sync_dist=True)

    def on_test_epoch_start(self) -> None:
        self._start_meters("test", "copy_last")

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        frames = self._frames(batch, f"test batch {batch_idx}")
        past, future = frames[:, : self.frames_in], frames[:, self.frames_in :]
        self._meters["test"].update(self.predictor(past), future)
        self._meters["copy_last"].update(past[:, -1:].expand_as(future), future)

    def on_test_epoch_end(self) -> None:
        for name in ("test", "copy_last"):
            values = self._meters[name].compute()
            self.test_results[name] = {key: value.cpu().tolist() for key, value in values.items()}
        scalars = self.test_results["test"]
        self.log_dict(
            {f"test/{name}": torch.tensor(scalars[name]) for name in self.metric_names},
            sync_dist=True,
        )

    def configure_optimizers(self) -> dict:
        optimizer = self.make_optimizer(self.predictor.parameters())
        configured = scheduled(optimizer, self.make_scheduler, self.trainer)
        self._total_steps = int(self.trainer.estimated_stepping_batches)
        return configured

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["predcnn"] = {"config": self.predictor.config, "run": self.run_description}
