"""Initial weights of a translator from the blocks of a backbone."""

import pytest
import timm
import torch

import predcnn
from predcnn.weights.published import export_openstl_state_dict
from tests.backbones.test_create import small


def simvp(translator, weights, **options):
    sizes = {"in_shape": (2, 1, 16, 16), "hid_S": 8, "hid_T": 24, "N_S": 2, "N_T": 4}
    return predcnn.create_predictor(
        "simvp", translator=translator, translator_weights=weights, **(sizes | options)
    )


@pytest.fixture
def moganet():
    """Widths 8, 16, 24, 32; depths 1, 1, 2, 1."""
    net = small("moganet_xtiny")
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return net


def test_weights_of_the_authors_file_are_loaded(moganet, tmp_path):
    torch.save({"state_dict": export_openstl_state_dict(moganet)}, tmp_path / "moga.pth.tar")
    predictor = simvp("moganet", tmp_path / "moga.pth.tar", mlp_ratio=4.0)
    taken = predictor.taken_weights
    assert [b.source for b in taken.blocks] == ["blocks2.0", "blocks3.0", "blocks3.1", None]
    assert [b.width for b in taken.blocks] == [16, 24, 24, 24]
    for block, stage, index in [(1, 2, 0), (2, 2, 1)]:
        ours = predictor.translator.stages[block].block.state_dict()
        theirs = moganet.stages[stage].blocks[index].state_dict()
        assert taken.blocks[block].left == ()
        assert set(taken.blocks[block].taken) == {k for k in ours if "num_batches" not in k}
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert "3 of 4 translator blocks" in str(taken)
    assert "block 3 (MogaBlock, width 24): as initialised" in str(taken)
    assert "translator_weights" not in predictor.config
    assert predcnn.create_predictor(**predictor.config).taken_weights is None


def test_tensors_of_another_shape_are_left(moganet):
    predictor = simvp("moganet", moganet.state_dict(), mlp_ratio=2.0)
    _, second, *_ = predictor.taken_weights.blocks
    assert second.source == "stages.2.blocks.0"
    assert "mlp.fc1.weight" in second.left
    ours = predictor.translator.stages[1].block
    theirs = moganet.stages[2].blocks[0]
    assert torch.equal(ours.attn.gate.weight, theirs.attn.gate.weight)
    assert ours.scale2.gamma.allclose(theirs.scale2.gamma)
    assert not ours.mlp.fc1.weight.gt(0.4).all()


def test_a_mixed_stack_loads_blocks_of_the_same_kind(moganet):
    predictor = simvp(["van", "moganet"], moganet.state_dict())
    sources = [block.source for block in predictor.taken_weights.blocks]
    assert sources == [None, "stages.2.blocks.0", None, "stages.2.blocks.1"]


@pytest.mark.parametrize(
    ("name", "translator", "published"),
    [
        ("van_b0", "van", True),
        ("unireplknet_t", "unireplknet", True),
        ("slak_tiny", "slak", True),
        ("vmamba_tiny", "vmamba", True),
        ("replknet_31b", "replknet", False),
    ],
)
def test_other_families(name, translator, published):
    net = small(name, **({"width_factor": 1.0} if name == "slak_tiny" else {}))
    state = export_openstl_state_dict(net) if published else net.state_dict()
    report = simvp(translator, state).taken_weights
    assert any(block.source for block in report.blocks if block.width == 24)


def test_timm_supplies_blocks_too():
    net = timm.create_model("vit_tiny_patch16_224", depth=3, embed_dim=24, num_heads=2)
    report = simvp("vit", net.state_dict(), mlp_ratio=4.0).taken_weights
    assert [block.source for block in report.blocks][1:] == ["blocks.0", "blocks.1", "blocks.2"]


def test_weights_that_do_not_fit_are_an_error(moganet, tmp_path):
    state = moganet.state_dict()
    with pytest.raises(ValueError, match="widths 8, 16, 24, 32, the translator of widths 40, 80"):
        simvp("moganet", state, hid_S=40, hid_T=40)
    with pytest.raises(ValueError, match="no complete VANBlock"):
        simvp("van", state)
    with pytest.raises(TypeError, match="not a stack of blocks"):
        simvp("incepu", state)
    with pytest.raises(FileNotFoundError, match="no file"):
        simvp("moganet", tmp_path / "gone.pth")
    with pytest.raises(TypeError, match="copy_last has no translator"):
        predcnn.create_predictor("copy_last", in_shape=(2, 1, 8, 8), translator_weights=state)
