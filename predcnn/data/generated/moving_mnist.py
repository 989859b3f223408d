"""Moving MNIST, MMNIST-CIFAR and Moving Fashion-MNIST: three splits, each with its own images.

Srivastava, Mansimov, Salakhutdinov, ICML 2015 (Moving MNIST); Tan et al., "OpenSTL", NeurIPS 2023
(MMNIST-CIFAR: digits as white cut-outs over a still CIFAR-10 image; Moving Fashion-MNIST).
"""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from predcnn.checks import one_of
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.generated.pools import PoolSource, embedded_digits, embedded_photographs
from predcnn.data.generated.sequences import GeneratedSequences
from predcnn.data.options import ROOT
from predcnn.data.sequences import SETS, SequenceDataset
from predcnn.data.sources.cifar import CIFAR10
from predcnn.data.sources.idx import FASHION_MNIST, MNIST
from predcnn.data.sources.known_files import FileReport, ImageArchive
from predcnn.data.sources.published_test import PublishedSequences, PublishedTest
from predcnn.data.splits import SequenceFamily

GENERATED_TEST = 1_000  # default test sequences: drawn in seconds on two CPU cores


@SETS.register("moving_mnist")
class MovingMNIST(SequenceFamily):
    """Grey digits that bounce on black, frames (B, T, 1, H, W) uint8."""

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
        self.download = options.download
        self.facts = {"noise": options.noise or "none"}
        self._pools = [pool for pool in (self.sprites, self.backgrounds) if pool is not None]
        self._sources = self._checked_sources(options.source)

    @property
    def embedded(self) -> bool:
        if self._sources != ("auto",):
            return self._sources == ("embedded",)
        root, protocol = self.options.root, self.options.protocol
        places = [pool.files.locate(root, pool.with_test(protocol)) for pool in self._pools]
        return not any(places) and (protocol != "openstl" or not self._published_path())

    def prepare(self) -> list[FileReport]:
        options = self.options
        if self._sources == ("embedded",):
            return []
        how = {"download": options.download, "verify": options.verify}
        reports = []
        for pool in self._pools:
            with_test = pool.with_test(options.protocol)
            reports += pool.files.prepare(options.root, with_test=with_test, **how)
        if options.protocol == "openstl" and options.published_motion:
            reports += self.published.prepare(options.root, **how)
        return reports

    def split(self, name: str) -> SequenceDataset:
        options, note = self.options, ""
        if name == "test" and options.protocol == "openstl":
            path = self._published_path()
            if path is not None:
                return PublishedSequences(self.published, path, options)
            note = f", generated in place of {self.published.name}"
        pools = [
            pool.pool(archive, options.protocol, name)
            for pool, archive in zip(self._pools, self._archives, strict=True)
        ]
        source = " over ".join(pool.origin for pool in pools) + note
        length = getattr(options, f"{name}_sequences") or GENERATED_TEST
        return GeneratedSequences(options, name, length, *pools, source=source)

    @cached_property
    def _archives(self) -> list[ImageArchive]:
        options = self.options
        if self._sources == ("embedded",):
            return [pool.embedded() for pool in self._pools]
        if options.download:
            for pool in self._pools:
                pool.files.fetch(options.root, pool.with_test(options.protocol))
        if str(options.root) != ROOT and not options.root.is_dir():
            raise FileNotFoundError(
                f"data.root={options.root} is not a folder; give the one that holds the data "
                "files, or data.source=embedded"
            )
        return [pool.open(self.name, options, self._sources) for pool in self._pools]

    def _checked_sources(self, given: str) -> tuple[str, ...]:
        accepted = ["auto", *(pool.files.name for pool in self._pools)]
        if all(pool.embedded is not None for pool in self._pools):
            accepted.insert(1, "embedded")
        sources = tuple(str(given).split("+"))
        for source in sources:
            one_of(f"data.source of {self.name}", source, accepted)
        if len(sources) > 1 and {"auto", "embedded"} & set(sources):
            raise ValueError(f"data.source={given}: only names of sets can be joined by '+'")
        return sources

    def _published_path(self) -> Path | None:
        options = self.options
        if not options.published_motion or self._sources == ("embedded",):
            return None
        if options.download:
            self.published.fetch(options.root)
        return self.published.locate(options.root)


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
    """Grey articles of clothing that bounce on black, frames (B, T, 1, H, W) uint8."""

    name = "moving_fmnist"
    sprites = PoolSource(FASHION_MNIST, embedded=None)
    published = PublishedTest("fmnist_test_seq.npy", ("moving_fmnist", "."), (20, -1, 64, 64))
