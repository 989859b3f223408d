"""Global response normalisation against the published code and its definition."""

import pytest
import torch

from predcnn.ops.grn import GRN
from tests.ops.reference import assert_near, loaded, reference


@pytest.mark.parametrize("name", ["grn", "grn_unireplk"])
def test_published_values(name):
    values = reference(name)
    assert_near(loaded(GRN(12), name)(values["input"]), values["output"])


def test_is_the_identity_at_first():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(GRN(5)(x), x)


def test_half_precision_does_not_overflow():
    norm = GRN(4)
    torch.nn.init.ones_(norm.gamma)
    x = torch.full((1, 40, 40, 4), 3000.0, dtype=torch.float16)
    y = norm(x)  # every channel has the mean energy: gain 2
    assert y.dtype == torch.float16
    assert_near(y.float(), 2 * x.float())
