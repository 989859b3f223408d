"""Scores of physical fields in their units: errors, categorical scores, FSS, anomaly correlation.

Every score is a ratio of sums over valid pixels, sequences and lead times, which add up exactly
over ranks.

Roberts and Lean, "Scale-selective verification of rainfall accumulations", 2008 (FSS); Rasp et al.,
"WeatherBench", 2020 (latitude weights, ACC); Wilks, "Statistical methods in the atmospheric
sciences", 2011 (CSI, POD, FAR, HSS).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.metrics.collection import PER_FRAME
from predcnn.metrics.streaming import MAX_FRAMES, FrameMetric, _sum_of_ranks, widened
from predcnn.registry import Registry

FIELD_METRICS = Registry("metric of fields")
WINDOW = 9  # side of the neighbourhoods of FSS in pixels, odd


class FieldMetric(FrameMetric):
    """A ratio of sums over the pixels of one channel, (B, T, H, W) in units.

    Subclasses define ``sums``, ``terms`` tensors (T,), and where needed their ``ratio``.

    Args:
        threshold: of the events "value >= threshold".
        latitudes: of the rows in degrees, (H,); None: equal weights.
        climatology: mean of the training part, (H, W); None: 0.
    """

    terms: ClassVar[int] = 2  # sums of a ratio
    thresholded: ClassVar[bool] = False  # one score per threshold

    def __init__(
        self,
        threshold: float = 0.0,
        latitudes: np.ndarray | None = None,
        climatology: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.threshold, self.latitudes, self.climatology = threshold, latitudes, climatology
        for name in ("total", "rest"):
            state = torch.zeros(self.terms, MAX_FRAMES, dtype=torch.float64)
            self.add_state(name, state, _sum_of_ranks)

    def weights(self, like: Tensor) -> Tensor:
        """Return cos(latitude) divided by its mean, (H, 1); ones without latitudes."""
        if self.latitudes is None:
            return like.new_ones(like.shape[-2], 1)
        cosine = np.cos(np.deg2rad(self.latitudes))
        return like.new_tensor(cosine / cosine.mean())[:, None]

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        """Return the sums of a batch by lead time; missing pixels are 0 in both fields."""
        raise NotImplementedError

    def ratio(self, sums: Tensor) -> Tensor:
        """Return the score of sums (terms, n); NaN where nothing was measured."""
        return sums[0] / sums[1]

    def update(self, pred: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch of one channel, (B, T, H, W) each."""
        frames = pred.shape[1]
        pred, target = (widened(part).masked_fill(~valid, 0) for part in (pred, target))
        with torch.no_grad():
            sums = torch.stack(list(self.sums(pred, target, valid.to(pred.dtype))))
        self._add(nn.functional.pad(sums, (0, MAX_FRAMES - frames)))
        self.longest = self.longest.clamp(min=frames)

    def compute(self) -> Tensor:
        """Return (1 + T,): the score over all lead times, then the curve."""
        frames = int(self.longest)
        total = (self.total.cpu().double() + self.rest.cpu().double())[:, :frames]
        return torch.cat([self.ratio(total.sum(1, keepdim=True)), self.ratio(total)])


@FIELD_METRICS.register("rmse")
class FieldRMSE(FieldMetric):
    """Root of the squared error, mean over valid pixels, sequences and lead times."""

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        return (pred - target).square().sum((0, 2, 3)), valid.sum((0, 2, 3))

    def ratio(self, sums: Tensor) -> Tensor:
        return torch.sqrt(sums[0] / sums[1])


@FIELD_METRICS.register("mae")
class FieldMAE(FieldMetric):
    """Absolute error, mean over valid pixels, sequences and lead times."""

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        return (pred - target).abs().sum((0, 2, 3)), valid.sum((0, 2, 3))


@FIELD_METRICS.register("lat_rmse")
class LatitudeRMSE(FieldMetric):
    """WeatherBench's RMSE: mean over frames of the root, rows weighted by cos(latitude)."""

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        weights = self.weights(pred) * valid
        share = weights.sum((2, 3))
        error = torch.sqrt(((pred - target).square() * weights).sum((2, 3)) / share)
        return error.nan_to_num(nan=0).sum(0), (share > 0).to(pred.dtype).sum(0)


@FIELD_METRICS.register("acc")
class AnomalyCorrelation(FieldMetric):
    """Uncentred correlation of departures from the training mean, weighted by cos(latitude)."""

    terms = 3
    higher_is_better = True

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        mean = 0 if self.climatology is None else pred.new_tensor(self.climatology)
        weights = self.weights(pred) * valid
        pred, target = pred - mean, target - mean
        products = (pred * target, pred.square(), target.square())
        return [(weights * product).sum((0, 2, 3)) for product in products]

    def ratio(self, sums: Tensor) -> Tensor:
        return sums[0] / torch.sqrt(sums[1] * sums[2])


