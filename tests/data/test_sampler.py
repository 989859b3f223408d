"""Batches of keys for any number of ranks and from the middle of an epoch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predcnn.data.sampler import SequenceSampler


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 5))
def test_evaluation_covers_every_sequence_once(length: int, batch: int, world: int) -> None:
    keys = []
    for rank in range(world):
        sampler = SequenceSampler(length, batch, rank=rank, world_size=world)
        sampler.set_epoch(4)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(1 <= len(keys) <= batch for keys in batches)
        keys += [key for batch_keys in batches for key in batch_keys]
    assert sorted(keys) == [(0, index) for index in range(length)]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 40), st.booleans(), st.integers(0, 3))
def test_ranks_together_see_the_batches_of_one_process(
    batch: int, world: int, extra: int, shuffle: bool, epoch: int
) -> None:
    length = batch * world + extra
    options = {"train": True, "shuffle": shuffle, "seed": 3}
    one = SequenceSampler(length, batch * world, **options)
    many = [
        SequenceSampler(length, batch, rank=rank, world_size=world, **options)
        for rank in range(world)
    ]
    for sampler in (one, *many):
        sampler.set_epoch(epoch)
    for whole, *parts in zip(one, *many, strict=True):
        assert sorted(whole) == sorted(key for part in parts for key in part)
        assert all(len(part) == batch for part in parts)
        assert {key[0] for key in whole} == {epoch}


def test_training_starts_anywhere_and_the_next_epoch_is_complete() -> None:
    sampler = SequenceSampler(50, 4, train=True, shuffle=True)
    sampler.set_epoch(2)
    whole = list(sampler)
    assert len(whole) == len(sampler) == 12
    resumed = SequenceSampler(50, 4, train=True, shuffle=True)
    resumed.load_state_dict({"epoch": 2, "start_batch": 5})
    resumed.set_epoch(2)  # Lightning calls this again
    assert list(resumed) == whole[5:]
    assert len(resumed) == 12
    assert resumed.state_dict() == {"epoch": 2, "start_batch": 5}
    resumed.set_epoch(3)
    assert len(list(resumed)) == 12
    assert list(resumed) != whole


def test_every_epoch_is_a_new_permutation() -> None:
    sampler = SequenceSampler(40, 4, train=True, shuffle=True, seed=1)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append([index for keys in sampler for _, index in keys])
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_an_iterator_keeps_its_epoch() -> None:
    sampler = SequenceSampler(8, 4, train=True)
    begun = iter(sampler)
    sampler.set_epoch(1)
    assert next(begun)[0] == (0, 0)
    assert next(iter(sampler))[0] == (1, 0)


def test_fewer_sequences_than_one_batch_are_an_error() -> None:
    with pytest.raises(ValueError, match="split of 7 is less than one batch"):
        SequenceSampler(7, 4, train=True, world_size=2)
