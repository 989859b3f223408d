"""Random numbers that depend only on (seed, split, epoch, index), vectorised over batches.

Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the SplitMix64
finaliser): 64 mixed bits per counter, so numbers do not depend on previous draws.
"""

import hashlib
import math
import operator
from collections.abc import Callable

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def stream_key(*parts: int | str) -> int:
    """Return the 64-bit key of a stream of numbers, e.g. ``stream_key(seed, "train", epoch)``."""
    plain = tuple(part if isinstance(part, str) else operator.index(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(repr(plain).encode(), digest_size=8).digest(), "little")


def uniforms(key: int, indices: np.ndarray, count: int) -> np.ndarray:
    """Draw ``count`` numbers in [0, 1) for each of the ``indices`` (B,) of a stream.

    Returns:
        float64 (B, count). Row b depends only on ``key`` and ``indices[b]``, and its first numbers
        do not depend on ``count``.
    """
    indices = np.asarray(indices, dtype=np.int64).astype(np.uint64)
    slots = np.arange(1, count + 1, dtype=np.uint64)
    base = _mix(np.uint64(key) + (indices + np.uint64(1)) * _GAMMA)
    bits = _mix(base[:, None] + slots * _GAMMA)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(unit: np.ndarray, bound: int) -> np.ndarray:
    """Convert numbers in [0, 1) to int64 in 0..bound-1, each equally likely."""
    return (unit * bound).astype(np.int64)


def normals(unit: np.ndarray) -> np.ndarray:
    """Convert numbers in [0, 1), last axis 2n, to normal ones, last axis n (Box-Muller)."""
    first, second = unit[..., 0::2], unit[..., 1::2]
    radius = np.sqrt(-2.0 * elementwise(math.log1p, -first))
    return radius * elementwise(math.cos, 2.0 * np.pi * second)


def permutation(key: int, length: int) -> np.ndarray:
    """Return 0..length-1 in an order that depends only on ``key``, int64 (length,)."""
    counters = np.arange(1, length + 1, dtype=np.uint64)
    return np.argsort(_mix(np.uint64(key) + counters * _GAMMA), kind="stable")


def elementwise(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """Apply a function of :mod:`math` to every number, float64, same shape.

    numpy's vectorised functions may round differently depending on an array's length and
    alignment; then a sequence would depend on its batch.
    """
    flat = [function(value) for value in values.reshape(-1).tolist()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _MIX1
    state = (state ^ (state >> np.uint64(27))) * _MIX2
    return state ^ (state >> np.uint64(31))
