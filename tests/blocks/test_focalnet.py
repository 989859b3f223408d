"""FocalNet: the modulation against the reference code, the block against timm's."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from predcnn.blocks.focalnet import FocalModulation, FocalNetBlock
from tests.ops.reference import assert_near, loaded, reference


def test_modulation_matches_the_reference_code():
    values = reference("focal_modulation_0")
    module = loaded(FocalModulation(8, levels=2, window=3), "focal_modulation_0")
    assert_near(module(values["input"]), values["output"])


def test_levels_have_growing_kernels():
    module = FocalModulation(4, levels=3, window=3)
    x = torch.randn(2, 6, 5, 4)
    joint = module.f(x).permute(0, 3, 1, 2)
    query, context, gates = joint[:, :4], joint[:, 4:8], joint[:, 8:]
    total = torch.zeros_like(context)
    for level, kernel in enumerate((3, 5, 7)):
        conv = module.focal_layers[level][0]
        assert conv.kernel_size == (kernel, kernel)
        context = functional.gelu(conv(context))
        total += context * gates[:, level, None]
    total += functional.gelu(context.mean((2, 3), keepdim=True)) * gates[:, 3, None]
    y = (query * module.h(total)).permute(0, 2, 3, 1)
    assert_near(module(x), module.proj(y))


def test_even_kernels_raise():
    with pytest.raises(ValueError, match=r"odd sides, not \(4, 4\)"):
        FocalModulation(8, levels=2, window=4)


def their_key(key: str, post_norm: bool) -> str:
    for ours, theirs in (("scale1.", "ls1."), ("scale2.", "ls2.")):
        key = key.replace(ours, theirs)
    if post_norm and key.startswith("norm"):
        key = key.replace(".", "_post.")
    return key


@pytest.mark.parametrize("options", [{}, {"post_norm": True, "layer_scale": 0.5, "levels": 3}])
def test_block_matches_timm(options):
    pytest.importorskip("timm")
    from timm.models.focalnet import FocalNetBlock as Theirs

    ours = FocalNetBlock(16, **options).eval()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.2)
    theirs = Theirs(
        16,
        focal_level=options.get("levels", 2),
        focal_window=3,
        use_post_norm=options.get("post_norm", False),
        layerscale_value=options.get("layer_scale"),
    ).eval()
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    state = {their_key(k, ours.post_norm): v for k, v in ours.state_dict().items()}
    state = {key: value.view(shapes[key]) for key, value in state.items()}
    theirs.load_state_dict(state)
    x = torch.randn(2, 16, 7, 9)
    with torch.no_grad():
        assert_near(ours(x), theirs(x))
