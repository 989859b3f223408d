"""Training of every predictor: steps, metrics, baseline."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from predcnn.data import SequenceDataModule
from predcnn.data.frames import transferred_to_float
from predcnn.metrics import definitions, video_metrics
from predcnn.metrics.collection import PER_FRAME, split_values
from predcnn.training.module import TrainingModule
from predcnn.training.run_pictures import draw_curves, draw_sequences
from predcnn.training.sampling import Progress

COPY_LAST = "copy_last/"  # prefix of the baseline's metrics
DRAWN = 4  # test sequences


class VideoPrediction(TrainingModule):
    """Train and evaluate a predictor on batches of frames (B, T_in + T_out, C, H, W).

    Batches are uint8 (0..255) or float in [0, 1]; the conversion happens on the device. A test
    measures the metrics, their values per lead time, and both for repeating the last frame, the
    baseline of every table.

    Args:
        predictor: past (B, T_in, C, H, W) -> future (B, T_out, C, H, W).
        objective: see ``predcnn.training.objectives``; None to test only. An objective that is
            ``stepwise(predictor)`` takes an optimizer step per item of ``windows(frames)``, on
            gradients that add up over the batch.
        optimizer: parameters -> optimizer.
        scheduler: (optimizer, total_steps=n) -> schedule.
        metrics: names of ``predcnn.metrics``.
        metric_options: options of single metrics, ``{"lpips": {"backbone_weights": path}}``.
        run: plain values that describe the run.
        seed: of the random numbers drawn in training steps.
    """

    task = "prediction"
    metric = "mse"

    def __init__(
        self,
        predictor: nn.Module,
        objective: nn.Module | None = None,
        optimizer: Callable | None = None,
        scheduler: Callable | None = None,
        metrics: Sequence[str] = ("mse", "mae", "ssim", "psnr"),
        metric_options: Mapping[str, Mapping] | None = None,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(optimizer, scheduler, run, seed)
        self.predictor = predictor
        self.objective = objective
        self.metric_names = tuple(metrics)
        self.metric_options = dict(metric_options or {})
        # reports a wrong name now, not after an epoch
        video_metrics(self.metric_names, self.metric_options)
        self.frames_in = predictor.in_shape[0]
        stepwise = getattr(objective, "stepwise", None)
        self.automatic_optimization = stepwise is None or not stepwise(predictor)

    @property
    def network(self) -> nn.Module:
        """The predictor."""
        return self.predictor

    @property
    def config(self) -> dict:
        """Arguments of `predcnn.create_predictor` that rebuild the predictor."""
        return self.predictor.config

    def _frames(self, batch: Tensor, where: str) -> Tensor:
        """Return the batch as floats in [0, 1]; an error says where the batch occurred."""
        try:
            return transferred_to_float(batch)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        frames = self._frames(batch, f"training step {self.global_step}")
        progress = Progress(
            self.global_step,
            self.current_epoch,
            rank=self.global_rank,
            ranks=self.trainer.world_size,
            total=self.total_steps,
        )
        if self.automatic_optimization:
            parts = self.objective(self.predictor, frames, self.frames_in, progress)
        else:
            parts = self._optimise_windows(frames, progress)
        shown = {f"train/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(shown, sync_dist=True)
        self.log_rate()
        return parts["loss"]

    def _optimise_windows(self, frames: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Take an optimizer step per window of a batch; return the mean of their terms."""
        optimizer = self.optimizers()
        optimizer.zero_grad()
        windows, found = self.objective.windows(frames), []
        for window in windows:
            parts = self.objective(self.predictor, window, self.frames_in, progress)
            self.manual_backward(parts["loss"])
            found.append({name: value.detach() for name, value in parts.items()})
            if len(found) < len(windows):
                # not counted by the trainer: schedules, logs and resume count batches
                self.trainer.strategy.optimizer_step(optimizer.optimizer, lambda: None)
        optimizer.step()
        self.lr_schedulers().step()
        return {name: torch.stack([parts[name] for parts in found]).mean() for name in found[0]}

    def new_meters(self, split: str) -> dict[str, MeanMetric | MetricCollection]:
        if split == "val":
            # Lightning's own mean is wrong where ranks have different numbers of sequences.
            metrics = video_metrics(self.metric_names, self.metric_options)
            return {"loss": MeanMetric(), "metrics": metrics}
        names = (*self.metric_names, *(name + PER_FRAME for name in self.metric_names))
        metrics = video_metrics(names, self.metric_options)
        return {"metrics": metrics, "copy_last": metrics.clone(prefix=COPY_LAST)}

    def measure(self, meters: Mapping, batch: Tensor, index: int) -> None:
        frames = self._frames(batch, f"evaluation batch {index}")
        past, future = frames[:, : self.frames_in], frames[:, self.frames_in :]
        pred = self.predictor(past)
        meters["metrics"].update(pred, future)
        if "loss" in meters:
            loss = self.objective.frame_loss(pred, future)["loss"]
            meters["loss"].update(loss, len(frames))
        if "copy_last" in meters:
            meters["copy_last"].update(past[:, -1:].expand_as(future), future)

    def describe(self) -> dict[str, str]:
        return {"model": self.config["name"], "translator": str(self.config.get("translator", "–"))}

    def results(self) -> dict[str, dict]:
        """Return the metrics of the predictor and of the baseline, per frame too."""
        found = self.test_results
        baseline = {k.removeprefix(COPY_LAST): v for k, v in found.items() if COPY_LAST in k}
        return {
            **split_values(found, self.metric_names),
            "copy_last": split_values(baseline, self.metric_names),
            "definitions": definitions(self.metric_names),
        }

    def draw(self, run_dir: Path, datamodule: SequenceDataModule, results: dict) -> None:
        """Draw the first test sequences and the curves of the run."""
        test_set = datamodule.split("test")
        title = f"{results['data']['name']} test ({results['data']['source']})"
        predictors = {results["name"]: self.predictor.to("cpu")}
        indices = range(min(DRAWN, len(test_set)))
        draw_sequences(run_dir / "predictions", test_set, predictors, indices, title=title)
        draw_curves(run_dir, results)
