"""Interactions compared with the official code and with games of known interactions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from predcnn.analysis import interaction_strength, measure_interactions
from predcnn.analysis.interactions import PRESETS, Settings, sample_pairs
from predcnn.analysis.subject import log_odds
from tests.analysis.subjects import classifier, clips, simvp

REFERENCE = Path(__file__).parent / "data" / "interaction_strength.npz"


def test_equal_to_the_official_code():
    with np.load(REFERENCE) as file:
        logits, labels, strength, share = (
            torch.from_numpy(file[key]) for key in ("logits", "labels", "Im", "Jm")
        )
    rewards = log_odds(logits, labels[:, None, None].expand(logits.shape[:-1]))
    found = interaction_strength(rewards.unflatten(-1, (-1, 4)))
    torch.testing.assert_close(found, (strength, share), rtol=1e-5, atol=1e-6)


def test_log_odds_of_a_confident_network_are_finite():
    logits = torch.tensor([[90.0, 0.0, 0.0]])
    odds = log_odds(logits, torch.tensor([0]))
    assert odds.item() == pytest.approx(90 - np.log(2))


def test_published_settings():
    assert len(PRESETS["cifar10"].orders()) == 13
    assert PRESETS["cifar10"].orders()[:3] == [0, 12, 25]
    assert PRESETS["imagenet"].orders()[-1] == 14 * 14 - 2


class Game:
    """A subject whose reward is a function of which players of a 4x4 grid are present."""

    outputs = ("value",)

    def __init__(self, value):
        self.value = value
        self.clips = 0

    def reward(self, x, target):
        self.clips += len(x)
        return self.value(x[:, 0, 0, ::2, ::2].flatten(1))[:, None]


SETTINGS = Settings(grid=4, pairs=5, contexts=3, images=2, ratios=(0, 0.5, 1))


def measured(value):
    game = Game(value)
    return measure_interactions(game, torch.ones(2, 1, 1, 8, 8), torch.zeros(2), SETTINGS), game


def test_additive_players_do_not_interact():
    rewards, _ = measured(lambda present: present @ torch.arange(16.0))
    assert rewards.shape == (3, 2, 5, 3, 4, 1)
    assert interaction_strength(rewards)[0].abs().max() == 0


def test_pairs_interact_by_twice_their_product_in_every_context():
    rewards, game = measured(lambda present: present.sum(1).square())
    strength, share = interaction_strength(rewards)
    torch.testing.assert_close(strength, torch.full((3, 1), 2.0))
    torch.testing.assert_close(share, torch.ones(3, 1))
    assert game.clips == 2 * 5 * 4 * (1 + 3 + 1)  # orders 0 and 14 have one context only


def test_contexts_have_their_order_without_the_pair():
    rewards, _ = measured(lambda present: present.sum(1))
    for order, found in zip((0, 7, 14), rewards[..., 0], strict=True):
        torch.testing.assert_close(found, (order + torch.tensor([2.0, 1, 1, 0])).expand_as(found))


def test_pairs_are_different_neighbours():
    pairs = sample_pairs(5, 40, np.random.default_rng(0))
    assert len({frozenset(pair) for pair in pairs}) == 40
    for i, j in pairs:
        assert 0 < max(abs(i // 5 - j // 5), abs(i % 5 - j % 5)) <= 2
    assert len(sample_pairs(2, 6, np.random.default_rng(0))) == 6
    with pytest.raises(ValueError, match="2x2 has 6 pairs"):
        sample_pairs(2, 7, np.random.default_rng(0))


@pytest.mark.parametrize(("subject", "shape"), [(classifier, (1, 3, 32)), (simvp, (4, 1, 16))])
def test_measurements_are_reproducible(subject, shape):
    subject, (frames, channels, size) = subject(), shape
    x = subject.enter(clips(2, frames, channels, size))
    target = subject.target(x, clips(2, frames, channels, size))
    runs = [measure_interactions(subject, x, target, SETTINGS, seed=3) for _ in range(2)]
    assert runs[0].shape == (3, 2, 5, 3, 4, len(subject.outputs))
    torch.testing.assert_close(*runs)
    alone = measure_interactions(subject, x[:1], target[:1], SETTINGS, seed=3, batch_size=7)
    torch.testing.assert_close(runs[0][:, :1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [{"grid": 1}, {"pairs": 0}, {"ratios": ()}, {"ratios": (2.0,)}])
def test_impossible_settings_raise(wrong):
    good = {"grid": 4, "pairs": 1, "contexts": 1, "images": 1}
    with pytest.raises(ValueError, match=r"at least|lie in \[0, 1\]"):
        Settings(**{**good, **wrong})
