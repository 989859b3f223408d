"""SimVP: sizes, horizons, shared weights, and errors."""

import pytest
import torch

import predcnn

SMALL = {"hid_S": 8, "hid_T": 16, "N_S": 2, "N_T": 2, "mlp_ratio": 2.0}


def make(in_shape=(4, 1, 16, 16), frames_out=None, **options):
    torch.manual_seed(0)
    options = SMALL | options
    return predcnn.create_predictor(
        "simvp", in_shape=in_shape, frames_out=frames_out, **options
    ).eval()


def frames(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_defaults_are_the_published_ones():
    with torch.device("meta"):
        predictor = predcnn.create_predictor("simvp", in_shape=(10, 1, 64, 64))
    assert predictor.config == {
        "name": "simvp",
        "in_shape": (10, 1, 64, 64),
        "frames_out": 10,
        "compat": None,
        "translator": "gsta",
        "hid_S": 64,
        "hid_T": 512,
        "N_S": 4,
        "N_T": 8,
        "mlp_ratio": 8.0,
        "drop_path": 0.0,
        "translator_options": None,
        "spatio_kernel_enc": 3,
        "spatio_kernel_dec": 3,
        "horizon_head": "rollout",
        "residual": False,
    }


@pytest.mark.parametrize("size", [(16, 16), (59, 59), (17, 30), (3, 1), (64, 20)])
@pytest.mark.parametrize("translator", ["convnext", "swin", "vit"])
@torch.no_grad()
def test_any_size(size, translator):
    predictor = make((2, 3, *size), N_S=4, translator=translator)
    past = frames(2, 2, 3, *size)
    assert predictor(past).shape == past.shape
    assert predictor(frames(1, 2, 3, 24, 40)).shape == (1, 2, 3, 24, 40)


@torch.no_grad()
def test_padding_repeats_the_border():
    predictor = make((4, 1, 15, 13), N_S=4)
    past = frames(1, 4, 1, 15, 13)
    wide = torch.cat([past, past[..., -1:].expand(-1, -1, -1, -1, 3)], -1)
    wide = torch.cat([wide, wide[..., -1:, :]], -2)
    assert wide.shape[-2:] == (16, 16)
    torch.testing.assert_close(predictor(past), predictor(wide)[..., :15, :13])


@torch.no_grad()
def test_horizons():
    past = frames(2, 4, 1, 16, 16)
    first = make()(past)
    assert torch.equal(make(frames_out=3)(past), first[:, :3])
    second = make()(first)
    longer = make(frames_out=10)(past)
    torch.testing.assert_close(longer[:, :8], torch.cat([first, second], 1))
    torch.testing.assert_close(longer[:, 8:], make()(second)[:, :2])
    # with fewer frames out than in, the context slides and keeps true frames
    short = make(frames_out=3)
    slid = torch.cat([past[:, 3:], first[:, :3]], 1)
    expected = torch.cat([first[:, :3], short(slid)], 1)
    torch.testing.assert_close(short.predict(past, horizon=5), expected[:, :5])


@torch.no_grad()
@pytest.mark.parametrize("translator", ["gsta", "incepu"])
def test_a_direct_head_predicts_all_frames_in_one_pass(translator, monkeypatch):
    predictor = make(frames_out=11, horizon_head="direct", translator=translator)
    passes = []
    one_pass = predictor._one_pass
    monkeypatch.setattr(predictor, "_one_pass", lambda x: passes.append(x) or one_pass(x))
    past = frames(2, 4, 1, 15, 18)
    first = predictor(past)
    assert (first.shape, len(passes)) == ((2, 11, 1, 15, 18), 1)
    assert not torch.allclose(first[:, 0], first[:, 10])
    longer = predictor.predict(past, horizon=15)
    torch.testing.assert_close(longer[:, :11], first)
    torch.testing.assert_close(longer[:, 11:], predictor(first[:, -4:])[:, :4])
    assert predcnn.create_predictor(**predictor.config).state_dict().keys() == (
        predictor.state_dict().keys()
    )


def test_the_published_net_has_the_published_keys_only():
    assert not any(key.startswith("horizon") for key in make(frames_out=11).state_dict())
    with pytest.raises(ValueError, match="horizon_head is 'rollout' or 'direct', not 'head'"):
        make(horizon_head="head")


@pytest.mark.parametrize("head", ["rollout", "direct"])
def test_an_untrained_residual_net_repeats_the_last_frame_and_learns(head):
    predictor = make(frames_out=7, residual=True, horizon_head=head)
    past = frames(1, 4, 1, 16, 16)
    assert torch.equal(predictor(past), past[:, -1:].expand(-1, 7, -1, -1, -1))
    assert make().state_dict().keys() <= predictor.state_dict().keys()
    optimizer = torch.optim.Adam(predictor.parameters(), 1e-2)
    target = frames(1, 7, 1, 16, 16)
    losses = []
    for _ in range(12):
        loss = (predictor(past) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_gradient_flows_through_the_rollout():
    predictor = make(frames_out=9)
    past = frames(1, 4, 1, 16, 16).requires_grad_()
    predictor(past)[:, 8].sum().backward()
    assert past.grad.abs().sum() > 0


@torch.no_grad()
def test_frames_share_the_encoder_and_meet_in_the_translator():
    predictor, past = make(), frames(1, 4, 1, 16, 16)
    changed = past.clone()
    changed[:, 1] += 0.1
    latent = [predictor.encoder(x.flatten(0, 1))[0] for x in (past, changed)]
    differs = (latent[0] != latent[1]).flatten(1).any(1)
    assert differs.tolist() == [False, True, False, False]
    assert (predictor(past) != predictor(changed)).flatten(2).any(2).all()


def test_kernel_sizes():
    predictor = make(spatio_kernel_enc=5, spatio_kernel_dec=7)
    assert predictor.encoder.layers[1].conv.kernel_size == (5, 5)
    assert predictor.decoder.layers[0].conv.kernel_size == (7, 7)
    assert predictor(frames(1, 4, 1, 16, 16)).shape == (1, 4, 1, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"N_S": 3}, "N_S is the number of encoder layers, even and at least 2, not 3"),
        ({"N_S": 0}, "N_S"),
        ({"hid_S": 7}, "hid_S is even"),
        ({"N_T": 1}, "N_T"),
        ({"in_shape": (4, 1, 16)}, r"\(T, C, H, W\)"),
        ({"in_shape": (4, 0, 16, 16)}, "positive"),
        ({"frames_out": 0}, "positive"),
        ({"translator": "vit", "hid_T": 20}, "divisible by 8, given 20; nearest: 16 or 24"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_wrong_names():
    with pytest.raises(TypeError, match="did you mean hid_S"):
        make(hid_s=8)
    with pytest.raises(KeyError, match="did you mean simvp"):
        predcnn.create_predictor("simpv", in_shape=(4, 1, 16, 16))
    with pytest.raises(TypeError, match="does not derive from Predictor"):
        predcnn.create_predictor("collections.Counter", in_shape=(4, 1, 16, 16))
    with pytest.raises(ValueError, match="compat is None or 'openstl'"):
        make(compat="mmcv")


@pytest.mark.parametrize("translator", predcnn.list_translators())
@torch.no_grad()
def test_merging_keeps_the_prediction(translator):
    predictor = make(translator=translator, hid_T=32)
    past = frames(2, 4, 1, 16, 16)
    predictor.train()(past)
    before = predictor.eval()(past)
    assert predictor.merge() is predictor
    assert (predictor(past) - before).abs().max() <= 1e-4 * before.abs().max()


def test_merging_folds_norms():
    predictor = make(translator="gsta")
    norms = sum(isinstance(m, torch.nn.BatchNorm2d) for m in predictor.modules())
    predictor.merge()
    left = sum(isinstance(m, torch.nn.BatchNorm2d) for m in predictor.modules())
    assert (norms, left) == (4, 2)  # the first norm of a block also feeds the inner shortcut
    assert predictor.merged
    assert not predictor.training


@torch.no_grad()
def test_export_and_autocast():
    predictor, past = make(translator="moganet", frames_out=6), frames(2, 4, 1, 18, 16)
    program = torch.export.export(predictor, (past,))
    torch.testing.assert_close(program.module()(past), predictor(past), rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert predictor(past).isfinite().all()


def test_learns_one_clip():
    predictor = make(translator="moganet").train()
    clip = torch.zeros(1, 8, 1, 16, 16)
    for t in range(8):
        clip[:, t, :, 4:8, t + 2 : t + 6] = 1.0
    optimizer = torch.optim.Adam(predictor.parameters(), lr=5e-3)
    for _ in range(100):
        loss = (predictor(clip[:, :4]) - clip[:, 4:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01
    copied = (clip[:, 3:4] - clip[:, 4:]).square().mean()
    assert loss.item() < 0.2 * copied.item()
