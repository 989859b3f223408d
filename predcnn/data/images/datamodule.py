"""Lightning data module of a folder of labelled images."""

from predcnn.checks import one_of
from predcnn.data.datamodule import SplitDataModule
from predcnn.data.images.folder import ImageFolder
from predcnn.data.images.options import ImageFolderOptions
from predcnn.data.options import options_from


class ImageDataModule(SplitDataModule):
    """Loaders of batches (images (B, 3, S, S) float32, labels (B,) int64)."""

    family: ImageFolder
    one, unit = "an image", "images"

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels."""
        return self.family.classes

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """(3, S, S) of images in evaluation."""
        size = self.family.options.eval_size
        return (3, size, size)

    @property
    def description(self) -> dict[str, str]:
        options = self.family.options
        return {
            "data": self.family.name,
            "source": self.source,
            "splits": self.protocol,
            "images": self.lengths,
            "classes": f"{len(self.classes):,}",
            "pixels": f"{options.image_size} in training, {options.eval_size} in evaluation "
            f"(crop {options.crop:g})",
            "batch": f"{self.batch_size} images per process, {self.num_workers} workers",
            "fingerprint": self.fingerprint[:12],
        }


def create_image_datamodule(
    name: str = ImageFolder.name,
    *,
    batch_size: int = 128,
    eval_batch_size: int | None = None,
    num_workers: int | None = None,
    pin_memory: bool | None = None,
    **options: object,
) -> ImageDataModule:
    """Create the data module of a folder of images; ``configs/data/image_folder.yaml`` calls this.

    For batch sizes, workers and memory see `SplitDataModule`; ``options`` are those of the folder.

    Raises:
        FileNotFoundError, ValueError: the folder does not hold labelled images.
        TypeError: unknown option, with the closest names.
    """
    one_of("data.name", name, (ImageFolder.name,))
    family = ImageFolder(options_from(ImageFolderOptions, options))
    loading = {"eval_batch_size": eval_batch_size, "num_workers": num_workers}
    return ImageDataModule(family, batch_size=batch_size, pin_memory=pin_memory, **loading)