class Contingency(FieldMetric):
    """Counts of hits, misses, false alarms and correct negatives of "value >= threshold"."""

    terms = 4
    thresholded = True

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        forecast, event = (part >= self.threshold for part in (pred, target))
        cases = (forecast & event, ~forecast & event, forecast & ~event, ~forecast & ~event)
        return [(case * valid).sum((0, 2, 3)) for case in cases]


@FIELD_METRICS.register("csi")
class CSI(Contingency):
    """Critical success index: hits / (hits + misses + false alarms)."""

    higher_is_better = True

    def ratio(self, sums: Tensor) -> Tensor:
        hits, misses, alarms, _ = sums
        return hits / (hits + misses + alarms)


@FIELD_METRICS.register("pod")
class POD(Contingency):
    """Probability of detection: hits / (hits + misses)."""

    higher_is_better = True

    def ratio(self, sums: Tensor) -> Tensor:
        return sums[0] / (sums[0] + sums[1])


@FIELD_METRICS.register("far")
class FAR(Contingency):
    """False alarm ratio: false alarms / (hits + false alarms)."""

    def ratio(self, sums: Tensor) -> Tensor:
        return sums[2] / (sums[0] + sums[2])


@FIELD_METRICS.register("hss")
class HSS(Contingency):
    """Heidke skill score: accuracy relative to that of chance."""

    higher_is_better = True

    def ratio(self, sums: Tensor) -> Tensor:
        hits, misses, alarms, rest = sums
        chance = (hits + misses) * (misses + rest) + (hits + alarms) * (alarms + rest)
        return 2 * (hits * rest - misses * alarms) / chance


@FIELD_METRICS.register("fss")
class FSS(FieldMetric):
    """Fractions skill score: 1 - squared differences of fractions of events / their squares.

    Fractions are of square neighbourhoods; there are no events outside the field.
    """

    thresholded = True
    higher_is_better = True

    def sums(self, pred: Tensor, target: Tensor, valid: Tensor) -> Sequence[Tensor]:
        def fractions(field: Tensor) -> Tensor:
            events = (field >= self.threshold) * valid
            return nn.functional.avg_pool2d(events, WINDOW, stride=1, padding=WINDOW // 2)

        forecast, truth = fractions(pred), fractions(target)
        squares = forecast.square() + truth.square()
        return (forecast - truth).square().sum((0, 2, 3)), squares.sum((0, 2, 3))

    def ratio(self, sums: Tensor) -> Tensor:
        return 1 - sums[0] / sums[1]


class FieldScores:
    """All scores of all channels: ``update``, then ``compute`` -> {name: value, name_per_frame}.

    Args:
        names: among `FIELD_METRICS`.
        channels: names of the channels; a score is called "rmse(u10)" or "csi(rain>=20)".
        thresholds: of the scores of events, in units.
        latitudes: see `FieldMetric`.
        climatology: mean of the training part, (C, H, W).
        prefix: begins every name.
    """

    def __init__(
        self,
        names: Sequence[str],
        channels: Sequence[str],
        thresholds: Sequence[float] = (),
        latitudes: np.ndarray | None = None,
        climatology: np.ndarray | None = None,
        prefix: str = "",
    ) -> None:
        self.prefix = prefix
        self._scores: dict[str, tuple[int, FieldMetric]] = {}
        for i, channel in enumerate(channels):
            mean = None if climatology is None else climatology[i]
            for name in names:
                kind = FIELD_METRICS[name]
                if kind.thresholded and not thresholds:
                    raise ValueError(f"{name} needs data.thresholds=[…], in the units of the data")
                for threshold in thresholds if kind.thresholded else (None,):
                    above = "" if threshold is None else f">={threshold:g}"
                    score = kind(threshold or 0.0, latitudes, mean)
                    self._scores[f"{name}({channel}{above})"] = (i, score)

    @property
    def definitions(self) -> dict[str, str]:
        """One sentence per name, from the docstring of the score's class."""
        texts = {name: score.__doc__.splitlines()[0] for name, (_, score) in self._scores.items()}
        return {name: f"{text.rstrip('.')}; in units" for name, text in texts.items()}

    def update(self, pred: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch in units, (B, T, C, H, W) each; ``valid`` is False at missing pixels."""
        for channel, score in self._scores.values():
            score.update(pred[:, :, channel], target[:, :, channel], valid[:, :, channel])

    def compute(self) -> Mapping[str, Tensor]:
        """Return every score and its curve over lead times."""
        found = {}
        for name, (_, score) in self._scores.items():
            values = score.compute()
            found[self.prefix + name] = values[0]
            found[self.prefix + name + PER_FRAME] = values[1:]
        return found

    def to(self, device: torch.device | str) -> "FieldScores":
        for _, score in self._scores.values():
            score.to(device)
        return self

    def reset(self) -> None:
        for _, score in self._scores.values():
            score.reset()
