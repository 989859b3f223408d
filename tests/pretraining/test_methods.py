"""All methods: gradients, masks, tokens, errors; A2MIM's loss compared with its authors'."""

import pytest
import timm
import torch
from torch import nn

import predcnn
from predcnn.pretraining import create_method
from predcnn.pretraining.a2mim import A2MIM
from predcnn.registry import PRETRAINING
from tests.pretraining.networks import tiny
from tests.pretraining.published import reference

METHODS = PRETRAINING.names()
SMALL = {"spark": {"width": 64}, "fcmae": {"width": 16}}


def moganet() -> nn.Module:
    return predcnn.create_backbone("moganet_xtiny", dims=(8, 16, 24, 32), depths=(1, 1, 1, 1))


def van() -> nn.Module:
    return predcnn.create_backbone("van_b0", dims=(8, 16, 24, 32), depths=(1, 1, 1, 1))


def resnet() -> nn.Module:
    return timm.create_model("resnet10t", channels=(8, 8, 16, 16))


def swin() -> nn.Module:
    options = {"img_size": 64, "window_size": 2, "embed_dim": 8, "depths": (1, 1, 1, 1)}
    return timm.create_model("swin_tiny_patch4_window7_224", num_heads=(1, 1, 1, 1), **options)


def vit() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", img_size=64, embed_dim=24, depth=2)


def make(method: str, backbone: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return create_method(method, backbone, 64, **SMALL.get(method, {}))


@pytest.mark.parametrize("backbone", [moganet, van, resnet, tiny], ids=lambda f: f.__name__)
@pytest.mark.parametrize("method", METHODS)
def test_all_parameters_get_a_gradient(method, backbone):
    model = make(method, backbone())
    images = torch.randn(2, 3, 64, 64)
    found = model(images, model.masks(2))
    assert found.pixels.shape == images.shape
    found.loss.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert not without
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("backbone", [swin, vit], ids=lambda f: f.__name__)
@pytest.mark.parametrize("method", ["simmim", "a2mim"])
def test_transformers_learn_with_tokens(method, backbone):
    model = make(method, backbone())
    found = model(torch.randn(2, 3, 64, 64), model.masks(2))
    found.loss.backward()
    assert all(parameter.grad.any() for parameter in model.tokens())


@pytest.mark.parametrize("backbone", [swin, vit], ids=lambda f: f.__name__)
@pytest.mark.parametrize("method", ["fcmae", "spark"])
def test_transformers_have_no_sparse_pass(method, backbone):
    with pytest.raises(
        ValueError, match=r"cannot hide pixels from .*method=a2mim and method=simmim"
    ):
        make(method, backbone())


@pytest.mark.parametrize("method", ["fcmae", "spark", "simmim"])
def test_hidden_pixels_are_not_read(method):
    model = make(method, tiny()).eval()
    images, mask = torch.randn(2, 3, 64, 64), model.masks(2)
    cells = mask[:, None].repeat_interleave(32, 2).repeat_interleave(32, 3)
    seen = []
    model.encoder.register_forward_hook(lambda module, inputs, maps: seen.append(maps[-1]))
    with torch.no_grad():
        model(images, mask)
        model(torch.where(cells, torch.randn_like(images), images), mask)
    hidden = mask[:, None] & (method != "simmim")  # SimMIM's map is dense: all of it must agree
    assert torch.equal(*(x.masked_fill(hidden, 0) for x in seen))


def test_masking_leaves_the_backbone_unchanged():
    model = make("a2mim", tiny()).eval()
    images = torch.randn(1, 3, 64, 64)
    before = model.encoder(images)[-1]
    model(images, model.masks(1))
    assert torch.equal(model.encoder(images)[-1], before)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_a2mim_loss_and_gradient_equal_reference_values(number):
    data, cfg = reference(f"a2mim_head_{number}")
    model = A2MIM(
        tiny(),
        64,
        focal=cfg["mode"] == "focal_l1_loss",
        frequency_weight=cfg["fft_weight"],
        visible_weight=cfg.get("fft_unmask_weight", 0.0),
    )
    pixels = data["x_rec"].requires_grad_()
    loss, _ = model.losses(pixels, data["x"], data["mask"].bool())
    loss.backward()
    torch.testing.assert_close(loss, data["loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(pixels.grad, data["grad_x_rec"], rtol=1e-5, atol=1e-8)


def test_the_token_enters_at_the_given_layer():
    early, late = (A2MIM(tiny(), 64, layer=layer) for layer in (1, None))
    assert early.token.token.shape[1] == 12
    assert late.token.token.shape[1] == 24


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("simim", {}, KeyError, "did you mean simmim"),
        ("simmim", {"layer": 1}, TypeError, "no option 'layer'"),
        ("a2mim", {"layer": 7}, ValueError, "a stage, 0 to 3, not 7"),
        ("a2mim", {"cell": 16}, ValueError, r"method.cell a multiple of 32"),
        ("spark", {"cell": 16}, ValueError, r"method.cell a multiple of 32"),
        ("fcmae", {"ratio": 0}, ValueError, "between 0 and 1"),
    ],
)
def test_wrong_input_raises(name, options, kind, message):
    with pytest.raises(kind, match=message):
        create_method(name, tiny(), 64, **options)


def test_an_image_that_the_strides_do_not_divide_raises():
    with pytest.raises(ValueError, match="choose a size that the strides"):
        create_method("simmim", predcnn.create_backbone("van_b0", depths=(1, 1, 1, 1)), 80, cell=16)
