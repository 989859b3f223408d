"""Defects of the reference code: repaired by default, reproduced by compat="openstl"."""

import pytest
import torch
from torch import Tensor

import predcnn
from predcnn.predictors.dmvfn import DMVFN
from predcnn.registry import PREDICTORS
from tests.predictors.recurrent_cases import SIZE, clip, recurrent_names, tiny, truth_up_to


def pair(name: str, **options) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The repaired and the published form with equal weights."""
    published, repaired = tiny(name, compat="openstl", **options), tiny(name, **options)
    own = repaired.state_dict()
    weights = published.state_dict()
    repaired.load_state_dict({key: weights[key] for key in own})
    return repaired, published


@pytest.mark.parametrize("name", recurrent_names())
def test_unused_published_parameters_exist_only_with_compat(name: str) -> None:
    repaired, published = pair(name)
    extra = set(published.state_dict()) - set(repaired.state_dict())
    unused = sum(getattr(part, "unused_published_params", 0) for part in repaired.modules())
    assert sum(published.state_dict()[key].numel() for key in extra) == unused
    assert not any(getattr(part, "unused_published_params", 0) for part in published.modules())
    assert bool(extra) == (name in ("convlstm", "predrnnpp", "mim", "mau", "swinlstm", "vmrnn"))
    # neither form minds the weights of the other's checkpoint being there
    weights = predcnn.export_openstl_state_dict(published)
    predcnn.load_openstl_weights(repaired, weights)


@pytest.mark.parametrize("name", sorted(set(recurrent_names()) - {"e3dlstm", "prednet", "dmvfn"}))
@torch.no_grad()
def test_compat_changes_no_evaluation_of_the_others(name: str) -> None:
    repaired, published = pair(name)
    past = clip(2, 3)
    assert torch.equal(repaired(past), published(past))


@pytest.mark.parametrize("name", recurrent_names())
def test_other_values_of_compat_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="compat is None or 'openstl'"):
        PREDICTORS[name]((3, 1, *SIZE), compat="paper")


@torch.no_grad()
def test_mim_state_leaks_from_call_to_call() -> None:
    repaired, published = pair("mim")
    past = clip(2, 3)
    first = published(past)
    again = published(past)
    assert (again - first).abs().max() > 1e-4
    assert torch.equal(repaired(past), first)
    assert torch.equal(repaired(past), first)
    assert all(block.convlstm_c is None for block in repaired.stlstm_layer[1:])


def test_mim_gradient_passes_through_its_state() -> None:
    repaired, published = pair("mim")
    gradients = []
    for model in (repaired, published):
        model(clip_of_ramps()).square().mean().backward()
        gradients.append(model.stlstm_layer[1].conv_h_concat[0].weight.grad)
    assert (gradients[0] - gradients[1]).norm() > 0.01 * gradients[1].norm()


def clip_of_ramps() -> Tensor:
    return torch.linspace(0, 1, 3 * SIZE[0] * SIZE[1]).reshape(1, 3, 1, *SIZE)


def test_e3dlstm_never_updates_its_global_memory() -> None:
    repaired, published = pair("e3dlstm")
    for model, alive in ((repaired, True), (published, False)):
        model(clip(1, 3)).square().mean().backward()
        for cell in model.cell_list:
            assert bool(cell.conv_gm[0].conv3d.weight.grad.any()) is alive
        state = model.begin(model.enter(clip(1, 1))[0], collect=False)
        model.advance(model.enter(clip(1, 3)), state, last_only=True)
        assert bool(state.m.any()) is alive


def test_predrnnpp_highway_runs_with_layer_norm() -> None:
    model = tiny("predrnnpp", layer_norm=True)
    highway = model.gradient_highway
    assert highway.x_concat[1].normalized_shape == (16, SIZE[0] // 4, SIZE[1] // 4)
    assert torch.isfinite(model(clip(1, 3))).all()
    with pytest.raises(ValueError, match="cannot run with layer_norm=True"):
        tiny("predrnnpp", layer_norm=True, compat="openstl")


@torch.no_grad()
def test_prednet_feeds_back_one_frame_late() -> None:
    repaired, published = pair("prednet")
    past = clip(2, 3)
    ours, late = repaired(past), published(past)
    torch.testing.assert_close(late[:, 0], ours[:, 0])
    assert not torch.equal(late[:, 1], ours[:, 1])
    # what the published form was fed at step 3 is its prediction of frame 2
    one_step, _ = repaired.unroll(past, torch.ones(2, 2, dtype=torch.bool))
    fed = torch.cat([past, one_step[:, 1:], past[:, :1]], dim=1)
    forced, _ = repaired.unroll(fed, torch.ones(2, 4, dtype=torch.bool))
    torch.testing.assert_close(forced[:, 3], late[:, 1])


@torch.no_grad()
def test_prednet_trains_on_single_steps_only() -> None:
    repaired, published = pair("prednet")
    frames = clip(2, 6)
    rolled, forced = truth_up_to(3, 2, 5), truth_up_to(5, 2, 5)
    assert torch.equal(published.unroll(frames, rolled)[0], published.unroll(frames, forced)[0])
    assert torch.equal(published.unroll(frames, rolled)[0], repaired.unroll(frames, forced)[0])
    assert not torch.equal(repaired.unroll(frames, rolled)[0], repaired.unroll(frames, forced)[0])
    ours, theirs = (net.unroll(frames, rolled)[1]["layer_errors"] for net in (repaired, published))
    assert ours[..., 0].mean() != theirs[..., 0].mean()  # L_0, the loss


class FixedRoutes(DMVFN):
    """A DMVFN whose routing is written down."""

    chance: Tensor

    def routes(self, first: Tensor, second: Tensor) -> Tensor:
        return self.chance[: len(first)]


def routed(chance: list[list[int]], compat: str | None) -> DMVFN:
    torch.manual_seed(1)
    model = FixedRoutes((2, 1, *SIZE), 1, compat=compat, num_features=(8, 8), scale=(2, 1))
    model.chance = torch.tensor(chance, dtype=torch.float)
    return model.eval()


@torch.no_grad()
def test_dmvfn_routes_by_the_first_sample() -> None:
    past = clip(2, 2)
    chance = [[1, 0], [0, 1]]
    ours, published = routed(chance, None)(past), routed(chance, "openstl")(past)
    alone = routed(chance[1:], None)(past[1:])
    torch.testing.assert_close(ours[1:], alone)
    torch.testing.assert_close(published[:1], ours[:1])
    torch.testing.assert_close(published[1:], routed(chance[:1], None)(past[1:]))
    assert not torch.equal(published[1], ours[1])


@torch.no_grad()
def test_dmvfn_without_any_block() -> None:
    past = clip(1, 2)
    ours, published = routed([[0, 0]], None)(past), routed([[0, 0]], "openstl")(past)
    assert torch.equal(published, past[:, :1])
    torch.testing.assert_close(ours, past.mean(dim=1, keepdim=True))


@torch.no_grad()
def test_dmvfn_draws_in_eval_mode_only_with_compat() -> None:
    repaired, published = pair("dmvfn")
    first, second = torch.rand(200, 1, *SIZE), torch.rand(200, 1, *SIZE)
    assert torch.equal(repaired.routes(first, second), repaired.routes(first, second))
    drawn = [published.routes(first, second) for _ in range(2)]
    assert not torch.equal(*drawn)
    assert 0.3 < torch.stack(drawn).mean() < 0.7  # beta = 0.5 of the blocks
    assert set(drawn[0].unique().tolist()) == {0.0, 1.0}
