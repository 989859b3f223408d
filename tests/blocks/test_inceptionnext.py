"""InceptionNeXt's token mixer against the reference code."""

import pytest
import torch

from predcnn.blocks.inceptionnext import InceptionNeXtBlock
from tests.ops.reference import assert_near, loaded, reference


def test_values_match_the_reference_code():
    values = reference("inception_dwconv")
    mixer = loaded(InceptionNeXtBlock(16).token_mixer, "inception_dwconv")
    assert_near(mixer(values["input"]), values["output"])


def test_most_channels_pass_unchanged():
    x = torch.randn(1, 32, 6, 6)
    y = InceptionNeXtBlock(32).token_mixer(x)
    assert torch.equal(y[:, :20], x[:, :20])
    assert not torch.isclose(y[:, 20:], x[:, 20:]).all(dim=(0, 2, 3)).any()


def test_branches_must_fit():
    with pytest.raises(ValueError, match="three branches of 1 channels do not fit into 2"):
        InceptionNeXtBlock(2)


def test_block_matches_timm():
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("inception_next_atto").stages[0].blocks[0].eval()
    mixer = theirs.token_mixer
    dim = theirs.norm.num_features
    ours = InceptionNeXtBlock(
        dim,
        band=mixer.dwconv_w.kernel_size[1],
        branch_ratio=mixer.dwconv_w.in_channels / dim,
    ).eval()
    torch.nn.init.normal_(theirs.norm.running_mean)
    torch.nn.init.uniform_(theirs.norm.running_var, 0.5, 1.5)
    torch.nn.init.normal_(theirs.gamma)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, dim, 12, 10)
    with torch.no_grad():
        assert_near(ours(x), theirs(x))
