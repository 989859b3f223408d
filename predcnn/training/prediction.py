"""Training of every predictor: steps, metrics, baseline."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from predcnn.data import SequenceDataModule
from predcnn.data.frames import ROUNDING, transferred_to_float
from predcnn.data.scale import Units
from predcnn.metrics import definitions, video_metrics
from predcnn.metrics.collection import PER_FRAME, split_values
from predcnn.metrics.fields import FieldScores
from predcnn.training.module import TrainingModule
from predcnn.training.run_pictures import draw_curves, draw_sequences
from predcnn.training.sampling import Progress

log = logging.getLogger(__name__)

COPY_LAST, MEAN_FRAME = BASELINES = ("copy_last/", "mean_frame/")  # prefixes of their metrics
AVERAGED = 100  # training sequences of the mean frame
DRAWN = 4  # test sequences


class VideoPrediction(TrainingModule):
    """Train and evaluate a predictor on batches of frames (B, T_in + T_out, C, H, W).

    Batches are uint8 (0..255) or float in [0, 1]; the conversion happens on the device. A test
    measures the metrics, also per lead time, of the predictor, of repeating the last frame and,
    after `prepare_test`, of the mean training frame.

    Args (others: see `TrainingModule`):
        predictor: past (B, T_in, C, H, W) -> future (B, T_out, C, H, W).
        objective: see ``predcnn.training.objectives``; None to test only. If it is
            ``stepwise(predictor)``, every item of ``windows(frames)`` takes an optimizer step, on
            gradients that add up over the batch.
        metrics: names of ``predcnn.metrics``.
        metric_options: options of single metrics, ``{"lpips": {"backbone_weights": path}}``.
        units: of physical quantities: batches are scaled values, NaN where missing.
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
        units: Units | None = None,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(optimizer, scheduler, run, seed)
        self.predictor, self.config = predictor, predictor.config
        self.objective, self.units = objective, units
        self.metric_names = measurable(metrics, units)
        self.metric_options = dict(metric_options or {})
        video_metrics(self.metric_names, self.metric_options)  # reports a wrong name now
        self.score_definitions = self._scores().definitions if units is not None else {}
        self.frames_in = predictor.in_shape[0]
        self.mean_frame: Tensor | None = None
        self.outside = 0  # valid target values of tests beyond the range of the scale
        stepwise = getattr(objective, "stepwise", None)
        self.automatic_optimization = stepwise is None or not stepwise(predictor)
        if units is not None and objective is not None:
            if not units.all_channels and hasattr(objective, "sampling"):
                raise ValueError(
                    "data.targets needs an objective on the predicted frames alone, as "
                    "objective=mse; this model's own also compares all channels of the past"
                )
            objective.missing = True

    @property
    def network(self) -> nn.Module:
        return self.predictor

    def _frames(self, batch: Tensor) -> Tensor:
        frames = self.units is None or not batch.is_floating_point()
        return transferred_to_float(batch) if frames else batch.float()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        frames = self._targets_only(self._frames(batch))
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
        self.log_step(parts, sync_dist=True)
        return parts["loss"]

    def _targets_only(self, frames: Tensor) -> Tensor:
        """Mark the future of all other channels than the targets as missing."""
        if self.units is None or self.units.all_channels:
            return frames
        frames = frames.clone()
        others = [i for i in range(frames.shape[2]) if i not in self.units.targets]
        frames[:, self.frames_in :, others] = torch.nan
        return frames

    def _predict(self, past: Tensor, horizon: int) -> Tensor:
        """Predict ``horizon`` frames; a longer horizon than the predictor's rolls out."""
        in_units = self.units is not None
        past = past.nan_to_num(nan=0) if in_units else past
        if horizon == self.predictor.frames_out:
            return self.predictor(past)
        if in_units:
            self.units.check_horizon(horizon, self.predictor.frames_out)
        return self.predictor.predict(past, horizon=horizon, any_range=in_units)

    def _scores(self, prefix: str = "") -> FieldScores:
        units = self.units
        mean = None if units.climatology is None else units.climatology[list(units.targets)]
        return FieldScores(
            units.metrics, units.names, units.thresholds, units.coords.get("H"), mean, prefix
        )

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
        meters = {}
        for prefix in ("", COPY_LAST, *([MEAN_FRAME] if self.mean_frame is not None else [])):
            meters[f"{prefix}metrics"] = metrics.clone(prefix=prefix)
            if self.units is not None:
                meters[f"{prefix}scores"] = self._scores(prefix)
        return meters

    def measure(self, meters: Mapping, batch: Tensor, index: int) -> None:
        frames = self._frames(batch)
        past, future = frames[:, : self.frames_in], frames[:, self.frames_in :]
        pred = self._predict(past, future.shape[1])
        self._update(meters, "", pred, future)
        if "loss" in meters:
            target = self._targets_only(frames)[:, self.frames_in :]
            meters["loss"].update(self.objective.frame_loss(pred, target)["loss"], len(frames))
        else:
            self._update(meters, COPY_LAST, past[:, -1:].expand_as(future), future)
            if self.mean_frame is not None:
                mean = self.mean_frame.to(future)
                self._update(meters, MEAN_FRAME, mean.expand_as(future), future)

    def _update(self, meters: Mapping, prefix: str, pred: Tensor, future: Tensor) -> None:
        """Update the metrics with scaled frames, the scores with frames in units."""
        metrics, scores = meters[f"{prefix}metrics"], meters.get(f"{prefix}scores")
        if self.units is None:
            metrics.update(pred, future)
            return
        targets, scale = list(self.units.targets), self.units.scale
        # a baseline has no value where the frames that it repeats have none
        valid = (future.isfinite() & (pred.isfinite() | (not prefix)))[:, :, targets]
        if not prefix and scores is not None and scale.bounded:
            self.outside += int(((future - 0.5).abs() > 0.5 + ROUNDING)[:, :, targets].sum())
        metrics.update(pred[:, :, targets], future[:, :, targets], valid=valid)
        if scores is not None:
            scores.update(scale.undo(pred)[:, :, targets], scale.undo(future)[:, :, targets], valid)

    def describe(self) -> dict[str, str]:
        return {"model": self.config["name"], "translator": str(self.config.get("translator", "–"))}

    def prepare_test(self, datamodule: SequenceDataModule) -> None:
        """Average the first training sequences, leaving out missing values."""
        train, total, count = datamodule.split("train"), 0, 0
        for index in range(min(AVERAGED, len(train))):
            frames = self._frames(train.batch(0, [index]))[0].double()
            total, count = total + frames.nansum(0), count + frames.isfinite().sum(0)
        self.mean_frame = (total / count).float()  # (C, H, W)

    def results(self) -> dict[str, dict]:
        if self.outside and {"ssim", "psnr"} & set(self.metric_names):
            text = "%s values of the test lie outside the scale %s: ssim and psnr are clipped"
            log.warning(text, f"{self.outside:,}", self.units.scale)
        names = [*self.metric_names, *self.score_definitions]
        found = {"": {}} | {prefix: {} for prefix in BASELINES}
        for key, value in self.test_results.items():
            prefix = next((prefix for prefix in BASELINES if key.startswith(prefix)), "")
            found[prefix][key.removeprefix(prefix)] = value
        baselines = {prefix.rstrip("/"): found[prefix] for prefix in BASELINES if found[prefix]}
        return {
            **split_values(found[""], names),
            **{name: split_values(values, names) for name, values in baselines.items()},
            "definitions": definitions(self.metric_names, self._values()) | self.score_definitions,
        }

    def _values(self) -> str:
        """Say what the metrics compare; "": frames in [0, 1]."""
        if self.units is None:
            return ""
        chosen = "" if self.units.all_channels else f"; of {', '.join(self.units.names)} alone"
        return f"{self.units.scale.meaning}, missing ones left out{chosen}"

    def draw(self, run_dir: Path, datamodule: SequenceDataModule, results: dict) -> None:
        test_set = datamodule.split("test")
        draw_sequences(
            run_dir / "predictions",
            test_set,
            {results["name"]: self.predictor.to("cpu")},
            range(min(DRAWN, len(test_set))),
            title=f"{results['data']['name']} test ({results['data']['source']})",
            units=self.units,
        )
        draw_curves(run_dir, results)


def measurable(names: Sequence[str], units: Units | None) -> tuple[str, ...]:
    """Return the metrics that are defined: those that clip to [0, 1] need a range."""
    if units is None or units.scale.bounded:
        return tuple(names)
    kept = tuple(name for name in names if name.removesuffix(PER_FRAME) in ("mse", "mae", "rmse"))
    if len(kept) < len(names):
        text = "%s left out: they need a range of values, and data.normalize=%s gives none"
        log.warning(text, ", ".join(sorted(set(names) - set(kept))), units.scale.kind)
    return kept
