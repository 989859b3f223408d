"""The frames of a clip that a forecast and its trial need."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The frames to read: ``past`` leads to the forecast, ``trial_past`` to ``truth``."""

    past: range
    trial_past: range | None
    truth: range | None

    def lead_times(self, cuts: Sequence[int]) -> tuple[int, ...]:
        """Return the lead times at which new scenes begin in the truth: at frames ``cuts``."""
        new = [cut for cut in cuts if self.trial_past[-1] < cut <= self.truth[-1]]
        return tuple(sorted({1 + sum(time < cut for time in self.truth) for cut in new}))


def plan_of(
    name: str, count: int, frames_in: int, horizon: int, start: int | None, step: int
) -> Plan:
    """Choose the frames for a forecast from ``start`` on; None: after the last frame.

    Raises:
        ValueError: the clip has too few frames before ``start``.
    """
    reach = (frames_in - 1) * step + 1  # frames of the clip that the past covers
    first = count - 1 + step if start is None else start
    if start is not None and not 0 < start <= count:
        raise ValueError(f"start={start}: {name} has the frames 0..{count - 1}")
    if first - step - reach + 1 < 0:
        raise ValueError(
            f"{name} has {count} frames, the checkpoint needs {frames_in} known ones"
            f"{f' (every {step}th, {reach} in all)' if step > 1 else ''} before frame "
            f"{first if start is not None else count}: a longer clip, or a model trained with a "
            "smaller data.frames_in"
        )
    past = range(first - frames_in * step, first, step)
    if start is not None:
        truth = range(first, min(count, first + horizon * step), step)
        return Plan(past, past, truth) if len(truth) else Plan(past, None, None)
    known = range(past[-1] - (horizon + frames_in - 1) * step, past[-1] + 1, step)
    if known[0] < 0:
        return Plan(past, None, None)
    return Plan(past, known[:frames_in], known[frames_in:])
