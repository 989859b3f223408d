"""Moving MNIST, MMNIST-CIFAR and Moving Fashion-MNIST: three splits, each from its own pictures.

Srivastava, Mansimov, Salakhutdinov, ICML 2015 (Moving MNIST); Tan et al., "OpenSTL", NeurIPS 2023
(MMNIST-CIFAR: digits as white cut-outs over a still CIFAR-10 image; Moving Fashion-MNIST).
"""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.generated.pools import PoolSource, embedded_digits, embedded_photographs
from predcnn.data.generated.sequences import GeneratedSequences
from predcnn.data.options import ROOT, nearest
from predcnn.data.sequences import SETS, SequenceDataset
from predcnn.data.sources.cifar import CIFAR10
from predcnn.data.sources.idx import FASHION_MNIST, MNIST
from predcnn.data.sources.known_files import FileReport, ImageArchive
from predcnn.data.sources.published_test import PublishedSequences, PublishedTest
from predcnn.data.splits import SPLITS, SequenceFamily

GENERATED_TEST = 1_000  # sequences when nobody says how many: seconds on two CPU cores


@SETS.register("moving_mnist")
class MovingMNIST(SequenceFamily):
    """Digits in grey that bounce over black, frames (B, T, 1, H, W) uint8."""

    Options: ClassVar[type] = MovingMNISTOptions
    name: ClassVar[str] = "moving_mnist"
    channels: ClassVar[int] = 1
    sprites: ClassVar[PoolSource] = PoolSource(MNIST, embedded_digits)
    backgrounds: ClassVar[PoolSource | None] = None
    published: ClassVar[PublishedTest] = PublishedTest(
        "mnist_test_seq.npy",
        ("moving_mnist", "MovingMNIST", "."),
        (20, -1, 64, 64),
        md5="be083ec986bfe91a449d63653c411eb2",
        url="http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",
    )

    def __init__(self, options: MovingMNISTOptions) -> None:
        super().__init__(options)
        self._words = self._source_words(options.source)

    @property
    def download(self) -> bool:
        """Whether :meth:`prepare` may fetch files."""
        return self.options.download

    @property
    def facts(self) -> dict[str, str]:
        """What the table at the start of a run says beside what every data set has."""
        return {"noise": self.options.noise or "none"}

    @property
    def embedded(self) -> bool:
        """Whether all images come with the package, so that no file under ``root`` is used."""
        if self._words != ("auto",):
            return self._words == ("embedded",)
        root, protocol = self.options.root, self.options.protocol
        sources = self._pool_sources()
        places = [source.files.locate(root, source.with_test(protocol)) for source in sources]
        if protocol == "openstl":
            places.append(self._published_path())
        return not any(places)

    def prepare(self) -> list[FileReport]:
        """Fetch what is missing if ``download`` is set, verify what is there, say what is what."""
        if self._words == ("embedded",):
            return []
        reports = [entry for source in self._pool_sources() for entry in self._prepare(source)]
        return reports + self._prepare_published()

    def split(self, name: str) -> SequenceDataset:
        """The split "train", "val" or "test"."""
        nearest("split", name, SPLITS)
        options = self.options
        why = ""
        if name == "test" and options.protocol == "openstl":
            path = self._published_path()
            if path is not None:
                return PublishedSequences(self.published, path, options)
            why = f", generated in place of {self.published.name}"
        pools = [
            source.pool(archive, options.protocol, name)
            for source, archive in zip(self._pool_sources(), self._archives, strict=True)
        ]
        source = " over ".join(pool.origin for pool in pools) + why
        length = getattr(options, f"{name}_sequences") or GENERATED_TEST
        return GeneratedSequences(options, name, length, *pools, source=source)

    @cached_property
    def _archives(self) -> list[ImageArchive]:
        options = self.options
        if self._words == ("embedded",):
            return [source.embedded() for source in self._pool_sources()]
        if options.download:
            for source in self._pool_sources():
                source.files.fetch(options.root, source.with_test(options.protocol))
        if str(options.root) != ROOT and not options.root.is_dir():
            raise FileNotFoundError(
                f"data.root={options.root} is no folder; give the one that holds the data files, "
                "or data.source=embedded"
            )
        command = f"python scripts/prepare_data.py data={self.name} data.download=true"
        arguments = (options.root, self._words, options.protocol, options.verify, command)
        return [source.open(*arguments) for source in self._pool_sources()]

    def _pool_sources(self) -> list[PoolSource]:
        return [self.sprites] if self.backgrounds is None else [self.sprites, self.backgrounds]

    def _source_words(self, given: str) -> tuple[str, ...]:
        sources = self._pool_sources()
        accepted = ["auto", *(source.files.name for source in sources)]
        if all(source.embedded is not None for source in sources):
            accepted.insert(1, "embedded")
        words = tuple(str(given).split("+"))
        for word in words:
            nearest(f"data.source of {self.name}", word, accepted)
        if len(words) > 1 and {"auto", "embedded"} & set(words):
            raise ValueError(f"data.source={given}: only names of sets can be joined by '+'")
        return words

    def _published_path(self) -> Path | None:
        options = self.options
        if not options.published_motion or self._words == ("embedded",):
            return None
        if options.download:
            self.published.fetch(options.root)
        return self.published.locate(options.root)

    def _prepare(self, source: PoolSource) -> list[FileReport]:
        options, files = self.options, source.files
        with_test = source.with_test(options.protocol)
        fetched = files.fetch(options.root, with_test) if options.download else set()
        place = files.locate(options.root, with_test)
        if place is None:
            return files.missing(options.root, with_test)
        files.load(place, with_test=with_test, verify=options.verify)
        reports = files.reports(place, with_test=with_test, verify=options.verify)
        return _with_origin(reports, fetched)

    def _prepare_published(self) -> list[FileReport]:
        options = self.options
        if options.protocol != "openstl" or not options.published_motion:
            return []
        fetched = self.published.fetch(options.root) if options.download else set()
        reports = self.published.reports(options.root, options.verify)
        return _with_origin(reports, fetched)


def _with_origin(reports: list[FileReport], fetched: set[Path]) -> list[FileReport]:
    return [replace(r, status="downloaded") if r.path in fetched else r for r in reports]


@SETS.register("mmnist_cifar")
class MMNISTCifar(MovingMNIST):
    """Digits as white cut-outs over a still CIFAR-10 image, frames (B, T, 3, H, W) uint8."""

    name = "mmnist_cifar"
    channels = 3
    backgrounds = PoolSource(CIFAR10, embedded_photographs, pools_test=True)
    published = PublishedTest(
        "mnist_cifar_test_seq.npy", ("moving_mnist", "mmnist_cifar", "."), (20, -1, 64, 64, 3)
    )


@SETS.register("moving_fmnist")
class MovingFMNIST(MovingMNIST):
    """Articles of clothing in grey that bounce over black, frames (B, T, 1, H, W) uint8."""

    name = "moving_fmnist"
    sprites = PoolSource(FASHION_MNIST, embedded=None)
    published = PublishedTest("fmnist_test_seq.npy", ("moving_fmnist", "."), (20, -1, 64, 64))
