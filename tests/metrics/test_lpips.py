"""LPIPS with the real AlexNet gives the authors' numbers; without weights it is an error."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from predcnn.metrics import LPIPS, video_metrics
from predcnn.metrics.lpips import CACHED_NAME

WEIGHTS = "data/lpips/alexnet_features.safetensors"


@pytest.fixture(scope="module")
def weights(shared):
    return shared(WEIGHTS)


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """AlexNet's shapes with random values: enough for everything but the published numbers."""
    shapes = {
        0: (64, 3, 11),
        3: (192, 64, 5),
        6: (384, 192, 3),
        8: (256, 384, 3),
        10: (256, 256, 3),
    }
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for n, (out, into, k) in shapes.items():
        weight = torch.randn(out, into, k, k, generator=generator) / (into * k * k) ** 0.5
        tensors[f"features.{n}.weight"] = weight
        tensors[f"features.{n}.bias"] = torch.zeros(out)
    path = tmp_path_factory.mktemp("alexnet") / "features.safetensors"
    save_file(tensors, path)
    return path


def image(path):
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1) / 255


def test_published_example(shared, weights):
    names = ("ex_ref", "ex_p0", "ex_p1")
    reference, *distorted = (image(shared(f"data/lpips/{name}.png")) for name in names)
    pred = torch.stack(distorted)[None]  # (1, 2, 3, 64, 64): the two as two lead times
    metrics = video_metrics(
        ["lpips", "lpips_per_frame"], options={"lpips": {"backbone_weights": weights}}
    )
    metrics.update(pred, reference.expand_as(pred))
    values = metrics.compute()
    assert values["lpips_per_frame"].tolist() == pytest.approx([0.721881, 0.137566], abs=2e-6)
    assert float(values["lpips"]) == pytest.approx((0.721881 + 0.137566) / 2, abs=2e-6)


def test_pth_and_safetensors_agree(weights, tmp_path):
    tensors = load_file(weights)
    tensors["classifier.6.bias"] = torch.zeros(1000)  # what torchvision's own file has besides
    torch.save(tensors, tmp_path / "alexnet.pth")
    pred, target = torch.rand(1, 2, 3, 64, 64), torch.rand(1, 2, 3, 64, 64)
    values = []
    for path in (weights, tmp_path / "alexnet.pth"):
        metric = LPIPS(backbone_weights=path)
        metric.update(pred, target)
        values.append(metric.compute())
    assert values[0] == values[1]


def test_frames_are_scored_one_by_one(random_weights):
    pred, target = torch.rand(3, 2, 1, 40, 33) * 1.4 - 0.2, torch.rand(3, 2, 1, 40, 33)
    metric = LPIPS(per_frame=True, backbone_weights=random_weights)
    metric.update(pred, target)
    single = []
    for t in range(2):
        one = LPIPS(backbone_weights=str(random_weights))
        for b in range(3):
            rgb = (v[b : b + 1, t : t + 1].expand(-1, -1, 3, -1, -1) for v in (pred, target))
            one.update(*(v.clamp(0, 1) for v in rgb))
        single.append(one.compute())
    torch.testing.assert_close(metric.compute(), torch.stack(single), rtol=1e-5, atol=0)


def test_identical_frames_have_distance_zero(random_weights):
    frames = torch.rand(2, 2, 3, 32, 32)
    metric = LPIPS(backbone_weights=random_weights)
    metric.update(frames, frames)
    assert float(metric.compute()) == 0


def test_smallest_frames(random_weights):
    LPIPS(backbone_weights=random_weights).update(*torch.rand(2, 1, 1, 1, 31, 31))
    with pytest.raises(ValueError, match="at least 31x31 pixels, not 30x31"):
        LPIPS(backbone_weights=random_weights).update(*torch.rand(2, 1, 1, 1, 30, 31))
    with pytest.raises(ValueError, match="C = 1 or 3, not 2"):
        LPIPS(backbone_weights=random_weights).update(*torch.rand(2, 1, 1, 2, 32, 32))


def test_network_stays_out_of_state_dicts(random_weights):
    metric = LPIPS(backbone_weights=random_weights)
    metric.update(*torch.rand(2, 1, 1, 1, 32, 32))
    assert metric.state_dict() == {}
    assert list(metric.parameters()) == []


def test_offline_the_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        video_metrics(["lpips"])
    message = str(error.value)
    for part in ("no backbone_weights were given", "nothing is downloaded", str(tmp_path)):
        assert part in message
    assert f"https://download.pytorch.org/models/{CACHED_NAME}" in message
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.pth"):
        LPIPS(backbone_weights=tmp_path / "nowhere.pth")


def test_takes_torchvisions_cached_file(monkeypatch, tmp_path, random_weights):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save(load_file(random_weights), tmp_path / "checkpoints" / CACHED_NAME)
    batch = torch.rand(2, 1, 1, 3, 32, 32)
    cached, named = LPIPS(), LPIPS(backbone_weights=random_weights)
    cached.update(*batch)
    named.update(*batch)
    assert cached.compute() == named.compute() > 0


def test_wrong_files_are_named(tmp_path, random_weights):
    batch = torch.rand(2, 1, 1, 3, 32, 32)
    (tmp_path / "broken.pth").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"broken\.pth cannot be read"):
        LPIPS(backbone_weights=tmp_path / "broken.pth").update(*batch)
    tensors = load_file(random_weights)
    save_file({**tensors, "features.3.bias": torch.zeros(3)}, tmp_path / "shape.safetensors")
    with pytest.raises(ValueError, match="not torchvision's AlexNet"):
        LPIPS(backbone_weights=tmp_path / "shape.safetensors").update(*batch)
    del tensors["features.8.weight"]
    save_file(tensors, tmp_path / "partial.safetensors")
    with pytest.raises(ValueError, match=r"missing:\n  features\.8\.weight"):
        LPIPS(backbone_weights=tmp_path / "partial.safetensors").update(*batch)
