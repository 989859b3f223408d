"""The FocalNet block against timm's, which equals the published one."""

import pytest
import torch
from torch import nn

from predcnn.blocks.focalnet import FocalNetBlock
from tests.ops.reference import assert_near


def their_key(key: str, post_norm: bool) -> str:
    for ours, theirs in (("scale1.", "ls1."), ("scale2.", "ls2.")):
        key = key.replace(ours, theirs)
    if post_norm and key.startswith("norm"):
        key = key.replace(".", "_post.")
    return key


@pytest.mark.parametrize("options", [{}, {"post_norm": True, "layer_scale": 0.5, "levels": 3}])
def test_block_is_that_of_timm(options):
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
