"""FCMAE's decoder and loss compared with the authors' code."""

import pytest
import torch

from predcnn.pretraining.fcmae import FCMAE, BlockDecoder
from predcnn.pretraining.masks import masked_mse
from tests.pretraining.networks import tiny
from tests.pretraining.published import drawn, reference


def published_decoder(cfg: dict) -> BlockDecoder:
    width = cfg["decoder_embed_dim"]
    decoder = BlockDecoder(cfg["dims"][-1], cfg["patch_size"], width=width)
    names = {"proj": "project", "decoder": "blocks", "pred": "head.0"}
    state = {}
    for key, value in decoder.state_dict().items():
        theirs = key.replace("mask_token.token", "mask_token")
        for name, ours in names.items():
            if theirs.startswith(f"{ours}."):
                theirs = theirs.replace(ours, name, 1)
        state[key] = drawn(theirs, tuple(value.shape))
    for key in ("head.0.weight", "head.0.bias"):  # published: rows, columns, channels
        state[key] = channels_first(state[key], cfg["patch_size"])
    decoder.load_state_dict(state)
    return decoder.eval()


def channels_first(values: torch.Tensor, side: int) -> torch.Tensor:
    """(side * side * 3, ...) with the colour last -> first, as a pixel shuffle has it."""
    return values.unflatten(0, (side, side, 3)).movedim(2, 0).flatten(0, 2)


def test_decoder_and_loss_equal_reference_values():
    data, cfg = reference("fcmae_decoder_loss_np0")
    side = cfg["img_size"] // cfg["patch_size"]
    mask = data["mask"].unflatten(1, (side, side)).bool()
    with torch.no_grad():
        pixels = published_decoder(cfg)(data["features"], mask)
    expected = torch.nn.functional.pixel_shuffle(
        channels_first(data["pred"].movedim(1, 0), cfg["patch_size"]).movedim(0, 1),
        cfg["patch_size"],
    )
    torch.testing.assert_close(pixels, expected, rtol=1e-5, atol=1e-5)
    loss = masked_mse(pixels, data["imgs"], mask)
    torch.testing.assert_close(loss, data["loss"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("normalise", [True, False])
def test_it_overfits_one_image(normalise):
    torch.manual_seed(0)
    model = FCMAE(tiny("convnextv2_tiny"), 64, width=32, normalise=normalise)
    images = torch.rand(1, 3, 64, 64)
    mask = model.masks(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = model(images, mask).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
