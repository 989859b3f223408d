"""Multi-order interactions: how strongly pairs of patches interact, by the size of their context.

Deng et al., "Discovering and Explaining the Representation Bottleneck of DNNs", ICLR 2022,
https://arxiv.org/abs/2111.06236 (eq. 2 to 5); settings for ImageNet: Li et al.,
"Architecture-Agnostic Masked Image Modeling", ICML 2023, https://arxiv.org/abs/2205.13943, probably
also used by MogaNet's paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from predcnn.analysis.kind import Figures, Inputs, Kind, per_output
from predcnn.analysis.subject import Subject
from predcnn.visual import plot_lines

RATIOS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
Found = tuple[Tensor, Tensor]  # I(m) and J(m), each (orders, L)
NEIGHBOURHOOD = 2  # largest distance of the two players of a pair, in rows and in columns


@dataclass(frozen=True)
class Settings:
    """Side of the grid of players, pairs, contexts; orders m are ``ratios`` of grid² - 2."""

    grid: int
    pairs: int
    contexts: int
    images: int
    ratios: Sequence[float] = RATIOS

    def __post_init__(self) -> None:
        if self.grid < 2 or min(self.pairs, self.contexts, self.images) < 1:
            raise ValueError(f"grid is at least 2 and all counts at least 1, not {self}")
        if not self.ratios or not all(0 <= ratio <= 1 for ratio in self.ratios):
            raise ValueError(f"ratios of orders lie in [0, 1], not {self.ratios}")

    def orders(self) -> list[int]:
        """Return m = int((grid² - 2) ratio) for every ratio."""
        return [int((self.grid**2 - 2) * ratio) for ratio in self.ratios]


PRESETS = {
    "cifar10": Settings(grid=16, pairs=200, contexts=100, images=50),
    "imagenet": Settings(grid=14, pairs=50, contexts=50, images=500),
    "cpu": Settings(14, pairs=6, contexts=5, images=4, ratios=(0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)),
}
"""Published settings (52 and 65 million forward passes), and one of some thousand passes."""


def interaction_strength(rewards: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean strength of the interactions of every order, and its share of their mean.

    I(m) is the mean over images and pairs of |mean over contexts of v(ij) - v(i) - v(j) + v()|,
    J(m) = I(m) / mean over the orders of I: both (orders, ...).

    Args:
        rewards: v of every context with both, the first, the second and none of the pair's players
            added: (orders, images, pairs, contexts, 4, ...).
    """
    both, first, second, none = rewards.unbind(4)
    strength = (both - first - second + none).mean(3).abs().mean((1, 2))
    return strength, strength / strength.mean(0)


@torch.no_grad()
def measure_interactions(
    subject: Subject,
    x: Tensor,
    target: Tensor,
    settings: Settings,
    *,
    seed: int = 0,
    batch_size: int = 50,
) -> Tensor:
    """Return rewards for `interaction_strength`, (orders, N, pairs, contexts, 4, L).

    Absent players are 0 in the network's input, in all frames of a clip: the mean of the data set
    after a normalisation, black without one. The only context of order 0, and that of all other
    players, is computed once.

    Args:
        x: clips from ``subject.enter`` (N, T, C, H, W); all of them, whatever ``settings.images``.
        seed: of pairs and contexts; every image has its own stream.
    """
    players = settings.grid**2
    per_image = []
    for n, clip in enumerate(x):
        draw = np.random.default_rng((seed, n))
        pairs = sample_pairs(settings.grid, settings.pairs, draw)
        per_order = []
        for order in settings.orders():
            count = 1 if order in (0, players - 2) else settings.contexts
            masks = np.concatenate([_masks(pair, order, count, players, draw) for pair in pairs])
            rewards = _rewards(subject, clip, target[n], masks, settings.grid, batch_size)
            rewards = rewards.unflatten(0, (len(pairs), count, 4))
            per_order.append(rewards.expand(-1, settings.contexts, -1, -1))
        per_image.append(torch.stack(per_order))
    return torch.stack(per_image, dim=1)


