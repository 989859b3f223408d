"""Parts of DMVFN against reference implementations of their equations."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from predcnn.predictors.dmvfn import MotionBlock, laplacian_pyramid, pyramid_loss, warp
from tests.predictors.recurrent_cases import tiny, truth_up_to


def test_warp_samples_where_the_flow_points() -> None:
    frames, flow = torch.rand(1, 1, 6, 9), torch.randn(1, 2, 6, 9) * 3
    expected = torch.zeros(6, 9)
    for y in range(6):
        for x in range(9):
            at_x = min(max(x + flow[0, 0, y, x].item(), 0), 8)
            at_y = min(max(y + flow[0, 1, y, x].item(), 0), 5)
            left, top = min(int(at_x), 7), min(int(at_y), 4)
            a, b = at_x - left, at_y - top
            corner = frames[0, 0, top : top + 2, left : left + 2]
            rows = torch.tensor([1.0 - b, b])
            expected[y, x] = rows @ corner @ torch.tensor([1.0 - a, a])
    torch.testing.assert_close(warp(frames, flow)[0, 0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(warp(frames, torch.zeros_like(flow)), frames)


def plain_blur(image: Tensor) -> Tensor:
    """The 5x5 binomial filter with mirrored borders, pixel by pixel."""
    weights = [1, 4, 6, 4, 1]
    H, W = image.shape

    def mirror(n: int, length: int) -> int:
        n = abs(n)
        return n if n < length else 2 * (length - 1) - n

    out = torch.zeros_like(image)
    for y in range(H):
        for x in range(W):
            for i, a in enumerate(weights):
                for j, b in enumerate(weights):
                    source = image[mirror(y + i - 2, H), mirror(x + j - 2, W)]
                    out[y, x] += a * b / 256 * source
    return out


def test_laplacian_pyramid() -> None:
    frames = torch.rand(1, 2, 12, 16)
    pyramid = laplacian_pyramid(frames, 2)
    for channel in range(2):
        image = frames[0, channel]
        for level in pyramid:
            small = plain_blur(image)[::2, ::2]
            spread = torch.zeros_like(image)
            spread[::2, ::2] = small
            torch.testing.assert_close(level[0, channel], image - 4 * plain_blur(spread))
            image = small


def test_pyramid_loss_weighs_stages() -> None:
    target, stages = torch.rand(2, 1, 16, 16), torch.rand(2, 3, 1, 16, 16)
    expected = 0.0
    for i in range(3):
        mine, wanted = laplacian_pyramid(stages[:, i], 3), laplacian_pyramid(target, 3)
        l1 = sum(functional.l1_loss(a, b) for a, b in zip(mine, wanted, strict=True))
        expected += 0.8 ** (2 - i) * l1
    torch.testing.assert_close(pyramid_loss(stages, target, levels=3), expected)
    perfect = target[:, None].expand(-1, 3, -1, -1, -1)
    assert pyramid_loss(perfect, target, levels=3) == 0
    with pytest.raises(ValueError, match="48 pixels or more"):
        pyramid_loss(stages, target)


def plain_block(block: MotionBlock, images: Tensor, flow: Tensor) -> Tensor:
    """A motion block with separate resizing of images and flow, as in the reference code."""
    x, f = images, flow
    if block.scale != 1:
        factor = 1 / block.scale
        x = functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        f = functional.interpolate(f, scale_factor=factor, mode="bilinear", align_corners=False)
        f = f * factor
    deep = block.conv0(torch.cat((x, f), 1))
    deep = block.conv_sq(block.convblock(deep) + deep)
    deep = functional.interpolate(deep, scale_factor=2 * block.scale, mode="bilinear")
    thin = block.convblock1(block.conv1(torch.cat((images, flow), 1)))
    return block.lastconv(torch.cat((deep, thin), 1))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_motion_block(scale: int) -> None:
    block = MotionBlock(9, 16, scale)
    images, flow = torch.rand(2, 5, 16, 32), torch.randn(2, 4, 16, 32)
    given = torch.cat(block(images, flow), dim=1)
    torch.testing.assert_close(given, plain_block(block, images, flow), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_dmvfn_stages_equal_the_reference_loop() -> None:
    model = tiny("dmvfn")
    for block in model.stu:
        block.lastconv.weight.mul_(20)
    first, second = torch.rand(2, 1, 16, 32), torch.rand(2, 1, 16, 32)
    routes = model.routes(first, second)
    flow, mask = torch.zeros(2, 4, 16, 32), torch.zeros(2, 1, 16, 32)
    warped0, warped1 = first, second
    merged = []
    for i, block in enumerate(model.stu):
        seen = torch.cat((first, second, warped0, warped1, mask), 1)
        change = plain_block(block, seen, flow)
        now, mask_now = flow + change[:, :4], mask + change[:, 4:]
        flow = flow + change[:, :4] * routes[:, i].reshape(2, 1, 1, 1)
        mask = mask + change[:, 4:] * routes[:, i].reshape(2, 1, 1, 1)
        warped0, warped1 = warp(first, flow[:, :2]), warp(second, flow[:, 2:])
        if i == len(model.stu) - 1:
            now, mask_now = flow, mask
        share = torch.sigmoid(mask_now)
        mixture = warp(first, now[:, :2]) * share + warp(second, now[:, 2:]) * (1 - share)
        merged.append(mixture.clamp(0, 1))
    _, extras = model.unroll(torch.stack([first, second, second], 1), truth_up_to(2, 2, 2))
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(extras["stages"][:, 1], torch.stack(merged, 1), **close)
    assert (merged[-1] - second).abs().mean() > 0.01
    # without the stages only the blocks that a sample uses are computed, with the same result
    past = torch.stack([first, first, second], 1)
    torch.testing.assert_close(model(past)[:, 0], merged[-1], **close)


def test_dmvfn_routing_has_a_straight_through_gradient() -> None:
    model = tiny("dmvfn").train()
    routes = model.routes(torch.rand(64, 1, 16, 32), torch.rand(64, 1, 16, 32))
    assert set(routes.unique().tolist()) == {0.0, 1.0}
    slope = torch.tensor([1.0, -2.0, 0.5])
    (routes * slope).sum().backward()
    assert model.l1.weight.grad.abs().max() > 0
