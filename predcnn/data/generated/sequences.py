"""Sequences generated on demand: one vectorised pass per batch, no state between batches."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from predcnn.data.draws import integers, stream_key, uniforms
from predcnn.data.generated.noise import disturb, velocity_jitter
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.generated.pools import Pool, enlarge
from predcnn.data.generated.sprites import SpriteDraws, corners, draw
from predcnn.data.sequences import SequenceDataset

OPAQUE_ABOVE = 1  # grey level; the published threshold lets 0 and 1 through as they are


class GeneratedSequences(SequenceDataset):
    """One split of a Moving MNIST set, (B, T, C, H, W) uint8.

    Training has new sequences every epoch; validation and test ignore the epoch.

    Args:
        length: sequences per epoch.
        sprites: images to move, uint8 (N, h, w).
        backgrounds: images (N, h, w, 3) under white cut-outs; None: grey sprites on black.
        source: origin of the images, for tables.
    """

    def __init__(
        self,
        options: MovingMNISTOptions,
        split: str,
        length: int,
        sprites: Pool,
        backgrounds: Pool | None = None,
        *,
        source: str,
    ) -> None:
        self._options, self._split, self._length = options, split, length
        self._sprites = sprites.images
        self._backgrounds = None if backgrounds is None else backgrounds.images
        if backgrounds is not None:
            opaque = self._sprites > OPAQUE_ABOVE
            self._sprites = np.where(opaque, np.uint8(255), self._sprites)
        self._sprites = np.ascontiguousarray(self._sprites)
        height, width = self._sprites.shape[1:]
        if height > options.height or width > options.width:
            raise ValueError(
                f"images of {height}x{width} ({sprites.origin}) do not fit into frames of "
                f"{options.height}x{options.width}: set data.height and data.width"
            )
        self.finite = split != "train"
        channels = 1 if backgrounds is None else 3
        self.in_shape = (options.frames_in, channels, options.height, options.width)
        self.frames_out, self.protocol, self.source = options.frames_out, options.protocol, source
        self.fingerprint = self._fingerprint(sprites, backgrounds)

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        options, indices = self._options, self._checked(indices)
        key = self._key(epoch)
        draws, background = self.draws(epoch, indices)
        most = max(options.digits)
        jitter = velocity_jitter(options.noise, key, indices, options.frames_in, most)
        frames = self.render(draws, background, jitter)
        disturb(options.noise, frames[:, : options.frames_in], key, indices)
        return torch.from_numpy(frames)

    def draws(self, epoch: int, indices: Sequence[int]) -> tuple[SpriteDraws, np.ndarray | None]:
        """Draw the sprites of sequences, and the indices of their backgrounds, int (B,)."""
        counts = np.array(self._options.digits)
        most = int(counts.max())
        unit = uniforms(self._key(epoch), np.asarray(indices), 2 + 4 * most)
        each = unit[:, 2:].reshape(-1, most, 4)
        draws = SpriteDraws(
            x=each[..., 0],
            y=each[..., 1],
            theta=2.0 * np.pi * each[..., 2],
            sprite=integers(each[..., 3], len(self._sprites)),
            count=None if len(counts) == 1 else counts[integers(unit[:, 0], len(counts))],
        )
        if self._backgrounds is None:
            return draws, None
        return draws, integers(unit[:, 1], len(self._backgrounds))

    def render(
        self,
        draws: SpriteDraws,
        background: np.ndarray | None = None,
        jitter: np.ndarray | None = None,
    ) -> np.ndarray:
        """Render frames (B, T, C, H, W) uint8, also of draws of the published generator."""
        options, sprites = self._options, self._sprites
        channels, *size = self.in_shape[1:]
        free = (size[0] - sprites.shape[1], size[1] - sprites.shape[2])
        places = corners(draws, free, frames=options.frames, speed=options.speed, jitter=jitter)
        backgrounds = self._backgrounds
        still = None if backgrounds is None else enlarge(backgrounds[background], *size)
        frames = np.empty((len(draws.x), options.frames, channels, *size), np.uint8)
        draw(frames, sprites, draws, places, still)
        return frames

    def _key(self, epoch: int) -> int:
        if self.finite:
            return stream_key(self._options.eval_seed, self._split, 0)
        return stream_key(self._options.seed, self._split, int(epoch))

    def _fingerprint(self, *pools: Pool | None) -> str:
        options = self._options
        facts = {
            "key": self._key(0),
            "length": self._length,
            "frames": (options.frames_in, options.frames_out),
            "canvas": (options.height, options.width),
            "digits": options.digits,
            "speed": options.speed,
            "noise": options.noise,
            "pools": [pool.fingerprint for pool in pools if pool is not None],
            # detects changes of the rules or of a library
            "first": hashlib.sha256(self.batch(0, [0]).numpy()).hexdigest(),
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
