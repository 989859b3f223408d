"""Windows over recordings of numbers, scaled."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.dividing import Segment
from predcnn.data.scale import Scale
from predcnn.data.windows import WindowDataset


class ArraySequences(WindowDataset):
    """One split of arrays, float32 (B, T, C, H, W), scaled; missing values are NaN.

    ``identity`` identifies the files, for the fingerprint; ``size`` is (H, W).
    """

    def __init__(
        self,
        options: ArrayOptions,
        split: str,
        segments: Sequence[Segment],
        scale: Scale,
        size: tuple[int, int],
        *,
        source: str,
        protocol: str,
        identity: str,
    ) -> None:
        size = (len(scale.channels), *size)
        super().__init__(options, split, segments, size, source=source, protocol=protocol)
        self._scale = scale
        facts = [
            identity, split, self._length, None if self.finite else options.seed,
            [options.frames_in, options.frames_out, options.frame_step, options.stride],
            [(s.recording.name, s.start, s.stop) for s in segments], scale.as_dict(), options.mask,
        ]  # fmt: skip
        self.fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _window(self, number: int, start: int) -> np.ndarray:
        options = self._options
        recording, times = self._recordings[number], (start, start + options.span)
        return self._scale.apply(recording.values(options.mask, *times, options.frame_step))
