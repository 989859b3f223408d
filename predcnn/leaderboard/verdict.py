"""Whether a result lies within tolerance of a published one."""

from collections.abc import Mapping
from dataclasses import dataclass

from predcnn.leaderboard.published import Published

RELATIVE = {"mse": "mse", "mae": "mae"}
ABSOLUTE = {"ssim_openstl": ("ssim", 0.005), "psnr": ("psnr", 0.3)}
"""Our metric -> the published one, and by how much it may differ."""


@dataclass(frozen=True)
class Check:
    """One metric: ours, theirs, and whether they agree."""

    metric: str
    ours: float
    published: float
    allowed: float
    within: bool


def verdict(metrics: Mapping[str, float], row: Published, tolerance: float) -> list[Check]:
    """Compare every published metric that was measured.

    Better than published is within: published numbers are the best of several trials, chosen on
    the test set.

    Args:
        metrics: of the test.
        row: the published result.
        tolerance: relative, for MSE and MAE; SSIM may differ by 0.005, PSNR by 0.3 dB.
    """
    checks = []
    for ours, theirs in RELATIVE.items():
        if ours in metrics and getattr(row, theirs) is not None:
            value = getattr(row, theirs)
            allowed = tolerance * value
            within = metrics[ours] <= value + allowed
            checks.append(Check(ours, metrics[ours], value, allowed, within))
    for ours, (theirs, allowed) in ABSOLUTE.items():
        if ours in metrics and getattr(row, theirs) is not None:
            value = getattr(row, theirs)
            within = metrics[ours] >= value - allowed
            checks.append(Check(ours, metrics[ours], value, allowed, within))
    return checks
