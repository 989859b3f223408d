"""Image pools of each split: files or embedded images, divided by the protocol.

Embedded backgrounds are crops of photographs in scikit-image.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np

from predcnn.data.draws import integers, stream_key, uniforms
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.opencv import opencv
from predcnn.data.sources.known_files import ImageArchive, PublishedImages
from predcnn.data.splits import SPLITS

HELD_OUT = 12  # every 12th training image is for validation: 5,000 of 60,000
BACKGROUND = 32  # pixels, height and width of a stored background, as in CIFAR-10
SMALLEST_FACTOR = 2  # crops are 64, 96, … pixels wide: integer factors average complete blocks

PHOTOGRAPHS = {
    "train": {"chelsea": 1000, "coffee": 1000},
    "val": {"rocket": 500},
    "test": {"astronaut": 500},
}
"""Numbers of crops per photograph of scikit-image; no photograph is in two splits."""


@dataclass(frozen=True)
class Pool:
    """The images of one split, uint8 (N, h, w) or (N, h, w, 3), and their source."""

    images: np.ndarray
    origin: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 over shape and bytes."""
        state = hashlib.sha256(repr(self.images.shape).encode())
        state.update(np.ascontiguousarray(self.images))
        return state.hexdigest()


@dataclass(frozen=True)
class PoolSource:
    """Source of one kind of image: sprites or backgrounds."""

    files: PublishedImages  # the published set
    # loads images that come with the package; None: there are none
    embedded: Callable[[], ImageArchive] | None
    # the published protocol draws from the test images too (CIFAR backgrounds)
    pools_test: bool = False

    def with_test(self, protocol: str) -> bool:
        """Whether the test images are needed."""
        return protocol == "isolated" or self.pools_test

    def open(
        self, dataset: str, options: MovingMNISTOptions, sources: tuple[str, ...]
    ) -> ImageArchive:
        """Load the images from files if they exist, else the embedded ones.

        Args:
            dataset: name of the data set, for the error message.
            sources: ``data.source``, split at "+"; a set named there must exist.
        """
        root, with_test = options.root, self.with_test(options.protocol)
        place = self.files.locate(root, with_test)
        if place is not None:
            return self.files.load(place, with_test=with_test, verify=options.verify)
        if self.embedded is not None and self.files.name not in sources:
            return self.embedded()
        raise FileNotFoundError(
            f"{self.files.name} is missing: it needs {self.files.expected(root, with_test)}; put "
            f"the files there or run `python scripts/prepare_data.py data={dataset} "
            "data.download=true`"
        )

    def pool(self, archive: ImageArchive, protocol: str, split: str) -> Pool:
        """Return the images of one split; under "isolated" no image is in two splits."""
        isolated = protocol == "isolated"
        images = _isolated(archive, split) if isolated else self._published(archive)
        if not len(images):
            raise ValueError(f"{archive.origin} has too few images for the split {split}")
        return Pool(images, archive.origin)

    def _published(self, archive: ImageArchive) -> np.ndarray:
        if not self.pools_test:
            return archive.train
        parts = (archive.train, archive.val, archive.test)
        return np.concatenate([part for part in parts if part is not None])


def _isolated(archive: ImageArchive, split: str) -> np.ndarray:
    if split == "test":
        return archive.test
    if archive.val is not None:
        return archive.val if split == "val" else archive.train
    held_out = np.arange(len(archive.train)) % HELD_OUT == HELD_OUT - 1
    return archive.train[held_out if split == "val" else ~held_out]


def embedded_digits() -> ImageArchive:
    """Load the 2,000 + 500 MNIST digits that come with the package, see assets/README.md."""
    asset = resources.files("predcnn.data.assets") / "mnist_digits.npz"
    with resources.as_file(asset) as path, np.load(path, allow_pickle=False) as arrays:
        train, test = arrays["x_train"], arrays["x_test"]
    return ImageArchive("embedded (2,000+500 MNIST digits)", train, test)


def embedded_photographs() -> ImageArchive:
    """Crop photographs that come with scikit-image; each belongs to one split."""
    names = ", ".join(name for group in PHOTOGRAPHS.values() for name in group)
    train, val, test = (photograph_crops(split) for split in SPLITS)
    return ImageArchive(f"embedded (crops of {names})", train, test, val)


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