def sample_pairs(grid: int, count: int, draw: np.random.Generator) -> list[tuple[int, int]]:
    """Draw different pairs of players at most `NEIGHBOURHOOD` apart, clipped at the border."""
    near = sum(min(i, NEIGHBOURHOOD) + 1 + min(grid - 1 - i, NEIGHBOURHOOD) for i in range(grid))
    possible = (near**2 - grid**2) // 2  # (player, itself or neighbour) along both axes
    if count > possible:
        raise ValueError(f"a grid of {grid}x{grid} has {possible} pairs of neighbours, not {count}")
    pairs: dict[frozenset[int], tuple[int, int]] = {}
    while len(pairs) < count:
        first = int(draw.integers(grid**2))
        step = draw.integers(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1, size=2)
        row, column = np.clip(np.array(divmod(first, grid)) + step, 0, grid - 1)
        second = int(row) * grid + int(column)
        if first != second:
            pairs.setdefault(frozenset((first, second)), (first, second))
    return list(pairs.values())


def _masks(
    pair: tuple[int, int], order: int, count: int, players: int, draw: np.random.Generator
) -> np.ndarray:
    """Draw masks of present players, (count * 4, players): both, i, j, none of the pair each."""
    others = np.setdiff1d(np.arange(players), pair)
    masks = np.zeros((count, 4, players), bool)
    for mask in masks:
        mask[:, draw.choice(others, order, replace=False)] = True
    masks[:, :2, pair[0]] = True
    masks[:, 0::2, pair[1]] = True
    return masks.reshape(-1, players)


def _rewards(
    subject: Subject, clip: Tensor, target: Tensor, masks: np.ndarray, grid: int, batch_size: int
) -> Tensor:
    """Return the reward of one clip (T, C, H, W) under every mask: (masks, L)."""
    rewards = []
    for part in torch.from_numpy(masks).split(batch_size):
        seen = part.view(-1, 1, grid, grid).to(clip.device, clip.dtype)
        seen = interpolate(seen, clip.shape[-2:], mode="nearest")[:, None]  # (b, 1, 1, H, W)
        rewards.append(subject.reward(clip * seen, target.expand(len(part), *target.shape)).cpu())
    return torch.cat(rewards)


@dataclass(frozen=True)
class Interactions(Kind):
    """J(m) against the order m, one diagram per output."""

    definition = (
        "I(m): mean over images and pairs of |mean over contexts of v(ij) - v(i) - v(j) + v()|, "
        "J(m) = I(m) / mean of I; v: log p / (1 - p) of the network's own class, of predictors "
        "-log of the mean squared error at a lead time"
    )
    sampling: Settings
    seed: int = 0
    batch_size: int = 50

    def settings(self) -> dict[str, object]:
        return asdict(self.sampling)

    def measure(self, subject: Subject, inputs: Inputs) -> Found:
        x, target = inputs.for_subject(subject)
        how = {"seed": self.seed, "batch_size": self.batch_size}
        return interaction_strength(measure_interactions(subject, x, target, self.sampling, **how))

    def numbers(self, subject: Subject, found: Found) -> dict[str, object]:
        columns = zip(subject.outputs, *(part.T.tolist() for part in found), strict=True)
        return {
            "ratios": list(self.sampling.ratios),
            "orders": self.sampling.orders(),
            "interactions": {name: {"I": i, "J": j} for name, i, j in columns},
        }

    def draw(self, figures: Figures, inputs: Inputs, results: Mapping[Subject, Found]) -> None:
        ratios = self.sampling.ratios
        diagrams = per_output(
            inputs, results, "interactions", lambda f, i: (ratios, f[1][:, i].tolist())
        )
        plot_lines(figures.path(), diagrams, "order m / n", y_label="strength J(m)")
