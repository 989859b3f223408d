"""SimVP v1's translator."""

import torch

from predcnn.translators.inception import GroupConv, InceptionTranslator


def test_group_fallback_and_sum_of_branches():
    assert GroupConv(16, 24, 3, groups=8).conv.groups == 8
    fallen = GroupConv(12, 24, 3, groups=8)
    assert fallen.conv.groups == fallen.norm.num_groups == 1
    translator = InceptionTranslator(16, 32, 3, options={"kernels": (1, 3), "groups": 4})
    unit, x = translator.down[0], torch.randn(1, 16, 5, 5)
    squeezed = unit.squeeze(x)
    assert squeezed.shape[1] == 16
    torch.testing.assert_close(unit(x), unit.branches[0](squeezed) + unit.branches[1](squeezed))


def test_units_get_the_shortcut_of_their_depth():
    translator, x = InceptionTranslator(16, 32, 3), torch.randn(1, 16, 6, 7)
    fed = {}
    for i, unit in enumerate(translator.up):
        unit.register_forward_pre_hook(lambda m, args, i=i: fed.update({i: args[0]}))
    down = []
    for unit in translator.down:
        unit.register_forward_hook(lambda m, args, y: down.append(y))
    assert translator(x).shape == x.shape
    assert torch.equal(fed[0], down[2])
    assert torch.equal(fed[1][:, 32:], down[1])
    assert torch.equal(fed[2][:, 32:], down[0])
