"""What several test folders share: the large reference files, small configs, the seed."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from predcnn import native

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """``shared("parity/rule.py")``: a large reference file, or a skip that says what is missing."""
    root = Path(os.environ.get("PREDCNN_SHARED", REPOSITORY.parent / "shared"))

    def find(path: str) -> Path:
        found = root / path
        if not found.exists():
            pytest.skip(f"reference data {path} is not in {root} (set PREDCNN_SHARED)")
        return found

    return find


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A headless Chromium driven by selenium, or a skip that says what is missing."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no browser: the Debian packages chromium and chromium-driver are missing")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the test extra")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync"
    flags += " disable-background-networking disable-component-update window-size=1300,1500"
    flags += f" user-data-dir={tmp_path_factory.mktemp('profile')}"
    for flag in flags.split():
        options.add_argument(f"--{flag}")
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors gain nothing from threads, and threads that wait for each other lose a lot."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def kernels() -> None:
    """For tests of the compiled kernels: skipped where they cannot be built."""
    if isinstance(native.build.load(), str):
        pytest.skip(f"no compiled kernels: {native.describe()}")


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a compiler."""
    monkeypatch.setattr(native.choice, "load", lambda: "none in this test")


@pytest.fixture(params=["kernels", "no_kernels"])
def either_kernels(request: pytest.FixtureRequest) -> None:
    """Twice: with the compiled kernels, and as on a machine without a compiler."""
    request.getfixturevalue(request.param)


@pytest.fixture
def tiny_cfg(tmp_path: Path) -> Callable[..., DictConfig]:
    """``tiny_cfg("translator=vit", …)``: the real train.yaml, cut to one step of two sequences."""
    from hydra import compose, initialize_config_module

    small = [
        "data.source=embedded",
        "data.height=32",
        "data.train_sequences=4",
        "data.val_sequences=2",
        "data.test_sequences=2",
        "data.batch_size=2",
        "data.num_workers=0",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "trainer.devices=1",
        "trainer.enable_progress_bar=false",
        "trainer.log_every_n_steps=1",
        "callbacks.drawing=null",
        "keep_memory=false",
    ]

    def make(*overrides: str, run_dir: Path = tmp_path / "run") -> DictConfig:
        with initialize_config_module("predcnn.configs", version_base="1.3"):
            return compose("train", overrides=[*small, f"run_dir={run_dir}", *overrides])

    return make
