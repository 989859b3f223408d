"""SparK compared with the authors' model on two tiny networks."""

import pytest
import torch
from torch import nn

from predcnn.pretraining.method import fill
from predcnn.pretraining.spark import SparK
from tests.pretraining.networks import BatchNormNet, tiny
from tests.pretraining.published import drawn_state, reference

CNN = "sparse_encoder.sp_cnn."


def load_published(model: SparK, shapes: dict[str, list[int]]) -> None:
    """Published weights under our names: the parts, in order, have the same parameters."""
    encoder = drawn_state(shapes, CNN)
    if "downsample_layers.0.0.weight" in encoder:
        from timm.models.convnext import checkpoint_filter_fn

        encoder = checkpoint_filter_fn({"model": encoder}, model.backbone)
    load(model.backbone, encoder)
    decoder = drawn_state(shapes, "dense_decoder.")
    renamed = {
        k.replace("dec.", "blocks.").replace("up_sample", "up"): v for k, v in decoder.items()
    }
    load(model.decoder, {k.replace("proj.", "readout."): v for k, v in renamed.items()})
    load(model.norms, drawn_state(shapes, "densify_norms."))
    for i, bridge in enumerate(model.bridges):
        load(bridge.project, drawn_state(shapes, f"densify_projs.{i}."))
        token = drawn_state(shapes, f"mask_tokens.{i}")[""]
        bridge.mask_token.load_state_dict({"token": token})


def load(module: nn.Module, state: dict[str, torch.Tensor]) -> None:
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing), missing


@pytest.mark.parametrize("name", ["spark_convnext", "spark_bnnet"])
def test_the_model_equals_reference_values(name):
    data, cfg = reference(name)
    backbone = tiny() if name == "spark_convnext" else BatchNormNet()
    model = SparK(backbone, cfg["input"], width=cfg["decoder_width"])
    load_published(model, dict(cfg["keys"]))
    model.eval()
    mask = ~data["active"][:, 0]
    with torch.no_grad():
        maps = model.sparse_maps(data["imgs"], mask)
        found = model(data["imgs"], mask)
    for i, one in enumerate(maps):
        torch.testing.assert_close(one, data[f"f{i}"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.loss, data["loss"], rtol=1e-5, atol=0)
    pixels = fill(data["imgs"], found.pixels, mask)
    torch.testing.assert_close(pixels, data["rec_or_inp"], rtol=1e-5, atol=1e-5)


def test_the_norm_follows_the_backbone():
    assert isinstance(SparK(BatchNormNet(), 64, width=64).norms[0], nn.BatchNorm2d)
    assert isinstance(SparK(tiny(), 64, width=64).norms[0], nn.LayerNorm)
    with pytest.raises(ValueError, match="bn, ln, not 'gn'"):
        SparK(tiny(), 64, width=64, norm="gn")


def test_a_width_that_cannot_be_halved_raises():
    with pytest.raises(ValueError, match="a multiple of 32, not 48"):
        SparK(tiny(), 64, width=48)


def test_strides_that_do_not_halve_raise():
    with pytest.raises(ValueError, match=r"halve from map to map, not \[24, 12, 6\]"):
        SparK(tiny(patch_size=3), 96, cell=24, width=64)  # strides 3, 6, 12, 24
