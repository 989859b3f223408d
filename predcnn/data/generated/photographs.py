"""Background images: crops of photographs in scikit-image, and the published upscaling."""

import functools

import numpy as np

from predcnn.data.draws import integers, stream_key, uniforms
from predcnn.data.opencv import opencv

BACKGROUND = 32  # pixels, height and width of a stored background, as in CIFAR-10
SMALLEST_FACTOR = 2  # crops are 64, 96, … pixels wide: integer factors average complete blocks

PHOTOGRAPHS = {
    "train": {"chelsea": 1000, "coffee": 1000},
    "val": {"rocket": 500},
    "test": {"astronaut": 500},
}
"""Numbers of crops per photograph of scikit-image; no photograph is in two splits."""


@functools.cache
def photograph_crops(split: str) -> np.ndarray:
    """Crop photographs to uint8 (N, 32, 32, 3), RGB; crop i depends on name and i alone."""
    crops = np.concatenate([_crops(*item) for item in PHOTOGRAPHS[split].items()])
    crops.setflags(write=False)  # all callers share it
    return crops


def enlarge(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale uint8 by OpenCV's bicubic, like OpenSTL: (N, h, w, 3) -> (N, 3, height, width)."""
    cv2 = opencv()
    out = np.empty((len(images), 3, height, width), np.uint8)
    for planes, image in zip(out, images, strict=True):
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        for channel, plane in enumerate(planes):
            cv2.extractChannel(resized, channel, dst=plane)
    return out


def _crops(name: str, count: int) -> np.ndarray:
    import skimage.data  # imported here: it costs most of a second

    cv2 = opencv()
    photograph = np.ascontiguousarray(getattr(skimage.data, name)()[..., :3])
    height, width = photograph.shape[:2]
    unit = uniforms(stream_key("photograph", name), np.arange(count), 3)
    factors = min(height, width) // BACKGROUND - SMALLEST_FACTOR + 1
    side = BACKGROUND * (SMALLEST_FACTOR + integers(unit[:, 0], factors))
    out = np.empty((count, BACKGROUND, BACKGROUND, 3), np.uint8)
    for i in range(count):
        top = int(unit[i, 1] * (height - side[i] + 1))
        left = int(unit[i, 2] * (width - side[i] + 1))
        crop = photograph[top : top + side[i], left : left + side[i]]
        cv2.resize(crop, (BACKGROUND, BACKGROUND), dst=out[i], interpolation=cv2.INTER_AREA)
    return out
